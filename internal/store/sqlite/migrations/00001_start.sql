-- +goose Up

-- Times are milliseconds since 1970, UTC; 0 means never.

-- What is settled once for the whole database.
CREATE TABLE settled (
  name  TEXT NOT NULL PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
  id            TEXT    NOT NULL PRIMARY KEY,
  ucc           TEXT    NOT NULL UNIQUE,
  user_id       TEXT    NOT NULL UNIQUE,
  mobile        TEXT    NOT NULL UNIQUE,
  pan_index     BLOB    UNIQUE,            -- keyed hash; NULL without PAN
  pan           BLOB,                      -- sealed
  greeting_name TEXT    NOT NULL,
  password_hash TEXT    NOT NULL,
  mpin_hash     TEXT    NOT NULL,
  totp_seed     BLOB,                      -- sealed
  caches        TEXT    NOT NULL,          -- JSON: data set -> unix seconds
  disabled      INTEGER NOT NULL,
  created       INTEGER NOT NULL
) STRICT;

CREATE TABLE consumers (
  key         TEXT    NOT NULL PRIMARY KEY,
  name        TEXT    NOT NULL,
  secret_hash BLOB    NOT NULL,            -- keyed hash
  created     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE signing_keys (
  n       INTEGER PRIMARY KEY,
  id      TEXT    NOT NULL UNIQUE,
  sealed  BLOB    NOT NULL,                -- PKCS #8, sealed
  created INTEGER NOT NULL
) STRICT;

CREATE TABLE events (
  seq        INTEGER PRIMARY KEY,
  time       INTEGER NOT NULL,
  action     TEXT    NOT NULL,
  outcome    TEXT    NOT NULL,
  account    TEXT    NOT NULL,
  ucc        TEXT    NOT NULL,
  factor     TEXT    NOT NULL,
  consumer   TEXT    NOT NULL,
  sid        TEXT    NOT NULL,
  address    TEXT    NOT NULL,
  request_id TEXT    NOT NULL
) STRICT;

-- One row for each sid: a view session until its second factor is complete, the
-- trade session from then on.
CREATE TABLE sessions (
  n           INTEGER PRIMARY KEY,
  sid         TEXT    NOT NULL UNIQUE,
  rid         TEXT    NOT NULL,
  kind        TEXT    NOT NULL,
  account     TEXT    NOT NULL,
  ucc         TEXT    NOT NULL,
  consumer    TEXT    NOT NULL,
  first       TEXT    NOT NULL,
  view_id     TEXT    NOT NULL,
  trade_id    TEXT    NOT NULL,
  key_id      TEXT    NOT NULL,
  home        TEXT    NOT NULL,
  issued      INTEGER NOT NULL,
  expires     INTEGER NOT NULL,
  tries        INTEGER NOT NULL,
  tries_before INTEGER NOT NULL,
  sends       INTEGER NOT NULL,
  otp         BLOB,                        -- keyed hash
  otp_expires INTEGER NOT NULL,
  last_send   INTEGER NOT NULL,
  claim       TEXT    NOT NULL,
  claim_until INTEGER NOT NULL,
  completed   INTEGER NOT NULL,
  repeat      BLOB                         -- keyed hash
) STRICT;
CREATE INDEX sessions_account ON sessions (account);

CREATE TABLE account_states (
  account   TEXT    NOT NULL PRIMARY KEY,
  totp_step INTEGER NOT NULL,
  sent      BLOB,                          -- when codes were sent: 8 bytes each, big-endian, oldest first
  failures  TEXT NOT NULL                  -- JSON: factor -> count and lock's end; "" for none
) STRICT, WITHOUT ROWID;

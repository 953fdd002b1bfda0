-- +goose Up

-- Names and keys are compared and ordered byte by byte. A time that is NULL never
-- was.

-- What is settled once for the whole database.
CREATE TABLE settled (
  name  text COLLATE "C" PRIMARY KEY,
  value bytea NOT NULL
);

CREATE TABLE accounts (
  id            text COLLATE "C" PRIMARY KEY,
  ucc           text COLLATE "C" NOT NULL UNIQUE,
  user_id       text COLLATE "C" NOT NULL UNIQUE,
  mobile        text COLLATE "C" NOT NULL UNIQUE,
  pan_index     bytea UNIQUE,               -- keyed hash; NULL without PAN
  pan           bytea,                      -- sealed
  greeting_name text NOT NULL,
  password_hash text NOT NULL,
  mpin_hash     text NOT NULL,
  totp_seed     bytea,                      -- sealed
  caches        jsonb NOT NULL,             -- data set -> unix seconds
  disabled      boolean NOT NULL,
  created       timestamptz
);

CREATE TABLE consumers (
  key         text COLLATE "C" PRIMARY KEY,
  name        text NOT NULL,
  secret_hash bytea,                        -- keyed hash
  rate        bigint NOT NULL,              -- requests a second: 0 is what the service is set to, below 0 no limit
  created     timestamptz
);

CREATE TABLE signing_keys (
  n       bigint PRIMARY KEY,               -- the oldest has the lowest
  id      text COLLATE "C" NOT NULL UNIQUE,
  sealed  bytea NOT NULL,                   -- PKCS #8, sealed
  created timestamptz
);

CREATE TABLE events (
  seq        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  time       timestamptz,
  action     text NOT NULL,
  outcome    text NOT NULL,
  account    text NOT NULL,
  ucc        text COLLATE "C" NOT NULL,
  factor     text NOT NULL,
  consumer   text NOT NULL,
  sid        text NOT NULL,
  address    text NOT NULL,
  request_id text NOT NULL
);
CREATE INDEX events_ucc ON events (ucc, seq) WHERE ucc <> '';
CREATE INDEX events_time ON events USING brin (time);

-- What is counted for an account. Its row stands for the account's sessions too:
-- whoever changes one of them, or what is counted, raises the version first, in the
-- same transaction; whoever has loaded them saves only if the version still is what
-- was loaded. Rows are never deleted.
CREATE TABLE account_states (
  account   text COLLATE "C" PRIMARY KEY,
  version   bigint NOT NULL,
  totp_step bigint NOT NULL,
  sent      timestamptz[],                  -- when codes were sent, oldest first
  failures  text NOT NULL                   -- see login.FormatFailures
) WITH (fillfactor = 50);                   -- room for the next version beside this one

-- One row for each sid: a view session until its second factor is complete, the
-- trade session from then on.
CREATE TABLE sessions (
  sid          text COLLATE "C" PRIMARY KEY,
  n            bigint GENERATED ALWAYS AS IDENTITY, -- the newest has the highest
  rid          text NOT NULL,
  kind         text NOT NULL,
  account      text COLLATE "C" NOT NULL,
  ucc          text NOT NULL,
  consumer     text NOT NULL,
  first        text NOT NULL,
  view_id      text NOT NULL,
  trade_id     text NOT NULL,
  key_id       text NOT NULL,
  home         text NOT NULL,
  issued       timestamptz,
  expires      timestamptz,
  tries        integer NOT NULL,
  tries_before integer NOT NULL,
  sends        integer NOT NULL,
  otp          bytea,                       -- keyed hash
  otp_expires  timestamptz,
  last_send    timestamptz,
  claim        text NOT NULL,
  claim_until  timestamptz,
  completed    timestamptz,
  repeat       bytea                        -- keyed hash
) WITH (fillfactor = 50);
CREATE INDEX sessions_account ON sessions (account);
CREATE INDEX sessions_expires ON sessions (expires);

-- What is left of shared allowances: the instant at which each is whole again.
CREATE TABLE allowances (
  key   text COLLATE "C" PRIMARY KEY,
  whole timestamptz NOT NULL
) WITH (fillfactor = 50);

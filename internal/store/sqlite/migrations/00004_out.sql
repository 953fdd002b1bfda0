-- +goose Up

-- Where and how an account's codes go.
ALTER TABLE accounts ADD COLUMN email TEXT NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN couriers TEXT NOT NULL DEFAULT ''; -- names, parted by commas

ALTER TABLE sessions ADD COLUMN undelivered INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN remote INTEGER NOT NULL DEFAULT 0;

-- What must still be done outside.
CREATE TABLE jobs (
  n       INTEGER PRIMARY KEY,
  id      TEXT    NOT NULL UNIQUE,
  kind    TEXT    NOT NULL,
  sid     TEXT    NOT NULL,
  account TEXT    NOT NULL,
  sealed  BLOB,                -- of a code: the letter
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  due     INTEGER NOT NULL,    -- while claimed: the end of the lease
  tries   INTEGER NOT NULL,
  claim   TEXT    NOT NULL     -- "" if nobody has it
) STRICT;
CREATE INDEX jobs_due ON jobs (kind, due);

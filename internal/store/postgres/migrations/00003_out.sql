-- +goose Up

-- Where and how an account's codes go.
ALTER TABLE accounts ADD COLUMN email text NOT NULL DEFAULT '';
ALTER TABLE accounts ADD COLUMN couriers text[];

ALTER TABLE sessions ADD COLUMN undelivered boolean NOT NULL DEFAULT false;
ALTER TABLE sessions ADD COLUMN remote boolean NOT NULL DEFAULT false;

-- What must still be done outside.
CREATE TABLE jobs (
  n       bigint GENERATED ALWAYS AS IDENTITY,
  id      text COLLATE "C" PRIMARY KEY,
  kind    text NOT NULL,
  sid     text NOT NULL,
  account text NOT NULL,
  sealed  bytea,                 -- of a code: the letter
  created timestamptz NOT NULL,
  expires timestamptz NOT NULL,
  due     timestamptz NOT NULL,  -- while claimed: the end of the lease
  tries   integer NOT NULL,
  claim   text NOT NULL          -- '' if nobody has it
);
CREATE INDEX jobs_due ON jobs (kind, due);

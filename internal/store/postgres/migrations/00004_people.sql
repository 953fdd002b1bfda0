-- +goose Up

-- Raised by each change of an operator: who has loaded a record saves it only if
-- the version still is what was loaded.
ALTER TABLE accounts ADD COLUMN version bigint NOT NULL DEFAULT 0;
ALTER TABLE consumers ADD COLUMN version bigint NOT NULL DEFAULT 0;

-- The secret before the last rotation, and until when it is taken; networks from
-- which requests are taken, parted by spaces, '' for all.
ALTER TABLE consumers ADD COLUMN old_secret_hash bytea;
ALTER TABLE consumers ADD COLUMN old_secret_until timestamptz;
ALTER TABLE consumers ADD COLUMN allow text NOT NULL DEFAULT '';

-- How far the import of a file has come: in the transaction that stored the
-- accounts up to there. "offset" is counted in bytes; report is the size of what
-- was written about rejected lines.
CREATE TABLE imports (
  file     text COLLATE "C" PRIMARY KEY,   -- hash of its content
  "offset" bigint NOT NULL,
  line     bigint NOT NULL,
  added    bigint NOT NULL,
  rejected bigint NOT NULL,
  report   bigint NOT NULL
);

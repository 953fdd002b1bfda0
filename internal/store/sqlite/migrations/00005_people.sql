-- +goose Up

-- Raised by each change of an operator that can end sessions.
ALTER TABLE accounts ADD COLUMN version INTEGER NOT NULL DEFAULT 0;

-- The secret before the last rotation, and until when it is taken; networks from
-- which requests are taken, parted by spaces, "" for all.
ALTER TABLE consumers ADD COLUMN old_secret_hash BLOB;
ALTER TABLE consumers ADD COLUMN old_secret_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE consumers ADD COLUMN allow TEXT NOT NULL DEFAULT '';

-- How far the import of a file has come: in the transaction that stored the
-- accounts up to there.
CREATE TABLE imports (
  file     TEXT    NOT NULL PRIMARY KEY,   -- hash of its content
  offset   INTEGER NOT NULL,               -- in bytes
  line     INTEGER NOT NULL,
  added    INTEGER NOT NULL,
  rejected INTEGER NOT NULL,
  report   INTEGER NOT NULL                -- bytes written about what was rejected
) STRICT, WITHOUT ROWID;

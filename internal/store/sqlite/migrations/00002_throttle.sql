-- +goose Up

-- A consumer's requests a second: 0 is what the service is set to, below 0 no limit.
ALTER TABLE consumers ADD COLUMN rate INTEGER NOT NULL DEFAULT 0;

-- What is left of shared allowances: the instant at which each is whole again.
CREATE TABLE allowances (
  key   TEXT    NOT NULL PRIMARY KEY,
  whole INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX allowances_whole ON allowances (whole);

-- Failures are lines of words now, see login.FormatFailures.
UPDATE account_states SET failures = coalesce((
  SELECT group_concat(key || char(9) || json_extract(value, '$.Count') || char(9) ||
    max(0, unixepoch(json_extract(value, '$.Until'))) * 1000 || char(10), '')
  FROM json_each(failures)), '')
WHERE failures <> '';

-- One event in 64 finds its time: an index of all would cost each login a page.
CREATE INDEX events_time ON events (time) WHERE seq % 64 = 0;

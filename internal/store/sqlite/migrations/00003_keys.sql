-- +goose Up

-- From when on a key signs. It is published from its creation on.
ALTER TABLE signing_keys ADD COLUMN signs INTEGER NOT NULL DEFAULT 0;
UPDATE signing_keys SET signs = created;

-- The tokens of trade sessions that were removed before the tokens expire. Numbers
-- are never used again: who has read up to one must not miss the next.
CREATE TABLE revocations (
  seq      INTEGER PRIMARY KEY AUTOINCREMENT,
  token_id TEXT    NOT NULL,
  expires  INTEGER NOT NULL
) STRICT;
CREATE INDEX revocations_expires ON revocations (expires);

-- Whatever removes a trade session revokes its token, in the same transaction.
-- +goose StatementBegin
CREATE TRIGGER sessions_revoked AFTER DELETE ON sessions WHEN OLD.kind = 'trade' BEGIN
  INSERT INTO revocations (token_id, expires) VALUES (OLD.trade_id, OLD.expires);
END;
-- +goose StatementEnd

-- +goose Up

-- From when on a key signs. It is published from its creation on.
ALTER TABLE signing_keys ADD COLUMN signs timestamptz;
UPDATE signing_keys SET signs = created;

-- The tokens of trade sessions that were removed before the tokens expire.
CREATE TABLE revocations (
  seq      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  token_id text NOT NULL,
  expires  timestamptz NOT NULL
);
CREATE INDEX revocations_expires ON revocations (expires);

-- Whatever removes trade sessions revokes their tokens, in the same transaction.
-- One transaction at a time gets numbers, until it ends: who has read up to one
-- must not miss a lower one that can be read later.
-- +goose StatementBegin
CREATE FUNCTION sessions_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM removed WHERE kind = 'trade') THEN
    PERFORM pg_advisory_xact_lock(7366010001);
    INSERT INTO revocations (token_id, expires)
      SELECT trade_id, coalesce(expires, '-infinity') FROM removed WHERE kind = 'trade';
  END IF;
  RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER sessions_revoked AFTER DELETE ON sessions
  REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION sessions_revoked();

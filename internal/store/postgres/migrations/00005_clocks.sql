-- +goose Up

-- Which of the consumers that have had this key: drawn when one is added. Sessions
-- carry that of the consumer that they were opened through.
ALTER TABLE consumers ADD COLUMN incarnation text COLLATE "C" NOT NULL DEFAULT gen_random_uuid()::text;
ALTER TABLE sessions ADD COLUMN incarnation text COLLATE "C" NOT NULL DEFAULT '';
UPDATE sessions SET incarnation = consumers.incarnation FROM consumers
  WHERE consumers.key = sessions.consumer AND consumers.created <= sessions.issued;

-- The version before knows of no incarnations.
-- +goose StatementBegin
CREATE FUNCTION sessions_incarnation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.incarnation := coalesce((SELECT incarnation FROM consumers WHERE key = NEW.consumer), '');
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER sessions_incarnation BEFORE INSERT ON sessions
  FOR EACH ROW WHEN (NEW.incarnation = '') EXECUTE FUNCTION sessions_incarnation();

-- The last TOTP steps that were used, oldest first.
ALTER TABLE account_states ADD COLUMN totp_used bigint[];

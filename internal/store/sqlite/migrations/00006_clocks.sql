-- +goose Up

-- Which of the consumers that have had this key: drawn when one is added. Sessions
-- carry that of the consumer that they were opened through.
ALTER TABLE consumers ADD COLUMN incarnation TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN incarnation TEXT NOT NULL DEFAULT '';
UPDATE consumers SET incarnation = lower(hex(randomblob(16)));
UPDATE sessions SET incarnation = coalesce(
  (SELECT incarnation FROM consumers WHERE consumers.key = sessions.consumer AND consumers.created <= sessions.issued), '');

-- The version before knows of no incarnations.
-- +goose StatementBegin
CREATE TRIGGER consumers_incarnation AFTER INSERT ON consumers WHEN NEW.incarnation = '' BEGIN
  UPDATE consumers SET incarnation = lower(hex(randomblob(16))) WHERE key = NEW.key;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER sessions_incarnation AFTER INSERT ON sessions WHEN NEW.incarnation = '' BEGIN
  UPDATE sessions SET incarnation = coalesce((SELECT incarnation FROM consumers WHERE key = NEW.consumer), '') WHERE sid = NEW.sid;
END;
-- +goose StatementEnd

-- The last TOTP steps that were used, eight bytes each.
ALTER TABLE account_states ADD COLUMN totp_used BLOB;

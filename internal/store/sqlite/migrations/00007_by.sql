-- +goose Up

-- Who made a change, by the command line or the admin API; '' for what people and
-- the service do, and for all before there was this column.
ALTER TABLE events ADD COLUMN "by" TEXT NOT NULL DEFAULT '';

-- +goose Up

-- How often a job was claimed and neither ended nor put off before it was claimed again.
-- Each time it waits longer.
ALTER TABLE jobs ADD COLUMN interrupted integer NOT NULL DEFAULT 0;

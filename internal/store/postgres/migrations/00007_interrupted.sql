-- +goose Up

-- How often whoever had claimed a job told nothing of it, before it was claimed again:
-- each time it is left alone for longer.
ALTER TABLE jobs ADD COLUMN interrupted integer NOT NULL DEFAULT 0;

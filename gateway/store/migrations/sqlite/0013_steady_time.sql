-- How far the time that plans are kept in is ahead of the machine's clock, in milliseconds: what is planned is read with
-- it after a restart, too.

ALTER TABLE meta ADD COLUMN plans_ahead INTEGER NOT NULL DEFAULT 0;

-- Up to which moment the time that plans are kept in had come when it was last kept, in milliseconds: a clock that shows an
-- earlier one at a start is wrong. 0 for what was kept before: not known.

ALTER TABLE meta ADD COLUMN plans_reached INTEGER NOT NULL DEFAULT 0;

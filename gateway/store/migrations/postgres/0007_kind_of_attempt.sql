-- Which kind of provider made an attempt's order: another kind of the same account cannot sign for it. Empty for what
-- was recorded before: not known.

ALTER TABLE attempts ADD COLUMN kind text NOT NULL DEFAULT '';
ALTER TABLE payments ADD COLUMN kind text NOT NULL DEFAULT '';

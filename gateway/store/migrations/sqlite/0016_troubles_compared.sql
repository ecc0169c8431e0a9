-- As before, in other words: a list of more than two is put into a table of its own for every event that is entered, only
-- to look the event's kind up in it.

DROP INDEX events_troubles;
CREATE INDEX events_troubles ON events (tenant, position) WHERE kind = 'payment.mismatch' OR kind = 'payment.unknown_order'
    OR kind = 'payment.duplicate' OR kind = 'refund.failed' OR kind = 'refund.abnormal';

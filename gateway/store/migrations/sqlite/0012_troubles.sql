-- What somebody should look into is found at a glance: few rows of a long log.

CREATE INDEX events_troubles ON events (tenant, position) WHERE kind IN
    ('payment.mismatch', 'payment.unknown_order', 'payment.duplicate', 'refund.failed', 'refund.abnormal');

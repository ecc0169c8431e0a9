-- A payment can be tried more than one way, and a buyer can ask for money back.

ALTER TABLE payments ADD COLUMN attempts INTEGER NOT NULL DEFAULT 1;

ALTER TABLE attempts ADD COLUMN state TEXT NOT NULL DEFAULT 'live';
ALTER TABLE attempts ADD COLUMN transaction_id TEXT;

UPDATE attempts SET
    state = (SELECT CASE
        WHEN p.state IN ('succeeded', 'partially_refunded', 'refunded') THEN 'paid'
        WHEN p.state = 'closed' THEN 'closed'
        WHEN p.state = 'failed' THEN 'failed'
        ELSE 'live' END FROM payments p WHERE p.row = attempts.payment),
    transaction_id = (SELECT p.transaction_id FROM payments p WHERE p.row = attempts.payment);

CREATE INDEX attempts_payment ON attempts (payment);

-- A refund of a second success counts for nothing in the payment's sums.
ALTER TABLE refunds ADD COLUMN of_duplicate INTEGER NOT NULL DEFAULT 0;

CREATE TABLE refund_requests (
    row           INTEGER PRIMARY KEY,
    id            BLOB    NOT NULL UNIQUE,
    tenant        TEXT    NOT NULL,
    payment       BLOB    NOT NULL REFERENCES payments (id),
    out_trade_no  TEXT    NOT NULL,
    openid        TEXT    NOT NULL,
    amount        INTEGER NOT NULL,
    currency      TEXT    NOT NULL,
    reason        TEXT,
    state         TEXT    NOT NULL,
    out_refund_no TEXT,
    requested_at  INTEGER NOT NULL,
    decided_at    INTEGER,
    decided_by    TEXT
) STRICT;

CREATE INDEX refund_requests_list ON refund_requests (tenant, state, requested_at, id);
-- One wish of a payment at a time.
CREATE UNIQUE INDEX refund_requests_pending ON refund_requests (payment) WHERE state = 'pending';

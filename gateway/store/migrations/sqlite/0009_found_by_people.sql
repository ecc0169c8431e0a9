-- Whoever asks about a payment may know it by the platform's number alone. That of a second success stands
-- with its attempt.

CREATE INDEX payments_transaction ON payments (tenant, transaction_id) WHERE transaction_id IS NOT NULL;
CREATE INDEX attempts_transaction ON attempts (tenant, transaction_id) WHERE transaction_id IS NOT NULL;

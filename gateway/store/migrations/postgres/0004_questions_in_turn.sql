-- Questions are taken tenant by tenant, and of each by what they wait for.

DROP INDEX payments_due;
CREATE INDEX payments_due ON payments (tenant, provider COLLATE "C", state, check_at) WHERE check_at IS NOT NULL;

DROP INDEX refunds_due;
CREATE INDEX refunds_due ON refunds (tenant, provider COLLATE "C", state COLLATE "C", check_at)
    WHERE check_at IS NOT NULL;

-- Questions are taken tenant by tenant, and of each by what they wait for. What keeps readers out comes last, so that
-- instances that run go on reading while the indexes are made.

CREATE INDEX payments_due_in_turn ON payments (tenant, provider COLLATE "C", state, check_at)
    WHERE check_at IS NOT NULL;
CREATE INDEX refunds_due_in_turn ON refunds (tenant, provider COLLATE "C", state COLLATE "C", check_at)
    WHERE check_at IS NOT NULL;

DROP INDEX payments_due;
DROP INDEX refunds_due;
ALTER INDEX payments_due_in_turn RENAME TO payments_due;
ALTER INDEX refunds_due_in_turn RENAME TO refunds_due;

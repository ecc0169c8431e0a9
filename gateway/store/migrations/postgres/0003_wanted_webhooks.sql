-- Until when somebody is known to have had a webhook for the tenant: instances do not read their files at the
-- same moment, and one that has no webhook for a tenant enters its events for the others.

ALTER TABLE endpoints ADD COLUMN wanted_at bigint;

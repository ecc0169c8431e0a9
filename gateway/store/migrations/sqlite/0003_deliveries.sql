-- Events on their way to merchants' webhooks: one delivery an event.

CREATE TABLE deliveries (
    position     INTEGER PRIMARY KEY REFERENCES events (position),
    id           BLOB    NOT NULL UNIQUE,
    tenant       TEXT    NOT NULL,
    event        BLOB    NOT NULL,
    kind         TEXT    NOT NULL,
    state        TEXT    NOT NULL,
    made         INTEGER NOT NULL,
    failed       INTEGER NOT NULL,
    -- Of a pending one when it is tried next, or while it is being tried when its lease ends.
    next_at      INTEGER,
    -- While it is being tried, when that was due.
    leased_from  INTEGER,
    created_at   INTEGER NOT NULL,
    delivered_at INTEGER,
    -- The newest tries, as JSON.
    tries        TEXT    NOT NULL
) STRICT;

CREATE INDEX deliveries_due ON deliveries (tenant, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX deliveries_list ON deliveries (tenant, state, created_at, id);

-- Up to where the event log was entered: from here on, not what happened before there were
-- deliveries.
CREATE TABLE delivery_cursor (
    one      INTEGER PRIMARY KEY CHECK (one = 1),
    position INTEGER NOT NULL
) STRICT;

INSERT INTO delivery_cursor (one, position) SELECT 1, coalesce(max(position), 0) FROM events;

-- How the tenants' endpoints are doing; one that is not here is well.
CREATE TABLE endpoints (
    tenant        TEXT    PRIMARY KEY,
    failing_since INTEGER,
    disabled_at   INTEGER
) STRICT, WITHOUT ROWID;

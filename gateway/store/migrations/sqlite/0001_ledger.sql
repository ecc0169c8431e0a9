-- The ledger: what the engine keeps, one table a record. Times are milliseconds since 1970 UTC,
-- amounts whole minor units (fen), identifiers 16-byte UUIDs that grow with time.

-- Which store this is. The incarnation is new at every start, so that what another life of the
-- store left behind elsewhere is recognised.
CREATE TABLE meta (
    one         INTEGER PRIMARY KEY CHECK (one = 1),
    store       BLOB    NOT NULL,
    incarnation BLOB    NOT NULL,
    -- Written to find out whether the disk takes writes again.
    probe       BLOB
) STRICT;

CREATE TABLE payments (
    row             INTEGER PRIMARY KEY,
    id              BLOB    NOT NULL UNIQUE,
    tenant          TEXT    NOT NULL,
    out_trade_no    TEXT    NOT NULL,
    amount          INTEGER NOT NULL,
    currency        TEXT    NOT NULL,
    description     TEXT    NOT NULL,
    attach          TEXT,
    metadata        TEXT    NOT NULL,
    client_ip       TEXT    NOT NULL,
    state           TEXT    NOT NULL,
    late            INTEGER NOT NULL,
    refunded        INTEGER NOT NULL,
    refunding       INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    expires_at      INTEGER NOT NULL,
    paid_at         INTEGER,
    transaction_id  TEXT,
    failure_code    TEXT,
    failure_message TEXT,
    check_at        INTEGER,
    check_asked     INTEGER,
    -- The live attempt, or the last one.
    provider        TEXT    NOT NULL,
    trade_no        TEXT    NOT NULL,
    version         INTEGER NOT NULL,
    UNIQUE (tenant, out_trade_no)
) STRICT;

-- Serves the list with and without a state: without one, the states' newest are merged.
CREATE INDEX payments_list ON payments (tenant, state, created_at, id);
CREATE INDEX payments_due ON payments (check_at) WHERE check_at IS NOT NULL;

CREATE TABLE attempts (
    tenant             TEXT    NOT NULL,
    provider           TEXT    NOT NULL,
    trade_no           TEXT    NOT NULL,
    payment            INTEGER NOT NULL REFERENCES payments (row),
    id                 BLOB    NOT NULL,
    number             INTEGER NOT NULL,
    method             TEXT    NOT NULL,
    app_id             TEXT    NOT NULL,
    merchant_id        TEXT    NOT NULL,
    openid             TEXT,
    notify_url         TEXT    NOT NULL,
    prepay_token       TEXT,
    prepay_valid_until INTEGER,
    PRIMARY KEY (tenant, provider, trade_no)
) STRICT, WITHOUT ROWID;

CREATE TABLE refunds (
    row                INTEGER PRIMARY KEY,
    id                 BLOB    NOT NULL UNIQUE,
    tenant             TEXT    NOT NULL,
    payment            BLOB    NOT NULL REFERENCES payments (id),
    out_trade_no       TEXT    NOT NULL,
    out_refund_no      TEXT    NOT NULL,
    provider           TEXT    NOT NULL,
    trade_no           TEXT    NOT NULL,
    amount             INTEGER NOT NULL,
    currency           TEXT    NOT NULL,
    reason             TEXT,
    notify_url         TEXT    NOT NULL,
    state              TEXT    NOT NULL,
    provider_refund_id TEXT,
    failure_code       TEXT,
    failure_message    TEXT,
    platform_word      TEXT,
    created_at         INTEGER NOT NULL,
    updated_at         INTEGER NOT NULL,
    succeeded_at       INTEGER,
    check_at           INTEGER,
    check_asked        INTEGER,
    version            INTEGER NOT NULL,
    UNIQUE (tenant, out_refund_no)
) STRICT;

CREATE INDEX refunds_payment ON refunds (payment);
CREATE INDEX refunds_due ON refunds (check_at) WHERE check_at IS NOT NULL;

-- Messages that were verified and kept, in the order they came.
CREATE TABLE notifications (
    row         INTEGER PRIMARY KEY,
    tenant      TEXT    NOT NULL,
    provider    TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    digest      TEXT    NOT NULL,
    outcome     TEXT    NOT NULL,
    payment     BLOB,
    trade_no    TEXT    NOT NULL,
    received_at INTEGER NOT NULL,
    body        BLOB    NOT NULL,
    UNIQUE (digest, tenant, provider, kind)
) STRICT;

-- The event log. The store assigns positions, without gaps, in the order of commits; the newest
-- entry is never deleted, so that no position is used twice.
CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    id       BLOB    NOT NULL UNIQUE,
    tenant   TEXT    NOT NULL,
    kind     TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    subject  TEXT    NOT NULL
) STRICT;

CREATE INDEX events_tenant ON events (tenant, position);

-- Calls that named an idempotency key; one without a status is in progress.
CREATE TABLE calls (
    row          INTEGER PRIMARY KEY,
    tenant       TEXT    NOT NULL,
    key          TEXT    NOT NULL,
    fingerprint  TEXT    NOT NULL,
    made_number  TEXT    NOT NULL,
    owner        BLOB    NOT NULL,
    entered_at   INTEGER NOT NULL,
    status       INTEGER,
    content_type TEXT,
    body         BLOB,
    UNIQUE (tenant, key)
) STRICT;

CREATE INDEX calls_entered ON calls (entered_at);

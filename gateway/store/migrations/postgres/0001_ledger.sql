-- The ledger: what the engine keeps, one table a record. Times are milliseconds since 1970 UTC,
-- amounts whole minor units (fen), identifiers UUIDs that grow with time. Keys begin with the tenant,
-- so that tenants can be spread over databases; what a key holds is compared byte by byte.

-- Which store this is, and in which life: `life` names the very database (see `life.rs`), and when it
-- is another one the incarnation is begun anew.
CREATE TABLE meta (
    one         smallint PRIMARY KEY CHECK (one = 1),
    store       uuid     NOT NULL,
    incarnation uuid     NOT NULL,
    life        text     NOT NULL
);

-- The processes that serve from this store, and until when each counts as alive by the database's clock.
CREATE TABLE instances (
    id          uuid   PRIMARY KEY,
    alive_until bigint NOT NULL
);

-- What changes about a payment's current attempt, and the rest of that attempt, stands in the payment's
-- row: a payment is found, locked and read as one row.
CREATE TABLE payments (
    tenant             text COLLATE "C" NOT NULL,
    id                 uuid             NOT NULL,
    out_trade_no       text COLLATE "C" NOT NULL,
    amount             bigint           NOT NULL,
    currency           text             NOT NULL,
    description        text             NOT NULL,
    attach             text,
    metadata           text             NOT NULL,
    client_ip          text             NOT NULL,
    state              text COLLATE "C" NOT NULL,
    late               boolean          NOT NULL,
    refunded           bigint           NOT NULL,
    refunding          bigint           NOT NULL,
    created_at         bigint           NOT NULL,
    updated_at         bigint           NOT NULL,
    expires_at         bigint           NOT NULL,
    paid_at            bigint,
    transaction_id     text,
    failure_code       text,
    failure_message    text,
    check_at           bigint,
    check_asked        bigint,
    version            bigint           NOT NULL,
    attempts           bigint           NOT NULL,
    -- The current attempt: the live one, or the last one.
    attempt_id         uuid             NOT NULL,
    attempt_number     bigint           NOT NULL,
    provider           text             NOT NULL,
    method             text             NOT NULL,
    trade_no           text             NOT NULL,
    app_id             text             NOT NULL,
    merchant_id        text             NOT NULL,
    openid             text,
    notify_url         text             NOT NULL,
    prepay_token       text,
    prepay_valid_until bigint,
    attempt_state      text             NOT NULL,
    PRIMARY KEY (tenant, id)
);

CREATE UNIQUE INDEX payments_number ON payments (tenant, out_trade_no);
-- Serves the list with and without a state: without one, the states' newest are merged.
CREATE INDEX payments_list ON payments (tenant, state, created_at, id);
CREATE INDEX payments_due ON payments (check_at) WHERE check_at IS NOT NULL;

-- Every number under which a platform knows a payment. The other columns count for an attempt that gave
-- way; the current one's stand in the payment's row.
CREATE TABLE attempts (
    tenant             text COLLATE "C" NOT NULL,
    provider           text COLLATE "C" NOT NULL,
    trade_no           text COLLATE "C" NOT NULL,
    payment            uuid             NOT NULL,
    id                 uuid             NOT NULL,
    number             bigint           NOT NULL,
    method             text             NOT NULL,
    app_id             text             NOT NULL,
    merchant_id        text             NOT NULL,
    openid             text,
    notify_url         text             NOT NULL,
    prepay_token       text,
    prepay_valid_until bigint,
    state              text             NOT NULL,
    transaction_id     text,
    PRIMARY KEY (tenant, provider, trade_no),
    FOREIGN KEY (tenant, payment) REFERENCES payments (tenant, id)
);

CREATE INDEX attempts_payment ON attempts (tenant, payment);

CREATE TABLE refunds (
    tenant             text COLLATE "C" NOT NULL,
    id                 uuid             NOT NULL,
    payment            uuid             NOT NULL,
    out_trade_no       text             NOT NULL,
    out_refund_no      text COLLATE "C" NOT NULL,
    provider           text             NOT NULL,
    trade_no           text             NOT NULL,
    amount             bigint           NOT NULL,
    currency           text             NOT NULL,
    reason             text,
    notify_url         text             NOT NULL,
    state              text             NOT NULL,
    provider_refund_id text,
    failure_code       text,
    failure_message    text,
    platform_word      text,
    created_at         bigint           NOT NULL,
    updated_at         bigint           NOT NULL,
    succeeded_at       bigint,
    check_at           bigint,
    check_asked        bigint,
    -- A refund of a second success counts for nothing in the payment's sums.
    of_duplicate       boolean          NOT NULL,
    version            bigint           NOT NULL,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, payment) REFERENCES payments (tenant, id)
);

CREATE UNIQUE INDEX refunds_number ON refunds (tenant, out_refund_no);
CREATE INDEX refunds_payment ON refunds (tenant, payment);
CREATE INDEX refunds_due ON refunds (check_at) WHERE check_at IS NOT NULL;

CREATE TABLE refund_requests (
    tenant        text COLLATE "C" NOT NULL,
    id            uuid             NOT NULL,
    payment       uuid             NOT NULL,
    out_trade_no  text             NOT NULL,
    openid        text             NOT NULL,
    amount        bigint           NOT NULL,
    currency      text             NOT NULL,
    reason        text,
    state         text COLLATE "C" NOT NULL,
    out_refund_no text,
    requested_at  bigint           NOT NULL,
    decided_at    bigint,
    decided_by    text,
    PRIMARY KEY (tenant, id),
    FOREIGN KEY (tenant, payment) REFERENCES payments (tenant, id)
);

CREATE INDEX refund_requests_list ON refund_requests (tenant, state, requested_at, id);
-- One wish of a payment at a time.
CREATE UNIQUE INDEX refund_requests_pending ON refund_requests (tenant, payment) WHERE state = 'pending';

-- Messages that were verified and kept. A digest begins with the number that the message is about, so
-- that they are found by it.
CREATE TABLE notifications (
    tenant      text COLLATE "C" NOT NULL,
    digest      text COLLATE "C" NOT NULL,
    provider    text COLLATE "C" NOT NULL,
    kind        text COLLATE "C" NOT NULL,
    outcome     text             NOT NULL,
    payment     uuid,
    trade_no    text             NOT NULL,
    received_at bigint           NOT NULL,
    body        bytea            NOT NULL,
    PRIMARY KEY (tenant, digest, provider, kind)
);

-- Rows come in the order of their time: a summary of each range finds what is old, and costs a write
-- nothing.
CREATE INDEX notifications_old ON notifications USING brin (received_at);

-- The position of the newest event. Whoever appends events counts it up last of all and holds the row
-- until its commit, so that positions are in the order of commits and have no gaps.
CREATE TABLE event_log (
    one      smallint PRIMARY KEY CHECK (one = 1),
    position bigint   NOT NULL
) WITH (fillfactor = 10);

INSERT INTO event_log (one, position) VALUES (1, 0);

CREATE TABLE events (
    tenant   text COLLATE "C" NOT NULL,
    position bigint           NOT NULL,
    id       uuid             NOT NULL,
    kind     text             NOT NULL,
    at       bigint           NOT NULL,
    subject  text             NOT NULL,
    payment  uuid,
    PRIMARY KEY (tenant, position)
);

CREATE UNIQUE INDEX events_id ON events (tenant, id);
-- Whoever follows the log of all tenants.
CREATE UNIQUE INDEX events_log ON events (position);
CREATE INDEX events_payment ON events (tenant, payment, position) WHERE payment IS NOT NULL;

-- Calls that named an idempotency key; one without a status is in progress, and belongs to an owner in a
-- process.
CREATE TABLE calls (
    tenant       text COLLATE "C" NOT NULL,
    key          text COLLATE "C" NOT NULL,
    fingerprint  text             NOT NULL,
    made_number  text             NOT NULL,
    owner        uuid             NOT NULL,
    instance     uuid             NOT NULL,
    entered_at   bigint           NOT NULL,
    status       bigint,
    content_type text,
    body         bytea,
    PRIMARY KEY (tenant, key)
);

CREATE INDEX calls_entered ON calls (entered_at);

-- Events on their way to merchants' webhooks: one delivery an event.
CREATE TABLE deliveries (
    tenant       text COLLATE "C" NOT NULL,
    position     bigint           NOT NULL,
    id           uuid             NOT NULL,
    event        uuid             NOT NULL,
    kind         text             NOT NULL,
    state        text COLLATE "C" NOT NULL,
    made         bigint           NOT NULL,
    failed       bigint           NOT NULL,
    -- Of a pending one when it is tried next, or while it is being tried when its lease ends.
    next_at      bigint,
    -- While it is being tried, when that was due.
    leased_from  bigint,
    created_at   bigint           NOT NULL,
    delivered_at bigint,
    -- The newest tries, as JSON.
    tries        text             NOT NULL,
    PRIMARY KEY (tenant, position)
);

CREATE UNIQUE INDEX deliveries_id ON deliveries (tenant, id);
CREATE INDEX deliveries_due ON deliveries (tenant, next_at) INCLUDE (created_at) WHERE next_at IS NOT NULL;
CREATE INDEX deliveries_list ON deliveries (tenant, state, created_at, id);

-- Up to where the event log was entered.
CREATE TABLE delivery_cursor (
    one      smallint PRIMARY KEY CHECK (one = 1),
    position bigint   NOT NULL
);

INSERT INTO delivery_cursor (one, position) VALUES (1, 0);

-- How the tenants' endpoints are doing; one that is not here is well.
CREATE TABLE endpoints (
    tenant        text COLLATE "C" PRIMARY KEY,
    failing_since bigint,
    disabled_at   bigint
);

-- Keys that the gateway made for itself.
CREATE TABLE secrets (
    name  text  PRIMARY KEY,
    value bytea NOT NULL
);

-- What plugins keep: small JSON documents, and how far each has heard the event log.
CREATE TABLE plugin_documents (
    -- Empty for what a plugin keeps for all tenants.
    tenant     text COLLATE "C" NOT NULL,
    plugin     text COLLATE "C" NOT NULL,
    collection text COLLATE "C" NOT NULL,
    key        text COLLATE "C" NOT NULL,
    value      text             NOT NULL,
    -- When the plugin is to look at it.
    due_at     bigint,
    version    bigint           NOT NULL,
    PRIMARY KEY (tenant, plugin, collection, key)
);

CREATE INDEX plugin_documents_due ON plugin_documents (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE plugin_cursors (
    tenant   text COLLATE "C" NOT NULL,
    plugin   text COLLATE "C" NOT NULL,
    position bigint           NOT NULL,
    PRIMARY KEY (tenant, plugin)
);

-- Trust material that providers fetched from their platforms, as it came. Whoever reads it checks it as
-- if it had just come; losing it costs a download.
CREATE TABLE trust (
    account    text   PRIMARY KEY,
    fetched_at bigint NOT NULL,
    content    bytea  NOT NULL
);

-- Calls that were made to the platforms, for who asks what happened.
CREATE TABLE platform_calls (
    tenant     text COLLATE "C" NOT NULL,
    payment    uuid             NOT NULL,
    row        bigint           GENERATED ALWAYS AS IDENTITY,
    refund     text,
    provider   text             NOT NULL,
    operation  text             NOT NULL,
    at         bigint           NOT NULL,
    millis     bigint           NOT NULL,
    outcome    text             NOT NULL,
    code       text,
    message    text,
    request_id text,
    PRIMARY KEY (tenant, payment, row)
);

CREATE INDEX platform_calls_old ON platform_calls USING brin (at);

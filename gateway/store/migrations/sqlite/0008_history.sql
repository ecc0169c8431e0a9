-- Who asks what happened to one payment finds its events and the calls that were made for it.

ALTER TABLE events ADD COLUMN payment BLOB;

UPDATE events SET payment = unhex(replace(coalesce(
    json_extract(subject, '$.subject.payment.id'),
    json_extract(subject, '$.subject.duplicate.payment.id'),
    json_extract(subject, '$.subject.mismatch.payment.id'),
    json_extract(subject, '$.subject.refund.payment'),
    json_extract(subject, '$.subject.refund_request.payment')), '-', ''));

CREATE INDEX events_payment ON events (payment) WHERE payment IS NOT NULL;

CREATE TABLE platform_calls (
    row        INTEGER PRIMARY KEY,
    tenant     TEXT    NOT NULL,
    payment    BLOB    NOT NULL,
    refund     TEXT,
    provider   TEXT    NOT NULL,
    operation  TEXT    NOT NULL,
    at         INTEGER NOT NULL,
    millis     INTEGER NOT NULL,
    outcome    TEXT    NOT NULL,
    code       TEXT,
    message    TEXT,
    request_id TEXT
) STRICT;

CREATE INDEX platform_calls_payment ON platform_calls (payment);

-- What plugins keep: small JSON documents, and how far each has heard the event log.

CREATE TABLE plugin_documents (
    row        INTEGER PRIMARY KEY,
    -- Empty for what a plugin keeps for all tenants.
    tenant     TEXT    NOT NULL,
    plugin     TEXT    NOT NULL,
    collection TEXT    NOT NULL,
    key        TEXT    NOT NULL,
    value      TEXT    NOT NULL,
    -- When the plugin is to look at it.
    due_at     INTEGER,
    version    INTEGER NOT NULL,
    UNIQUE (tenant, plugin, collection, key)
) STRICT;

CREATE INDEX plugin_documents_due ON plugin_documents (due_at) WHERE due_at IS NOT NULL;

CREATE TABLE plugin_cursors (
    tenant   TEXT    NOT NULL,
    plugin   TEXT    NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (tenant, plugin)
) STRICT, WITHOUT ROWID;

-- Keys that the gateway made for itself and must find again after a restart. The file is its owner's
-- alone to read.

CREATE TABLE secrets (
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

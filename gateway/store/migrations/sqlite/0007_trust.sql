-- Trust material that providers fetched from their platforms, as it came. Whoever reads it checks it
-- as if it had just come; losing it costs a download.

CREATE TABLE trust (
    account    TEXT    NOT NULL PRIMARY KEY,
    fetched_at INTEGER NOT NULL,
    content    BLOB    NOT NULL
) STRICT, WITHOUT ROWID;

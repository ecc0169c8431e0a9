//! Trust material of the platforms.

use bytes::Bytes;
use dukou_domain::Timestamp;
use dukou_spi::Kept;
use rusqlite::{Connection, OptionalExtension, params};

use super::error::{Result, store_error};
use super::writing::Writing;

const FIND: &str = "SELECT fetched_at, content FROM trust WHERE account = ?1";
const KEEP: &str = "INSERT INTO trust (account, fetched_at, content) VALUES (?1, ?2, ?3) \
     ON CONFLICT (account) DO UPDATE SET fetched_at = excluded.fetched_at, content = excluded.content \
     WHERE excluded.fetched_at > fetched_at";

pub(super) fn find(connection: &Connection, account: &str) -> Result<Option<Kept>> {
    let mut statement = connection.prepare_cached(FIND).map_err(store_error)?;
    let found = statement.query_row([account], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)));
    let found = found.optional().map_err(store_error)?;
    Ok(found
        .map(|(millis, content)| Kept { fetched_at: Timestamp::from_millis(millis), content: Bytes::from(content) }))
}

pub(super) fn keep(w: &mut Writing<'_>, account: &str, kept: &Kept) -> Result<()> {
    w.execute(KEEP, params![account, kept.fetched_at.as_millis(), &kept.content[..]])?;
    Ok(())
}

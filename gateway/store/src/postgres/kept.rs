//! Keys that the gateway made for itself, and trust material of the platforms.

use bytes::Bytes;
use dukou_domain::{Secret, Timestamp};
use dukou_spi::Kept;
use sqlx::postgres::PgConnection;

use super::columns::Columns;
use super::error::{Result, corrupt, store_error};
use crate::rows::ReadColumns as _;

/// Bytes of a key.
const LENGTH: usize = 32;

const MAKE_SECRET: &str = "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
const FIND_SECRET: &str = "SELECT value FROM secrets WHERE name = $1";

const FIND_TRUST: &str = "SELECT fetched_at, content FROM trust WHERE account = $1";
const KEEP_TRUST: &str = "INSERT INTO trust (account, fetched_at, content) VALUES ($1, $2, $3) \
     ON CONFLICT (account) DO UPDATE SET fetched_at = excluded.fetched_at, content = excluded.content \
     WHERE excluded.fetched_at > trust.fetched_at";

pub(super) async fn secret(connection: &mut PgConnection, name: &str) -> Result<Secret> {
    if let Some(known) = find_secret(connection, name).await? {
        return Ok(known);
    }
    let made: [u8; LENGTH] = rand::random();
    let entered = sqlx::query(MAKE_SECRET).bind(name).bind(&made[..]).execute(&mut *connection).await;
    entered.map_err(store_error)?;
    find_secret(connection, name).await?.ok_or_else(|| corrupt("secret", format!("{name} is gone")))
}

async fn find_secret(connection: &mut PgConnection, name: &str) -> Result<Option<Secret>> {
    let row = sqlx::query(FIND_SECRET).bind(name).fetch_optional(connection).await.map_err(store_error)?;
    let Some(row) = row else { return Ok(None) };
    match Columns::new(&row).blob()? {
        value if value.len() == LENGTH => Ok(Some(Secret::new(hex::encode(value)))),
        _ => Err(corrupt("secret", format!("{name} does not have {LENGTH} bytes"))),
    }
}

pub(super) async fn find_trust(connection: &mut PgConnection, account: &str) -> Result<Option<Kept>> {
    let row = sqlx::query(FIND_TRUST).bind(account).fetch_optional(connection).await.map_err(store_error)?;
    let Some(row) = row else { return Ok(None) };
    let mut c = Columns::new(&row);
    Ok(Some(Kept { fetched_at: c.time()?, content: Bytes::copy_from_slice(c.blob()?) }))
}

pub(super) async fn keep_trust(connection: &mut PgConnection, account: &str, kept: &Kept) -> Result<()> {
    let entered =
        sqlx::query(KEEP_TRUST).bind(account).bind(Timestamp::as_millis(kept.fetched_at)).bind(&kept.content[..]);
    entered.execute(connection).await.map_err(store_error)?;
    Ok(())
}

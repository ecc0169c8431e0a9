//! Keys that the gateway made for itself.

use dukou_domain::Secret;
use rusqlite::{Connection, OptionalExtension, params};

use super::error::{Result, corrupt, store_error};
use super::writing::Writing;

/// Bytes of a secret.
const LENGTH: usize = 32;

const FIND: &str = "SELECT value FROM secrets WHERE name = ?1";
const INSERT: &str = "INSERT INTO secrets (name, value) VALUES (?1, ?2)";

/// The secret of that name in hexadecimal, made now where there is none.
pub(super) fn get_or_make(w: &mut Writing<'_>, name: &str) -> Result<Secret> {
    if let Some(known) = find(w.connection(), name)? {
        return Ok(known);
    }
    let made: [u8; LENGTH] = rand::random();
    w.execute(INSERT, params![name, made])?;
    Ok(Secret::new(hex::encode(made)))
}

fn find(connection: &Connection, name: &str) -> Result<Option<Secret>> {
    let mut statement = connection.prepare_cached(FIND).map_err(store_error)?;
    let value: Option<Vec<u8>> = statement.query_row([name], |row| row.get(0)).optional().map_err(store_error)?;
    match value {
        Some(value) if value.len() == LENGTH => Ok(Some(Secret::new(hex::encode(value)))),
        Some(_) => Err(corrupt("secret", format!("{name} does not have {LENGTH} bytes"))),
        None => Ok(None),
    }
}

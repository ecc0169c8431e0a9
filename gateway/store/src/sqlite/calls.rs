//! Calls that named an idempotency key.

use dukou_domain::TenantId;
use dukou_engine::records::{Begun, IdempotentCall, StoredAnswer};
use rusqlite::{Connection, params};
use uuid::Uuid;

use super::columns::Columns;
use super::error::{Result, store_error};
use super::writing::Writing;
use crate::rows::{self, ReadColumns as _};

const FIND: &str = "SELECT fingerprint, made_number, owner, status, content_type, body FROM calls \
     WHERE tenant = ?1 AND key = ?2";
const INSERT: &str = "INSERT INTO calls (tenant, key, fingerprint, made_number, owner, entered_at) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
const TAKE_OVER: &str = "UPDATE calls SET owner = ?3 WHERE tenant = ?1 AND key = ?2";
const ANSWER: &str = "UPDATE calls SET status = ?4, content_type = ?5, body = ?6 \
     WHERE tenant = ?1 AND key = ?2 AND owner = ?3 AND status IS NULL";
const DROP: &str = "DELETE FROM calls WHERE tenant = ?1 AND key = ?2 AND owner = ?3 AND status IS NULL";

struct Found {
    fingerprint: String,
    made_number: String,
    owner: Uuid,
    answer: Option<StoredAnswer>,
}

fn find(connection: &Connection, call: &IdempotentCall) -> Result<Option<Found>> {
    let mut statement = connection.prepare_cached(FIND).map_err(store_error)?;
    let mut rows = statement.query(params![call.tenant.as_str(), call.key]).map_err(store_error)?;
    let Some(row) = rows.next().map_err(store_error)? else { return Ok(None) };
    let mut c = Columns::new(row);
    let (fingerprint, made_number, owner) = (c.string()?, c.string()?, c.uuid()?);
    let answer = rows::answer(&mut c)?;
    Ok(Some(Found { fingerprint, made_number, owner, answer }))
}

/// One process owns the file, so a call in progress that belongs to another one was cut short.
pub(super) fn begin(w: &mut Writing<'_>, call: &IdempotentCall) -> Result<Begun> {
    let owner = call.owner.into_bytes();
    match find(w.connection(), call)? {
        None => {
            w.execute(
                INSERT,
                params![
                    call.tenant.as_str(),
                    call.key,
                    call.fingerprint,
                    call.made_number,
                    owner,
                    call.now.as_millis()
                ],
            )?;
            Ok(Begun::Run { made_number: call.made_number.clone() })
        }
        Some(found) if found.fingerprint != call.fingerprint => Ok(Begun::Conflict),
        Some(Found { answer: Some(answer), .. }) => Ok(Begun::Answered(answer)),
        Some(found) if found.owner == call.owner => Ok(Begun::InProgress),
        Some(found) => {
            w.execute(TAKE_OVER, params![call.tenant.as_str(), call.key, owner])?;
            Ok(Begun::Run { made_number: found.made_number })
        }
    }
}

pub(super) fn end(
    w: &mut Writing<'_>,
    tenant: &TenantId,
    key: &str,
    owner: Uuid,
    answer: Option<&StoredAnswer>,
) -> Result<()> {
    let owner = owner.into_bytes();
    match answer {
        Some(answer) => w.execute(
            ANSWER,
            params![tenant.as_str(), key, owner, answer.status, answer.content_type, &answer.body[..]],
        )?,
        None => w.execute(DROP, params![tenant.as_str(), key, owner])?,
    };
    Ok(())
}

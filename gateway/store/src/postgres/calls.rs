//! Calls that named an idempotency key, and the instances that run them.

use dukou_domain::TenantId;
use dukou_engine::records::{Begun, IdempotentCall, StoredAnswer};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::columns::Columns;
use super::error::{Result, store_error};
use crate::rows::{self, ReadColumns as _};

/// How long an instance counts as alive after it said so, in milliseconds by the database's clock.
/// A frozen one that wakes later answers for none of the calls that were taken over.
pub(super) const ALIVE_MILLIS: i64 = 30_000;

macro_rules! now {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
    };
}

const ALIVE: &str = concat!(
    "INSERT INTO instances (id, alive_until) VALUES ($1, ",
    now!(),
    " + $2) ON CONFLICT (id) DO UPDATE SET alive_until = excluded.alive_until"
);

/// Those that have been gone for a day; their calls count as nobody's with or without them.
const FORGET_GONE: &str = concat!("DELETE FROM instances WHERE alive_until < ", now!(), " - 86400000");

const GONE: &str = "DELETE FROM instances WHERE id = $1";

/// Entered, or locked as it is.
const INSERT: &str = "INSERT INTO calls (tenant, key, fingerprint, made_number, owner, instance, entered_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant, key) DO NOTHING";

const FIND: &str = concat!(
    "SELECT fingerprint, made_number, owner, instance, EXISTS (SELECT FROM instances i WHERE i.id = calls.instance \
     AND i.alive_until > ",
    now!(),
    "), status, content_type, body FROM calls WHERE tenant = $1 AND key = $2 FOR UPDATE"
);

const TAKE_OVER: &str = "UPDATE calls SET owner = $3, instance = $4 WHERE tenant = $1 AND key = $2";

const ANSWER: &str = "UPDATE calls SET status = $4, content_type = $5, body = $6 \
     WHERE tenant = $1 AND key = $2 AND owner = $3 AND status IS NULL";

const DROP: &str = "DELETE FROM calls WHERE tenant = $1 AND key = $2 AND owner = $3 AND status IS NULL";

/// Says that this instance is alive.
pub(super) async fn alive(connection: &mut PgConnection, instance: Uuid) -> Result<()> {
    let said = sqlx::query(ALIVE).bind(instance).bind(ALIVE_MILLIS).execute(&mut *connection).await;
    said.map_err(store_error)?;
    sqlx::query(FORGET_GONE).execute(connection).await.map_err(store_error)?;
    Ok(())
}

/// Says that this instance goes, so that nobody waits for it.
pub(super) async fn gone(connection: &mut PgConnection, instance: Uuid) -> Result<()> {
    sqlx::query(GONE).bind(instance).execute(connection).await.map_err(store_error)?;
    Ok(())
}

/// A call in progress is taken over when its instance is gone, or was this one in a former life.
pub(super) async fn begin(connection: &mut PgConnection, call: &IdempotentCall, instance: Uuid) -> Result<Begun> {
    let entered = sqlx::query(INSERT)
        .bind(call.tenant.as_str())
        .bind(call.key.as_str())
        .bind(call.fingerprint.as_str())
        .bind(call.made_number.as_str())
        .bind(call.owner)
        .bind(instance)
        .bind(call.now.as_millis())
        .execute(&mut *connection)
        .await
        .map_err(store_error)?;
    if entered.rows_affected() == 1 {
        return Ok(Begun::Run { made_number: call.made_number.clone() });
    }
    let asked = sqlx::query(FIND).bind(call.tenant.as_str()).bind(call.key.as_str());
    // Gone between the two statements: it is over, and may be made again.
    let Some(row) = asked.fetch_optional(&mut *connection).await.map_err(store_error)? else {
        return Ok(Begun::InProgress);
    };
    let mut c = Columns::new(&row);
    let (fingerprint, made_number, owner) = (c.string()?, c.string()?, c.uuid()?);
    let (holder, alive) = (c.uuid()?, c.flag()?);
    if fingerprint != call.fingerprint {
        return Ok(Begun::Conflict);
    }
    if let Some(answer) = rows::answer(&mut c)? {
        return Ok(Begun::Answered(answer));
    }
    if owner == call.owner || (alive && holder != instance) {
        return Ok(Begun::InProgress);
    }
    let taken = sqlx::query(TAKE_OVER).bind(call.tenant.as_str()).bind(call.key.as_str());
    taken.bind(call.owner).bind(instance).execute(connection).await.map_err(store_error)?;
    Ok(Begun::Run { made_number })
}

pub(super) async fn end(
    connection: &mut PgConnection,
    tenant: &TenantId,
    key: &str,
    owner: Uuid,
    answer: Option<&StoredAnswer>,
) -> Result<()> {
    let ended = match answer {
        Some(answer) => sqlx::query(ANSWER)
            .bind(tenant.as_str())
            .bind(key)
            .bind(owner)
            .bind(i64::from(answer.status))
            .bind(answer.content_type.as_str())
            .bind(&answer.body[..]),
        None => sqlx::query(DROP).bind(tenant.as_str()).bind(key).bind(owner),
    };
    ended.execute(connection).await.map_err(store_error)?;
    Ok(())
}

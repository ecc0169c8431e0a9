//! The schema's steps, and which database this is.

use dukou_engine::ports::StoreError;
use dukou_engine::records::StoreIdentity;
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Executor as _};
use uuid::Uuid;

use super::columns::Columns;
use super::error::{Result, corrupt, said, store_error};
use super::events;
use super::lives::Life;
use crate::error::mismatch;
use crate::migrate::{self, Applied, Step};
use crate::rows::ReadColumns as _;

pub(super) const STEPS: &[Step] = &[
    Step { version: 1, name: "ledger", sql: include_str!("../../migrations/postgres/0001_ledger.sql") },
    Step {
        version: 2,
        name: "found by people",
        sql: include_str!("../../migrations/postgres/0002_found_by_people.sql"),
    },
    Step {
        version: 3,
        name: "wanted webhooks",
        sql: include_str!("../../migrations/postgres/0003_wanted_webhooks.sql"),
    },
    Step {
        version: 4,
        name: "questions in turn",
        sql: include_str!("../../migrations/postgres/0004_questions_in_turn.sql"),
    },
    Step { version: 5, name: "troubles", sql: include_str!("../../migrations/postgres/0005_troubles.sql") },
    Step { version: 6, name: "log of a life", sql: include_str!("../../migrations/postgres/0006_log_of_a_life.sql") },
    Step {
        version: 7,
        name: "kind of attempt",
        sql: include_str!("../../migrations/postgres/0007_kind_of_attempt.sql"),
    },
];

/// Held while steps are applied, so that instances that start together do it one after another.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtext('dukou schema'))";

const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_steps (version bigint PRIMARY KEY, name text NOT NULL, \
     checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())";

const KNOWN: &str = "SELECT to_regclass('schema_steps') IS NOT NULL";

const APPLIED: &str = "SELECT version, name, checksum FROM schema_steps ORDER BY version";

const NOTE: &str = "INSERT INTO schema_steps (version, name, checksum) VALUES ($1, $2, $3)";

/// What tells one life of a database from another: it is new in a copy, in a database restored from
/// a dump, and after a recovery to an earlier moment. Files that were put back say nothing of it; but
/// for that the server was stopped, so that each of its starts is taken for a new life.
const LIFE: &str = "SELECT concat_ws('/', s.system_identifier, c.timeline_id, d.oid, r.oid) || '@' || \
     extract(epoch FROM pg_postmaster_start_time()) FROM pg_control_system() s, \
     pg_control_checkpoint() c, pg_database d, pg_class r \
     WHERE d.datname = current_database() AND r.oid = 'meta'::regclass";

const META: &str = "SELECT store, incarnation, life, log_from FROM meta FOR UPDATE";

const PUT_META: &str = "INSERT INTO meta (one, store, incarnation, life, log_from) VALUES (1, $1, $2, $3, $4) \
     ON CONFLICT (one) DO UPDATE SET incarnation = excluded.incarnation, life = excluded.life, \
     log_from = excluded.log_from";

const SERVER: &str = "SELECT current_setting('server_version_num')::bigint, current_setting('server_encoding')";

/// The first with transactions that can be asked after.
const OLDEST_SERVER: i64 = 130_000;

/// Refuses a server that cannot do what is needed.
async fn check_server(connection: &mut PgConnection) -> Result<()> {
    let row = sqlx::query(SERVER).fetch_one(connection).await.map_err(store_error)?;
    let mut c = Columns::new(&row);
    let (version, encoding) = (c.integer()?, c.string()?);
    if version < OLDEST_SERVER {
        return Err(corrupt("the server", format!("is PostgreSQL {}; expected 13 or newer", version / 10_000)));
    }
    if encoding != "UTF8" {
        return Err(corrupt("the database", format!("keeps texts in {encoding}; expected UTF8")));
    }
    Ok(())
}

/// Brings the schema up to `steps`, each in a transaction of its own.
///
/// # Errors
/// [`StoreError::Corrupt`] when it is newer than this program, or other than it expects.
pub(super) async fn migrate(connection: &mut PgConnection, steps: &[Step]) -> Result<()> {
    check_server(connection).await?;
    if !known(connection).await? {
        let mut transaction = connection.begin().await.map_err(store_error)?;
        transaction.execute(LOCK).await.map_err(store_error)?;
        transaction.execute(TABLE).await.map_err(store_error)?;
        transaction.commit().await.map_err(store_error)?;
    }
    while step(connection, steps).await? {}
    Ok(())
}

async fn known(connection: &mut PgConnection) -> Result<bool> {
    let row = sqlx::query(KNOWN).fetch_one(connection).await.map_err(store_error)?;
    Columns::new(&row).flag()
}

/// Applies the first outstanding step. Returns whether there was one.
async fn step(connection: &mut PgConnection, steps: &[Step]) -> Result<bool> {
    let mut transaction = connection.begin().await.map_err(store_error)?;
    transaction.execute(LOCK).await.map_err(store_error)?;
    let applied = applied(&mut transaction).await?;
    let outstanding = migrate::outstanding(steps, &applied).map_err(mismatch)?;
    let Some(step) = outstanding.first() else { return Ok(false) };
    let failed = |error: sqlx::Error| {
        StoreError::Unavailable(format!("schema step {} ({}): {}", step.version, step.name, said(&error)))
    };
    sqlx::raw_sql(step.sql).execute(&mut *transaction).await.map_err(failed)?;
    let note = sqlx::query(NOTE).bind(step.version).bind(step.name).bind(step.checksum());
    note.execute(&mut *transaction).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    tracing::info!(version = step.version, name = step.name, "applied a schema step");
    Ok(true)
}

async fn applied(connection: &mut PgConnection) -> Result<Vec<Applied>> {
    let rows = sqlx::query(APPLIED).fetch_all(connection).await.map_err(store_error)?;
    rows.iter()
        .map(|row| {
            let mut c = Columns::new(row);
            Ok(Applied { version: c.integer()?, name: c.string()?, checksum: c.string()? })
        })
        .collect()
}

/// Of a life, what the numbers of its transactions belong to: these go on at the next start of the server.
pub(super) fn numbers(life: &str) -> &str {
    life.split('@').next().unwrap_or_default()
}

/// Which life of which database this connection leads to.
pub(crate) async fn life(connection: &mut PgConnection) -> Result<String> {
    let row = sqlx::query(LIFE).fetch_one(connection).await.map_err(store_error)?;
    Columns::new(&row).string()
}

/// Whether a store is being moved into this database, so that what is there is not all of it.
pub(crate) async fn is_half_moved(connection: &mut PgConnection) -> Result<bool> {
    let row = sqlx::query("SELECT to_regclass('moving') IS NOT NULL").fetch_one(connection).await;
    Columns::new(&row.map_err(store_error)?).flag()
}

/// The life that this connection leads to, with the store's identity in it. Where the database begins another life
/// than the one it was last seen in, so does the incarnation; whoever notices first notes where the log is, and
/// nobody appends to it before.
pub(super) async fn meet(connection: &mut PgConnection) -> Result<Life> {
    if is_half_moved(connection).await? {
        return Err(StoreError::Corrupt(
            "a store is being moved into this database and not all of it is there: run `dukou migrate` again".into(),
        ));
    }
    let name = life(connection).await?;
    let mut transaction = connection.begin().await.map_err(store_error)?;
    transaction.execute(LOCK).await.map_err(store_error)?;
    let known = sqlx::query(META).fetch_optional(&mut *transaction).await.map_err(store_error)?;
    let position = events::position(&mut transaction).await?;
    let (store, incarnation, log_from) = match &known {
        None => (Uuid::new_v4(), Uuid::new_v4(), position),
        Some(row) => {
            let mut c = Columns::new(row);
            let (store, incarnation) = (c.uuid()?, c.uuid()?);
            if c.text()? == name {
                (store, incarnation, c.optional_integer()?.unwrap_or(position))
            } else {
                (store, Uuid::new_v4(), position)
            }
        }
    };
    let put = sqlx::query(PUT_META).bind(store).bind(incarnation).bind(&name).bind(log_from);
    put.execute(&mut *transaction).await.map_err(store_error)?;
    transaction.commit().await.map_err(store_error)?;
    Ok(Life { identity: StoreIdentity { store, incarnation }, name, log_from, position })
}

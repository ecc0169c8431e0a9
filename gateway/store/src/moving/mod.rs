//! From the embedded store to PostgreSQL, once and for good.
//!
//! Table by table in the order of keys, a page a transaction, so that a move that broke off goes on
//! where it was: the last key that is there says where. The file is held all the while, so that
//! nobody serves from it. Plans, which a database keeps by its clock, are moved by as much as they are from the
//! clock here. In the end every row of both sides is read again and compared by its
//! checksum; only then does the file say that it was moved, and then there is a store in the database. In
//! this order: killed in between, neither is served from; the other way round, both could be.

mod source;
mod tables;
mod target;
mod value;

use std::path::Path;

use dukou_engine::ports::StoreError;
use rusqlite::{Connection, OptionalExtension as _};
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use self::tables::{TABLES, Table};
use self::target::Holds;
use self::value::{Checksum, Row, Value};
use crate::postgres::{self, PostgresOptions};
use crate::sqlite;

/// Rows that go together.
const PAGE: usize = 500;

/// Where a test may end the process, with the feature `failpoints` and the action `return`.
pub const FAIL_POINTS: &[&str] = &["moving.page", "moving.before_the_end", "moving.after_the_mark"];

type Result<T> = std::result::Result<T, StoreError>;

/// A table that was moved and compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    pub table: &'static str,
    pub rows: u64,
    /// SHA-256 over all rows in the order of their keys, the same on both sides.
    pub checksum: String,
}

/// Moves the store in the file `from` into the database. May be called again after it broke off, as
/// often as it takes.
///
/// # Errors
/// [`StoreError::Unavailable`] when the file is in use or either side cannot be reached,
/// [`StoreError::Conflict`] when the database holds something else, [`StoreError::Corrupt`] when a row
/// cannot be moved or the sides differ in the end. The file is as it was, then.
pub async fn move_store(from: &Path, to: &PostgresOptions) -> Result<Vec<Moved>> {
    let (_held, file) = sqlite::open_to_move(from)?;
    let (store, incarnation) = identity(&file)?;
    let ahead = sqlite::plans_left_at(&file)?.taken_over();
    let before = sqlite::moved_to(&file)?;
    let (mut database, place) = postgres::connect_to_move(to).await?;
    match target::holds(&mut database).await? {
        Holds::Nothing if before.is_none() => target::begin(&mut database, store, incarnation).await?,
        // Begun there, and then moved elsewhere.
        Holds::Half(..) if before.as_ref().is_some_and(|before| !before.starts_with(&format!("{place} at "))) => {
            return Err(elsewhere(before));
        }
        Holds::Half(source, life) if source == store => {
            // The file was served from since: what is there may be old.
            if life != incarnation && before.is_none() {
                target::begin(&mut database, store, incarnation).await?;
            }
        }
        // It was moved before.
        Holds::Store(known) if known == store => {
            let moved = compare_all(&file, &mut database, ahead).await.map_err(|error| {
                StoreError::Conflict(format!("the database holds this store already, and has gone on since: {error}"))
            })?;
            mark(&file, &place)?;
            return Ok(moved);
        }
        Holds::Nothing => return Err(elsewhere(before)),
        Holds::Half(..) | Holds::Store(_) => {
            return Err(StoreError::Conflict(
                "the database holds another store; give this one a database of its own".into(),
            ));
        }
    }
    for table in TABLES {
        move_table(&file, &mut database, table, ahead).await?;
    }
    let moved = compare_all(&file, &mut database, ahead).await?;
    let number = |sql: &str| file.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(source::unreadable);
    let position = number("SELECT coalesce(max(position), 0) FROM events")?;
    let entered_to = number("SELECT position FROM delivery_cursor")?;
    crash_point_before_the_end();
    let life = postgres::life(&mut database).await?;
    mark(&file, &place)?;
    crash_point_after_the_mark();
    target::finish(&mut database, store, &life, position, entered_to).await?;
    let _ = database.close().await;
    Ok(moved)
}

fn elsewhere(before: Option<String>) -> StoreError {
    let before = before.unwrap_or_default();
    StoreError::Conflict(format!("the store was moved to {before} and is not moved to a second place"))
}

fn identity(file: &Connection) -> Result<(Uuid, Uuid)> {
    let row = file.query_row("SELECT store, incarnation FROM meta", [], |row| {
        Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Vec<u8>>(1)?))
    });
    let row = row.optional().map_err(source::unreadable)?;
    let (store, incarnation) = row.ok_or_else(|| StoreError::Corrupt("the file was never served from".into()))?;
    let id = |bytes: &[u8]| Uuid::from_slice(bytes).map_err(|error| value::corrupt("meta", "store", error));
    Ok((id(&store)?, id(&incarnation)?))
}

async fn move_table(file: &Connection, database: &mut PgConnection, table: &Table, ahead: i64) -> Result<()> {
    let mut after = target::reached(database, table).await?;
    loop {
        let rows = source::page(file, table, after.as_deref(), PAGE, ahead)?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some(key_of(table, last));
        target::write(database, table, &rows).await?;
        crash_point_page();
    }
}

fn key_of(table: &Table, row: &Row) -> Vec<Value> {
    table.key_columns().filter_map(|(at, _)| row.get(at).cloned()).collect()
}

async fn compare_all(file: &Connection, database: &mut PgConnection, ahead: i64) -> Result<Vec<Moved>> {
    let mut moved = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        let (mut ours, mut after) = (Checksum::new(), None::<Vec<Value>>);
        loop {
            let rows = source::page(file, table, after.as_deref(), PAGE, ahead)?;
            let Some(last) = rows.last() else { break };
            after = Some(key_of(table, last));
            rows.iter().for_each(|row| ours.add(row));
        }
        let mut theirs = Checksum::new();
        target::read_all(database, table, PAGE, |row| theirs.add(row)).await?;
        let ((rows, checksum), (there, other)) = (ours.end(), theirs.end());
        if rows != there || checksum != other {
            return Err(StoreError::Corrupt(format!(
                "{}: the file has {rows} rows ({checksum}), the database {there} ({other})",
                table.name
            )));
        }
        moved.push(Moved { table: table.name, rows, checksum });
    }
    Ok(moved)
}

/// From now on the file is not served from.
fn mark(file: &Connection, place: &str) -> Result<()> {
    sqlite::mark_as_moved(file, place)
        .map_err(|error| StoreError::Unavailable(format!("the file cannot be marked as moved: {error}")))
}

fn crash_point_page() {
    fail::fail_point!("moving.page", |_| std::process::abort());
}

fn crash_point_before_the_end() {
    fail::fail_point!("moving.before_the_end", |_| std::process::abort());
}

fn crash_point_after_the_mark() {
    fail::fail_point!("moving.after_the_mark", |_| std::process::abort());
}

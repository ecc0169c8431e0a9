//! The PostgreSQL side: pages written with the place that was reached, and read back.
//!
//! The texts of the statements are made here from the names in `tables`, and from nothing else.

use dukou_engine::ports::StoreError;
use sqlx::postgres::{PgArguments, PgConnection, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use uuid::Uuid;

use super::tables::Table;
use super::value::{Kind, Row, Value};
use crate::postgres;

/// There while a move is not finished. `source` is the store, `incarnation` the life of its file that was
/// read: a file that was served meanwhile is another.
const PROGRESS: &str = "CREATE TABLE IF NOT EXISTS moving (one smallint PRIMARY KEY CHECK (one = 1), \
     source uuid NOT NULL, incarnation uuid NOT NULL)";

type Result<T> = std::result::Result<T, StoreError>;

pub(super) fn failed(error: sqlx::Error) -> StoreError {
    StoreError::Unavailable(format!("the database: {}", postgres::said(&error)))
}

/// What is in the database.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Nothing,
    /// The beginning of a move from this store in this life.
    Half(Uuid, Uuid),
    /// A store.
    Store(Uuid),
}

pub(super) async fn holds(connection: &mut PgConnection) -> Result<Holds> {
    if postgres::is_half_moved(connection).await? {
        let row = sqlx::query("SELECT source, incarnation FROM moving").fetch_one(connection).await.map_err(failed)?;
        return Ok(Holds::Half(row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?));
    }
    let row = sqlx::query("SELECT store FROM meta").fetch_optional(connection).await.map_err(failed)?;
    Ok(match row {
        Some(row) => Holds::Store(get(row)?),
        None => Holds::Nothing,
    })
}

fn get<T>(row: PgRow) -> Result<T>
where
    T: for<'r> sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>,
{
    row.try_get(0).map_err(failed)
}

/// Notes that a move has begun, with nothing there.
pub(super) async fn begin(connection: &mut PgConnection, source: Uuid, incarnation: Uuid) -> Result<()> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    for table in super::tables::TABLES.iter().rev() {
        let delete = AssertSqlSafe(format!("DELETE FROM {}", table.name));
        sqlx::query(delete).execute(&mut *transaction).await.map_err(failed)?;
    }
    sqlx::query(PROGRESS).execute(&mut *transaction).await.map_err(failed)?;
    sqlx::query("DELETE FROM moving").execute(&mut *transaction).await.map_err(failed)?;
    let note = sqlx::query("INSERT INTO moving (one, source, incarnation) VALUES (1, $1, $2)");
    note.bind(source).bind(incarnation).execute(&mut *transaction).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

/// The key of the last row that is there.
pub(super) async fn reached(connection: &mut PgConnection, table: &Table) -> Result<Option<Vec<Value>>> {
    let key: Vec<&str> = table.key_columns().map(|(_, column)| column.name).collect();
    let backwards: Vec<String> = table.key_columns().map(|(_, column)| format!("{} DESC", ordered(column))).collect();
    let sql = format!("SELECT {} FROM {} ORDER BY {} LIMIT 1", key.join(", "), table.name, backwards.join(", "));
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_optional(connection).await.map_err(failed)?;
    row.map(|row| table.key_columns().enumerate().map(|(at, (_, column))| read(&row, at, column.kind)).collect())
        .transpose()
}

/// Bytes in their order, as SQLite has it.
fn ordered(column: &super::tables::Column) -> String {
    match column.kind {
        Kind::Text => format!("{} COLLATE \"C\"", column.name),
        _ => column.name.to_owned(),
    }
}

pub(super) async fn write(connection: &mut PgConnection, table: &Table, rows: &[Row]) -> Result<()> {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let arrays: Vec<String> =
        (1..).zip(table.columns).map(|(place, column)| format!("${place}::{}[]", column.kind.in_postgres())).collect();
    // The numbers of calls are the file's own.
    let own = if table.name == "platform_calls" { "OVERRIDING SYSTEM VALUE " } else { "" };
    let sql =
        format!("INSERT INTO {} ({}) {own}SELECT * FROM unnest({})", table.name, names.join(", "), arrays.join(", "));
    let mut query = sqlx::query(AssertSqlSafe(sql));
    for (at, column) in table.columns.iter().enumerate() {
        query = bind(query, rows, at, column.kind);
    }
    query.execute(connection).await.map_err(failed)?;
    Ok(())
}

type Asked<'q> = Query<'q, Postgres, PgArguments>;

fn bind<'q>(query: Asked<'q>, rows: &[Row], at: usize, kind: Kind) -> Asked<'q> {
    fn each<'r, T>(rows: &'r [Row], at: usize, value: impl Fn(&'r Value) -> Option<T>) -> Vec<Option<T>> {
        rows.iter().map(|row| row.get(at).and_then(&value)).collect()
    }
    match kind {
        Kind::Text => query.bind(each(rows, at, |value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })),
        Kind::Integer | Kind::Plan => query.bind(each(rows, at, |value| match value {
            Value::Integer(number) => Some(*number),
            _ => None,
        })),
        Kind::Flag => query.bind(each(rows, at, |value| match value {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        })),
        Kind::Uuid => query.bind(each(rows, at, |value| match value {
            Value::Uuid(id) => Some(*id),
            _ => None,
        })),
        Kind::Bytes => query.bind(each(rows, at, |value| match value {
            Value::Bytes(bytes) => Some(bytes.as_slice()),
            _ => None,
        })),
    }
}

/// Reads the whole table in the order of keys, as it is at one moment, and gives every row to `each`.
pub(super) async fn read_all(
    connection: &mut PgConnection,
    table: &Table,
    limit: usize,
    mut each: impl FnMut(&Row),
) -> Result<()> {
    let columns: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let key: Vec<String> = table.key_columns().map(|(_, column)| ordered(column)).collect();
    let sql = format!(
        "DECLARE whole NO SCROLL CURSOR FOR SELECT {} FROM {} ORDER BY {}",
        columns.join(", "),
        table.name,
        key.join(", ")
    );
    let mut transaction = connection.begin().await.map_err(failed)?;
    sqlx::query(AssertSqlSafe(sql)).execute(&mut *transaction).await.map_err(failed)?;
    let fetch = format!("FETCH {limit} FROM whole");
    loop {
        // Never kept prepared: the same words give another table's columns the next time.
        let next = sqlx::query(AssertSqlSafe(fetch.clone())).persistent(false);
        let rows = next.fetch_all(&mut *transaction).await.map_err(failed)?;
        if rows.is_empty() {
            return transaction.commit().await.map_err(failed);
        }
        for row in &rows {
            let values = table.columns.iter().enumerate().map(|(at, column)| read(row, at, column.kind));
            each(&values.collect::<Result<Row>>()?);
        }
    }
}

fn read(row: &PgRow, at: usize, kind: Kind) -> Result<Value> {
    let read = || -> sqlx::Result<Value> {
        Ok(match kind {
            Kind::Text => row.try_get::<Option<String>, _>(at)?.map_or(Value::Null, Value::Text),
            Kind::Integer | Kind::Plan => row.try_get::<Option<i64>, _>(at)?.map_or(Value::Null, Value::Integer),
            Kind::Flag => row.try_get::<Option<bool>, _>(at)?.map_or(Value::Null, Value::Flag),
            Kind::Uuid => row.try_get::<Option<Uuid>, _>(at)?.map_or(Value::Null, Value::Uuid),
            Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(at)?.map_or(Value::Null, Value::Bytes),
        })
    };
    read().map_err(failed)
}

/// Makes a store of what was moved.
pub(super) async fn finish(
    connection: &mut PgConnection,
    source: Uuid,
    life: &str,
    position: i64,
    entered_to: i64,
) -> Result<()> {
    let mut transaction = connection.begin().await.map_err(failed)?;
    let meta = sqlx::query("INSERT INTO meta (one, store, incarnation, life) VALUES (1, $1, $2, $3)");
    let meta = meta.bind(source).bind(Uuid::new_v4()).bind(life);
    meta.execute(&mut *transaction).await.map_err(failed)?;
    let log = sqlx::query("UPDATE event_log SET position = $1 WHERE one = 1").bind(position);
    log.execute(&mut *transaction).await.map_err(failed)?;
    let cursor = sqlx::query("UPDATE delivery_cursor SET position = $1 WHERE one = 1").bind(entered_to);
    cursor.execute(&mut *transaction).await.map_err(failed)?;
    // New calls are numbered after those that came.
    let numbers = "SELECT setval(pg_get_serial_sequence('platform_calls', 'row'), \
                   (SELECT coalesce(max(row), 0) + 1 FROM platform_calls), false)";
    sqlx::query(numbers).execute(&mut *transaction).await.map_err(failed)?;
    sqlx::query("DROP TABLE moving").execute(&mut *transaction).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)
}

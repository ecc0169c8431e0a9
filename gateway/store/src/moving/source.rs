//! The SQLite side: rows page by page.

use dukou_engine::ports::StoreError;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ToSql, params_from_iter};

use super::tables::Table;
use super::value::{Kind, Row, Value, corrupt};

/// The rows after a key, at most `limit`, in the order of keys. Plans are so many milliseconds ahead of the clock.
pub(super) fn page(
    connection: &Connection,
    table: &Table,
    after: Option<&[Value]>,
    limit: usize,
    ahead: i64,
) -> Result<Vec<Row>, StoreError> {
    let mut statement = connection.prepare_cached(&sql(table, after.is_some(), limit)).map_err(unreadable)?;
    let key: Vec<Box<dyn ToSql>> = after.into_iter().flatten().map(parameter).collect();
    let mut rows = statement.query(params_from_iter(key)).map_err(unreadable)?;
    let mut page = Vec::new();
    while let Some(row) = rows.next().map_err(unreadable)? {
        let mut values = Vec::with_capacity(table.columns.len());
        for (index, column) in table.columns.iter().enumerate() {
            let value = row.get_ref(index).map_err(unreadable)?;
            values.push(read(value, column.kind, ahead).map_err(|why| corrupt(table.name, column.name, why))?);
        }
        page.push(values);
    }
    Ok(page)
}

fn sql(table: &Table, after: bool, limit: usize) -> String {
    let columns: Vec<&str> = table.columns.iter().map(|column| column.source).collect();
    let key: Vec<&str> = table.key_columns().map(|(_, column)| column.source).collect();
    let key = key.join(", ");
    let places: Vec<String> = (1..=table.key.len()).map(|place| format!("?{place}")).collect();
    let condition = if after { format!(" WHERE ({key}) > ({})", places.join(", ")) } else { String::new() };
    format!("SELECT {} FROM {}{condition} ORDER BY {key} LIMIT {limit}", columns.join(", "), table.source)
}

fn parameter(value: &Value) -> Box<dyn ToSql> {
    match value {
        Value::Null => Box::new(rusqlite::types::Null),
        Value::Text(text) => Box::new(text.clone()),
        Value::Integer(number) => Box::new(*number),
        Value::Flag(flag) => Box::new(*flag),
        Value::Uuid(id) => Box::new(id.as_bytes().to_vec()),
        Value::Bytes(bytes) => Box::new(bytes.clone()),
    }
}

fn read(value: ValueRef<'_>, kind: Kind, ahead: i64) -> Result<Value, String> {
    let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| "is not UTF-8".to_owned());
    Ok(match (kind, value) {
        (_, ValueRef::Null) => Value::Null,
        // PostgreSQL's texts hold no NUL.
        (Kind::Text, ValueRef::Text(bytes)) if bytes.contains(&0) => return Err("holds a NUL".into()),
        (Kind::Text, ValueRef::Text(bytes)) => Value::Text(utf8(bytes)?),
        (Kind::Integer, ValueRef::Integer(number)) => Value::Integer(number),
        (Kind::Plan, ValueRef::Integer(number)) => Value::Integer(number.saturating_sub(ahead)),
        (Kind::Flag, ValueRef::Integer(number)) => Value::Flag(number != 0),
        (Kind::Uuid, ValueRef::Blob(bytes)) => {
            Value::Uuid(uuid::Uuid::from_slice(bytes).map_err(|_| "is not 16 bytes".to_owned())?)
        }
        (Kind::Bytes, ValueRef::Blob(bytes)) => Value::Bytes(bytes.to_vec()),
        (kind, other) => return Err(format!("holds {:?} where {kind:?} is expected", other.data_type())),
    })
}

pub(super) fn unreadable(error: rusqlite::Error) -> StoreError {
    StoreError::Corrupt(format!("the file cannot be read: {error}"))
}

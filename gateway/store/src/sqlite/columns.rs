//! A row of SQLite, column by column.

use dukou_engine::ports::StoreError;
use rusqlite::Row;
use rusqlite::types::ValueRef;
use uuid::Uuid;

use super::error::{Result, corrupt, store_error};
use crate::rows::ReadColumns;

pub(super) struct Columns<'r, 'stmt> {
    row: &'r Row<'stmt>,
    next: usize,
}

impl<'r, 'stmt> Columns<'r, 'stmt> {
    pub fn new(row: &'r Row<'stmt>) -> Self {
        Columns { row, next: 0 }
    }

    fn value(&mut self) -> Result<ValueRef<'r>> {
        let index = self.next;
        self.next += 1;
        self.row.get_ref(index).map_err(store_error)
    }
}

impl<'r> ReadColumns<'r> for Columns<'r, '_> {
    fn optional_text(&mut self) -> Result<Option<&'r str>> {
        match self.value()? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(text) => std::str::from_utf8(text).map(Some).map_err(|_| self.wrong("UTF-8")),
            _ => Err(self.wrong("a text")),
        }
    }

    fn blob(&mut self) -> Result<&'r [u8]> {
        match self.value()? {
            ValueRef::Blob(bytes) => Ok(bytes),
            _ => Err(self.wrong("a blob")),
        }
    }

    fn optional_uuid(&mut self) -> Result<Option<Uuid>> {
        match self.value()? {
            ValueRef::Null => Ok(None),
            ValueRef::Blob(bytes) => Uuid::from_slice(bytes).map(Some).map_err(|_| self.wrong("16 bytes")),
            _ => Err(self.wrong("a blob")),
        }
    }

    fn optional_integer(&mut self) -> Result<Option<i64>> {
        match self.value()? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(value) => Ok(Some(value)),
            _ => Err(self.wrong("an integer")),
        }
    }

    fn flag(&mut self) -> Result<bool> {
        Ok(self.integer()? != 0)
    }

    fn wrong(&self, expected: &str) -> StoreError {
        let statement: &rusqlite::Statement<'_> = self.row.as_ref();
        let name = statement.column_name(self.next - 1).unwrap_or("column");
        corrupt(name, format_args!("expected {expected}"))
    }
}

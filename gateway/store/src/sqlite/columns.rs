//! Reads a row's columns one after another into the domain's types.

use dukou_domain::{Currency, InvalidId, Money, Timestamp};
use rusqlite::Row;
use rusqlite::types::ValueRef;
use uuid::Uuid;

use super::error::{Result, corrupt, store_error};

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

    fn wrong(&self, expected: &str) -> dukou_engine::ports::StoreError {
        let index = self.next - 1;
        let statement: &rusqlite::Statement<'_> = self.row.as_ref();
        corrupt(statement.column_name(index).unwrap_or("column"), format_args!("expected {expected}"))
    }

    pub fn optional_text(&mut self) -> Result<Option<&'r str>> {
        match self.value()? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(text) => std::str::from_utf8(text).map(Some).map_err(|_| self.wrong("UTF-8")),
            _ => Err(self.wrong("a text")),
        }
    }

    pub fn text(&mut self) -> Result<&'r str> {
        self.optional_text()?.ok_or_else(|| self.wrong("a text"))
    }

    pub fn optional_string(&mut self) -> Result<Option<String>> {
        Ok(self.optional_text()?.map(str::to_owned))
    }

    pub fn string(&mut self) -> Result<String> {
        Ok(self.text()?.to_owned())
    }

    pub fn blob(&mut self) -> Result<&'r [u8]> {
        match self.value()? {
            ValueRef::Blob(bytes) => Ok(bytes),
            _ => Err(self.wrong("a blob")),
        }
    }

    pub fn uuid(&mut self) -> Result<Uuid> {
        let bytes = self.blob()?;
        Uuid::from_slice(bytes).map_err(|_| self.wrong("16 bytes"))
    }

    pub fn optional_uuid(&mut self) -> Result<Option<Uuid>> {
        match self.value()? {
            ValueRef::Null => Ok(None),
            ValueRef::Blob(bytes) => Uuid::from_slice(bytes).map(Some).map_err(|_| self.wrong("16 bytes")),
            _ => Err(self.wrong("a blob")),
        }
    }

    pub fn optional_integer(&mut self) -> Result<Option<i64>> {
        match self.value()? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(value) => Ok(Some(value)),
            _ => Err(self.wrong("an integer")),
        }
    }

    pub fn integer(&mut self) -> Result<i64> {
        self.optional_integer()?.ok_or_else(|| self.wrong("an integer"))
    }

    pub fn small(&mut self) -> Result<u32> {
        let value = self.integer()?;
        u32::try_from(value).map_err(|_| self.wrong("an integer from 0 to 4294967295"))
    }

    pub fn flag(&mut self) -> Result<bool> {
        Ok(self.integer()? != 0)
    }

    pub fn time(&mut self) -> Result<Timestamp> {
        Ok(Timestamp::from_millis(self.integer()?))
    }

    pub fn optional_time(&mut self) -> Result<Option<Timestamp>> {
        Ok(self.optional_integer()?.map(Timestamp::from_millis))
    }

    pub fn id<T>(&mut self, read: fn(&str) -> std::result::Result<T, InvalidId>) -> Result<T> {
        let text = self.text()?;
        read(text).map_err(|invalid| corrupt(text, invalid))
    }

    pub fn optional_id<T>(&mut self, read: fn(&str) -> std::result::Result<T, InvalidId>) -> Result<Option<T>> {
        self.optional_text()?.map(|text| read(text).map_err(|invalid| corrupt(text, invalid))).transpose()
    }

    /// A word of a closed list.
    pub fn word<T>(&mut self, read: impl Fn(&str) -> Option<T>) -> Result<T> {
        let text = self.text()?;
        read(text).ok_or_else(|| corrupt(text, "not a word this program knows"))
    }

    /// An amount whose currency is in another column.
    pub fn money(&mut self, currency: Currency) -> Result<Money> {
        let minor = self.integer()?;
        Money::new(minor, currency).map_err(|error| corrupt("amount", error))
    }
}

//! Reads a row's columns one after another into the domain's types.

use dukou_domain::{Currency, InvalidId, Money, Timestamp};
use sqlx::postgres::{PgRow, Postgres};
use sqlx::{Column as _, Decode, Row as _, Type};
use uuid::Uuid;

use super::error::{Result, corrupt, store_error};

pub(super) struct Columns<'r> {
    row: &'r PgRow,
    next: usize,
}

impl<'r> Columns<'r> {
    pub fn new(row: &'r PgRow) -> Self {
        Columns { row, next: 0 }
    }

    fn value<T: Decode<'r, Postgres> + Type<Postgres>>(&mut self) -> Result<T> {
        let index = self.next;
        self.next += 1;
        self.row.try_get(index).map_err(store_error)
    }

    fn wrong(&self, expected: &str) -> dukou_engine::ports::StoreError {
        corrupt(self.row.column(self.next - 1).name(), format_args!("expected {expected}"))
    }

    pub fn optional_text(&mut self) -> Result<Option<&'r str>> {
        self.value()
    }

    pub fn text(&mut self) -> Result<&'r str> {
        self.value()
    }

    pub fn optional_string(&mut self) -> Result<Option<String>> {
        self.value()
    }

    pub fn string(&mut self) -> Result<String> {
        self.value()
    }

    pub fn blob(&mut self) -> Result<&'r [u8]> {
        self.value()
    }

    pub fn uuid(&mut self) -> Result<Uuid> {
        self.value()
    }

    pub fn optional_uuid(&mut self) -> Result<Option<Uuid>> {
        self.value()
    }

    pub fn optional_integer(&mut self) -> Result<Option<i64>> {
        self.value()
    }

    pub fn integer(&mut self) -> Result<i64> {
        self.value()
    }

    pub fn small(&mut self) -> Result<u32> {
        let value = self.integer()?;
        u32::try_from(value).map_err(|_| self.wrong("an integer from 0 to 4294967295"))
    }

    /// Which of the things asked for a row belongs to, as [`places`] numbered them.
    pub fn place(&mut self) -> Result<usize> {
        let value = self.integer()?;
        usize::try_from(value).map_err(|_| self.wrong("a place"))
    }

    pub fn flag(&mut self) -> Result<bool> {
        self.value()
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

/// Numbers for the things that one statement asks for.
pub(super) fn place(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

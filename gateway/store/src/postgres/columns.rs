//! A row of PostgreSQL, column by column, and arrays of values for many rows.

use dukou_engine::ports::StoreError;
use sqlx::postgres::{PgRow, Postgres};
use sqlx::{Column as _, Decode, Row as _, Type};
use uuid::Uuid;

use super::error::{Result, corrupt, store_error};
use crate::rows::ReadColumns;

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

    /// Which of the things asked for a row belongs to, as [`place`] numbered them.
    pub fn place(&mut self) -> Result<usize> {
        let value = self.integer()?;
        usize::try_from(value).map_err(|_| self.wrong("a place"))
    }
}

impl<'r> ReadColumns<'r> for Columns<'r> {
    fn optional_text(&mut self) -> Result<Option<&'r str>> {
        self.value()
    }

    fn blob(&mut self) -> Result<&'r [u8]> {
        self.value()
    }

    fn optional_uuid(&mut self) -> Result<Option<Uuid>> {
        self.value()
    }

    fn optional_integer(&mut self) -> Result<Option<i64>> {
        self.value()
    }

    fn flag(&mut self) -> Result<bool> {
        self.value()
    }

    fn wrong(&self, expected: &str) -> StoreError {
        corrupt(self.row.column(self.next - 1).name(), format_args!("expected {expected}"))
    }
}

/// Numbers for the things that one statement asks for.
pub(super) fn place(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

/// One value of each, for an array.
pub(super) fn each<'i, I, T>(items: &'i [I], value: impl Fn(&'i I) -> T) -> Vec<T> {
    items.iter().map(value).collect()
}

/// What a delivery is read from, of `deliveries v`.
macro_rules! delivery_columns {
    () => {
        "v.id, v.tenant, v.event, v.kind, v.position, v.state, v.made, v.failed, coalesce(v.leased_from, v.next_at), \
         v.created_at, v.delivered_at, v.tries"
    };
}
pub(super) use delivery_columns;

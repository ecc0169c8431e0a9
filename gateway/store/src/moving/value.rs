//! A row as both databases say it.

use dukou_engine::ports::StoreError;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// What PostgreSQL keeps a column as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Integer,
    /// The moment of a plan, an integer: in the steady time in SQLite, by the clock in what is moved.
    Plan,
    /// An integer in SQLite.
    Flag,
    /// 16 bytes in SQLite.
    Uuid,
    Bytes,
}

impl Kind {
    pub const fn in_postgres(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Integer | Kind::Plan => "bigint",
            Kind::Flag => "boolean",
            Kind::Uuid => "uuid",
            Kind::Bytes => "bytea",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Text(String),
    Integer(i64),
    Flag(bool),
    Uuid(Uuid),
    Bytes(Vec<u8>),
}

pub(super) type Row = Vec<Value>;

/// Grows with every row, in the order of keys: equal on both sides when all rows are.
pub(super) struct Checksum {
    sum: Sha256,
    pub rows: u64,
}

impl Checksum {
    pub fn new() -> Self {
        Checksum { sum: Sha256::new(), rows: 0 }
    }

    pub fn add(&mut self, row: &Row) {
        for value in row {
            // Each value with its kind and its length, so that none runs over into the next.
            let (kind, bytes): (u8, &[u8]) = match value {
                Value::Null => (0, &[]),
                Value::Text(text) => (1, text.as_bytes()),
                Value::Integer(number) => (2, &number.to_be_bytes()),
                Value::Flag(flag) => (3, &[u8::from(*flag)]),
                Value::Uuid(id) => (4, id.as_bytes()),
                Value::Bytes(bytes) => (5, bytes),
            };
            self.sum.update([kind]);
            self.sum.update((bytes.len() as u64).to_be_bytes());
            self.sum.update(bytes);
        }
        self.rows += 1;
    }

    pub fn end(self) -> (u64, String) {
        (self.rows, hex::encode(self.sum.finalize()))
    }
}

pub(super) fn corrupt(table: &str, column: &str, why: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("{table}.{column}: {why}"))
}

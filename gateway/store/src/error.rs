//! Errors in the port's words.

use dukou_engine::ports::StoreError;

pub(crate) type Result<T> = std::result::Result<T, StoreError>;

pub(crate) fn corrupt(what: &str, why: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("{what}: {why}"))
}

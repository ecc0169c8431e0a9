//! Errors in the port's words.

use dukou_engine::ports::StoreError;

pub(crate) type Result<T> = std::result::Result<T, StoreError>;

/// A schema that does not go with this program, in its own words: what is stored is in good order, mostly.
pub(crate) fn mismatch(why: crate::migrate::Mismatch) -> StoreError {
    StoreError::Corrupt(why.to_string())
}

pub(crate) fn corrupt(what: &str, why: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(format!("{what}: {why}"))
}

//! SQLite's errors in the port's words.

use dukou_engine::ports::StoreError;
use rusqlite::ErrorCode;

pub(super) use crate::error::{Result, corrupt};

/// What a failing statement means to the caller. The transaction it failed in is not committed, so
/// nothing was written whatever the reason.
pub(super) fn store_error(error: rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::ConstraintViolation) => StoreError::Conflict(error.to_string()),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(error.to_string()),
        Some(_) => StoreError::Unavailable(error.to_string()),
        None => StoreError::Corrupt(error.to_string()),
    }
}

//! PostgreSQL's errors in the port's words.

use dukou_engine::ports::StoreError;

pub(super) use crate::error::{Result, corrupt};

/// What a failing statement means to the caller. The transaction it failed in is not committed, so
/// nothing was written whatever the reason.
pub(super) fn store_error(error: sqlx::Error) -> StoreError {
    match &error {
        sqlx::Error::Database(refused) => match refused.code().as_deref().unwrap_or("") {
            // A unique key; a row twice in one statement; a deadlock; a snapshot that is too old.
            "23505" | "23503" | "21000" | "40P01" | "40001" => StoreError::Conflict(error.to_string()),
            // Its data or its schema is not what this program can use, or a value is one that it cannot keep.
            code if ["XX", "42", "22"].iter().any(|class| code.starts_with(class)) => {
                StoreError::Corrupt(error.to_string())
            }
            _ => StoreError::Unavailable(error.to_string()),
        },
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnIndexOutOfBounds { .. } => {
            StoreError::Corrupt(error.to_string())
        }
        _ => StoreError::Unavailable(error.to_string()),
    }
}

/// Whether the server said that the transaction was taken back. Whatever else comes in the place of
/// a commit's answer leaves open what became of it.
pub(super) fn was_refused(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(refused)
        if refused.code().is_some_and(|code| code.starts_with("40") || code.starts_with("23") || code == "25P02"))
}

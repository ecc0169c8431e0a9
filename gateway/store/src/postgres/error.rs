//! PostgreSQL's errors in the port's words.

use dukou_engine::ports::StoreError;

pub(super) use crate::error::{Result, corrupt};

/// What a failing statement means to the caller. The transaction it failed in is not committed, so
/// nothing was written whatever the reason.
pub(super) fn store_error(error: sqlx::Error) -> StoreError {
    let said = said(&error);
    match &error {
        sqlx::Error::Database(refused) => match refused.code().as_deref().unwrap_or("") {
            // A unique key; a row twice in one statement; a deadlock; a snapshot that is too old.
            "23505" | "23503" | "21000" | "40P01" | "40001" => StoreError::Conflict(said),
            // Its data or its schema is not what this program can use, or a value is one that it cannot keep.
            code if ["XX", "42", "22"].iter().any(|class| code.starts_with(class)) => StoreError::Corrupt(said),
            _ => StoreError::Unavailable(said),
        },
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) | sqlx::Error::ColumnIndexOutOfBounds { .. } => {
            StoreError::Corrupt(said)
        }
        _ => StoreError::Unavailable(said),
    }
}

/// The server's own words: sqlx adds the line of PostgreSQL's source, which reads as one of ours.
pub(crate) fn said(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::Database(refused) => refused.message().to_owned(),
        other => other.to_string(),
    }
}

/// Whether the server said that the transaction was taken back. Whatever else comes in the place of
/// a commit's answer leaves open what became of it.
pub(super) fn was_refused(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(refused)
        if refused.code().is_some_and(|code| code.starts_with("40") || code.starts_with("23") || code == "25P02"))
}

#[cfg(test)]
mod tests {
    use dukou_test_servers::Postgres;
    use sqlx::Connection as _;
    use sqlx::postgres::PgConnection;

    use super::*;

    #[tokio::test]
    async fn what_the_server_says_is_told_without_a_place_in_its_own_source() {
        let mut connection = PgConnection::connect(&Postgres::shared().new_database()).await.unwrap();
        let refused = sqlx::query("SELECT * FROM nowhere").execute(&mut connection).await.unwrap_err();
        let said = store_error(refused).to_string();
        assert!(said.contains(r#"relation "nowhere" does not exist"#), "{said}");
        assert!(!said.contains(" at line "), "{said}");
    }
}

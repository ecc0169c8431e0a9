//! Whether the database has room for more: a full disk still answers every question.

use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use super::error::{Result, store_error};

/// 64 KiB in a file of its own, which the rollback takes away again.
const TAKE: &str = "CREATE TABLE dukou_room AS SELECT repeat('0', 1000) AS filler FROM generate_series(1, 66)";

/// Writes, and takes it back.
///
/// # Errors
/// As the database refused it. Where tables may not be made, nothing can be learned, and it is none.
pub(super) async fn prove(connection: &mut PgConnection) -> Result<()> {
    let mut transaction = connection.begin().await.map_err(store_error)?;
    let taken = sqlx::raw_sql(TAKE).execute(&mut *transaction).await;
    transaction.rollback().await.map_err(store_error)?;
    match taken {
        Err(error) if !is_against_rules(&error) => Err(store_error(error)),
        _ => Ok(()),
    }
}

/// Whether it is not for want of anything: the account may make no table, or nobody may, by a trigger's word.
fn is_against_rules(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|refused| refused.code());
    code.is_some_and(|code| ["0A", "42", "P0"].iter().any(|class| code.starts_with(class)))
}

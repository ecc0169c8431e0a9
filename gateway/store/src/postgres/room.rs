//! Whether the database takes writes again after one that it did not take: a full disk still answers every question, and
//! a change that finds room in a page already there still passes.

use std::sync::atomic::{AtomicBool, Ordering};

use dukou_engine::ports::StoreError;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use super::error::{Result, store_error};

/// 64 KiB in a file of its own, which the rollback takes away again.
const TAKE: &str = "CREATE TABLE dukou_room AS SELECT repeat('0', 1000) AS filler FROM generate_series(1, 66)";

/// What became of the newest writes.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// A transaction failed for the database's sake, and nothing as large as [`TAKE`] found its place since.
    failing: AtomicBool,
}

impl Room {
    pub fn is_doubtful(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// A transaction was taken back because of `error`.
    pub fn note(&self, error: &StoreError) {
        if let StoreError::Unavailable(why) = error
            && !self.failing.swap(true, Ordering::Relaxed)
        {
            tracing::error!(why, "the store cannot write");
        }
    }

    /// Writes, and takes it back.
    ///
    /// # Errors
    /// As the database refused it. Where tables may not be made, nothing can be learned, and it is none.
    pub async fn prove(&self, connection: &mut PgConnection) -> Result<()> {
        let mut transaction = connection.begin().await.map_err(store_error)?;
        let taken = sqlx::raw_sql(TAKE).execute(&mut *transaction).await;
        transaction.rollback().await.map_err(store_error)?;
        if let Err(error) = taken
            && !is_against_rules(&error)
        {
            return Err(store_error(error));
        }
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::warn!("the store takes writes again");
        }
        Ok(())
    }
}

/// Whether it is not for want of anything: the account may make no table, or nobody may, by a trigger's word.
fn is_against_rules(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|refused| refused.code());
    code.is_some_and(|code| ["0A", "42", "P0"].iter().any(|class| code.starts_with(class)))
}

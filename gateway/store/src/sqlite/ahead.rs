//! How far plans are ahead of the machine's clock, from one life of the process to the next.

use super::SqliteStore;
use super::error::{Result, store_error};

const FIND: &str = "SELECT plans_ahead FROM meta";
const KEEP: &str = "UPDATE meta SET plans_ahead = ?1";

impl SqliteStore {
    /// What [`SqliteStore::keep_plans_ahead`] was told last, in milliseconds; 0 in a new ledger.
    ///
    /// # Errors
    /// As for every read.
    pub async fn plans_ahead(&self) -> Result<i64> {
        self.read(|connection| connection.query_row(FIND, [], |row| row.get(0)).map_err(store_error)).await
    }

    /// Keeps by how many milliseconds the time that plans are in is ahead of the clock.
    ///
    /// # Errors
    /// As for every write.
    pub async fn keep_plans_ahead(&self, ahead: i64) -> Result<()> {
        self.write(move |w| w.execute(KEEP, [ahead]).map(drop)).await
    }
}

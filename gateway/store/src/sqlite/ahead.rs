//! Where the time that plans are kept in stands, from one life of the process to the next.

use dukou_domain::Timestamp;
use rusqlite::{Connection, params};

use super::SqliteStore;
use super::error::{Result, store_error};
use crate::steady::LeftAt;

const FIND: &str = "SELECT plans_ahead, plans_reached FROM meta";
const KEEP: &str = "UPDATE meta SET plans_ahead = ?1, plans_reached = ?2";

impl SqliteStore {
    /// What [`SqliteStore::keep_plans_left_at`] was told last.
    ///
    /// # Errors
    /// As for every read.
    pub async fn plans_left_at(&self) -> Result<LeftAt> {
        self.read(plans_left_at).await
    }

    /// Keeps where the time that plans are in stands.
    ///
    /// # Errors
    /// As for every write.
    pub async fn keep_plans_left_at(&self, left: LeftAt) -> Result<()> {
        let LeftAt { ahead, moment } = left;
        self.write(move |w| w.execute(KEEP, params![ahead, moment.as_millis()]).map(drop)).await
    }
}

pub(crate) fn plans_left_at(connection: &Connection) -> Result<LeftAt> {
    let found = connection.query_row(FIND, [], |row| Ok((row.get(0)?, row.get(1)?)));
    let (ahead, reached) = found.map_err(store_error)?;
    Ok(LeftAt { ahead, moment: Timestamp::from_millis(reached) })
}

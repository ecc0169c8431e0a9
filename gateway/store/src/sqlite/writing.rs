//! What a request may do inside the writer's transaction.

use rusqlite::{Connection, Params};

use super::error::{Result, store_error};

/// The writer's connection during a transaction. Every write goes through here, so that the
/// writer knows whether there is anything to commit or to take back.
pub(super) struct Writing<'c> {
    connection: &'c Connection,
    wrote: bool,
    position: i64,
}

impl<'c> Writing<'c> {
    pub fn new(connection: &'c Connection, position: i64) -> Self {
        Writing { connection, wrote: false, position }
    }

    pub fn connection(&self) -> &'c Connection {
        self.connection
    }

    /// Whether a statement changed a row since this value was made.
    pub fn wrote(&self) -> bool {
        self.wrote
    }

    /// The position of the newest event, committed or not.
    pub fn position(&self) -> i64 {
        self.position
    }

    /// The position for an event that is about to be written.
    pub fn next_position(&mut self) -> i64 {
        self.position += 1;
        self.position
    }

    /// Returns how many rows changed.
    pub fn execute(&mut self, sql: &str, params: impl Params) -> Result<usize> {
        let mut statement = self.connection.prepare_cached(sql).map_err(store_error)?;
        let changed = statement.execute(params).map_err(store_error)?;
        self.wrote |= changed > 0;
        Ok(changed)
    }

    /// Runs a writing statement that returns one integer for each row it changed.
    pub fn execute_returning(&mut self, sql: &str, params: impl Params) -> Result<Vec<i64>> {
        let mut statement = self.connection.prepare_cached(sql).map_err(store_error)?;
        let rows = statement.query_map(params, |row| row.get(0)).map_err(store_error)?;
        let rows: Vec<i64> = rows.collect::<rusqlite::Result<_>>().map_err(store_error)?;
        self.wrote |= !rows.is_empty();
        Ok(rows)
    }
}

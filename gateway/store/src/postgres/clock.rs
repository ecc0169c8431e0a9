//! The database's clock: the one that all instances see.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dukou_domain::Timestamp;
use dukou_spi::Clock;
use sqlx::postgres::PgConnection;

use super::columns::Columns;
use super::error::{Result, store_error};
use crate::rows::ReadColumns as _;

const NOW: &str = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// An answer that took longer says too little of the moment.
const PROMPT: Duration = Duration::from_millis(500);

/// What the database's clock showed, and when that was here.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    shown: Timestamp,
    at: Instant,
}

/// The database's clock, read from time to time; in between it goes on with the time that passes here, whatever is
/// done to the machine's clock.
pub(super) struct DatabaseClock(Mutex<Reading>);

impl DatabaseClock {
    pub fn new(reading: Reading) -> Self {
        DatabaseClock(Mutex::new(reading))
    }

    pub fn set(&self, reading: Reading) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reading;
    }
}

impl Clock for DatabaseClock {
    fn now(&self) -> Timestamp {
        let Reading { shown, at } = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shown.plus(at.elapsed())
    }
}

/// Reads the clock, and says whether the answer was prompt.
pub(super) async fn read(connection: &mut PgConnection) -> Result<(Reading, bool)> {
    let asked = Instant::now();
    let row = sqlx::query(NOW).fetch_one(connection).await.map_err(store_error)?;
    let (shown, took) = (Columns::new(&row).time()?, asked.elapsed());
    Ok((Reading { shown, at: asked + took / 2 }, took < PROMPT))
}

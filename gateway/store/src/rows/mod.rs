//! Rows of either database as the engine's records.
//!
//! What a record is read from has the same columns in the same order on both; how a column is read is the
//! database's own.

mod columns;
mod deliveries;
mod events;
mod payments;
mod plugins;
mod questions;
mod refunds;

use dukou_engine::ports::StoreError;

pub(crate) use columns::{ReadColumns, before};
pub(crate) use deliveries::{Heads, backlog, delivery};
pub(crate) use events::{answer, call, event, message};
pub(crate) use payments::{attempt, payment};
pub(crate) use plugins::{document, owned_document, tenant_column};
pub(crate) use questions::{head, open_questions};
pub(crate) use refunds::{open_refund, refund, request};

/// One that is due and cannot be read holds up nobody: it is told, and comes again when it is due again.
pub(crate) fn readable<T>(read: Result<T, StoreError>) -> Option<Result<T, StoreError>> {
    match read {
        Err(StoreError::Corrupt(why)) => {
            tracing::error!(why, "what is due cannot be read and is passed over");
            None
        }
        Ok(_) | Err(StoreError::Unavailable(_) | StoreError::Unknown(_) | StoreError::Conflict(_)) => Some(read),
    }
}

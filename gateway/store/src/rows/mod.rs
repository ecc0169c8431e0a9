//! Rows of either database as the engine's records.
//!
//! What a record is read from has the same columns in the same order on both; how a column is read is the
//! database's own.

mod columns;
mod deliveries;
mod events;
mod payments;
mod plugins;
mod refunds;

pub(crate) use columns::{ReadColumns, before};
pub(crate) use deliveries::{Heads, backlog, delivery};
pub(crate) use events::{answer, call, event, message};
pub(crate) use payments::{attempt, payment};
pub(crate) use plugins::{document, owned_document, tenant_column};
pub(crate) use refunds::{open_refund, refund, request};

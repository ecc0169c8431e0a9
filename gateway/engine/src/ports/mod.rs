//! What the engine needs from outside, as traits.

#![warn(missing_docs)]

mod coordinator;
mod deliveries;
mod history;
mod plugins;
mod questions;
mod store;
mod telemetry;

pub use coordinator::{Admission, CallRate, Claim, ClaimToken, Coordinator, Health, Lock, Marker};
pub use deliveries::{Deliveries, NewDelivery, Room};
pub use history::History;
pub use plugins::{DocumentOwner, PluginRecords};
pub use questions::Questions;
pub use store::{Change, Decide, Old, PaymentKey, Store, StoreError, Target, View};
pub use telemetry::{IdempotencyOutcome, NotifyOutcome, Telemetry};

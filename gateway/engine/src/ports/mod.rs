//! What the engine needs from outside, as traits.

mod coordinator;
mod store;
mod telemetry;

pub use coordinator::{Claim, ClaimToken, Coordinator, Health, Lock, Marker};
pub use store::{Change, Decide, PaymentKey, Store, StoreError, Target, View};
pub use telemetry::{IdempotencyOutcome, NotifyOutcome, Telemetry};

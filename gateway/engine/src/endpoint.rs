//! Where a merchant's backend hears of events.

use dukou_domain::Timestamp;

/// How a tenant's endpoint is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Endpoint {
    /// The first failure after the last success.
    pub failing_since: Option<Timestamp>,
    /// Since when nothing is sent to it.
    pub disabled_at: Option<Timestamp>,
}

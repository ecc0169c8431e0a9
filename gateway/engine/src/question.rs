//! What the store keeps of questions that are due.

use dukou_domain::Timestamp;

/// What is asked after.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Asked {
    Payments,
    Refunds,
}

/// The payments, or the refunds, that are asked after one behind another: those of a tenant that were made with one
/// provider and are in one state. So neither a provider that is silent nor a state with many holds up another. In the
/// store's words, which need not be ones that are known here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Queue {
    pub tenant: String,
    pub provider: String,
    pub state: String,
}

/// A queue in which something is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Due {
    pub queue: Queue,
    /// When its first question was due.
    pub since: Timestamp,
}

/// How many may be taken from a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    pub queue: Queue,
    pub limit: u32,
}

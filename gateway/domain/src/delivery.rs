//! What became of the delivery of an event to a merchant's webhook.

use std::fmt;

/// A delivery is tried until it succeeds or its schedule is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// Still to be tried, now or later.
    Pending,
    /// The endpoint took it.
    Delivered,
    /// Every try failed; only somebody's wish brings another.
    Exhausted,
}

impl DeliveryState {
    /// Every state once, for lists and counters that leave none out.
    pub const ALL: [DeliveryState; 3] = [DeliveryState::Pending, DeliveryState::Delivered, DeliveryState::Exhausted];

    /// The public word for the state.
    pub const fn as_str(self) -> &'static str {
        match self {
            DeliveryState::Pending => "pending",
            DeliveryState::Delivered => "delivered",
            DeliveryState::Exhausted => "exhausted",
        }
    }

    /// Reads [`Self::as_str`] back; `None` for any other word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

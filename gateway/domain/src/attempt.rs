//! Where one try to have a payment paid stands.

use std::fmt;

/// At most one attempt of a payment is [`AttemptState::Live`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptState {
    /// It can be paid, or is being sent so that it can.
    Live,
    /// It is being given up for another: to be closed at its platform before anything else.
    Closing,
    /// It can no longer be paid. A success all the same counts, as everywhere.
    Closed,
    /// Its platform refused it, or has another order, paid, under its number.
    Failed,
    /// The payer paid it.
    Paid,
}

impl AttemptState {
    /// Every state once, for lists and counters that leave none out.
    pub const ALL: [AttemptState; 5] =
        [AttemptState::Live, AttemptState::Closing, AttemptState::Closed, AttemptState::Failed, AttemptState::Paid];

    /// The public word for the state.
    pub const fn as_str(self) -> &'static str {
        match self {
            AttemptState::Live => "live",
            AttemptState::Closing => "closing",
            AttemptState::Closed => "closed",
            AttemptState::Failed => "failed",
            AttemptState::Paid => "paid",
        }
    }

    /// Reads [`Self::as_str`] back; `None` for any other word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl fmt::Display for AttemptState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

//! What became of a buyer's wish to get money back.

use std::fmt;

/// A decision is made once; no money moves before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefundRequestState {
    /// The merchant has not decided yet.
    Pending,
    /// The merchant agreed, and the refund was recorded with that; how it ends is told by its own state.
    Approved,
    /// The merchant said no: there is no refund.
    Rejected,
}

impl RefundRequestState {
    /// Every state once, for lists and counters that leave none out.
    pub const ALL: [RefundRequestState; 3] =
        [RefundRequestState::Pending, RefundRequestState::Approved, RefundRequestState::Rejected];

    /// The public word for the state.
    pub const fn as_str(self) -> &'static str {
        match self {
            RefundRequestState::Pending => "pending",
            RefundRequestState::Approved => "approved",
            RefundRequestState::Rejected => "rejected",
        }
    }

    /// Reads [`Self::as_str`] back; `None` for any other word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl fmt::Display for RefundRequestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

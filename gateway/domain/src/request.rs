//! What became of a buyer's wish to get money back.

use std::fmt;

/// A decision is made once; no money moves before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefundRequestState {
    Pending,
    Approved,
    Rejected,
}

impl RefundRequestState {
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

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl fmt::Display for RefundRequestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

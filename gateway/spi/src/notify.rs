//! Messages that a platform sends of its own accord.

use bytes::Bytes;
use dukou_domain::{OutRefundNo, TradeNo};

use crate::{PaidFacts, RefundStatus, Verified};

/// Which of a provider's two notify addresses a message came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotifyKind {
    Payment,
    Refund,
}

impl NotifyKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            NotifyKind::Payment => "payment",
            NotifyKind::Refund => "refund",
        }
    }
}

/// A message as it came over the wire: nothing in it is believed yet.
#[derive(Debug, Clone)]
pub struct RawNotify {
    pub kind: NotifyKind,
    /// Header names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// What a message says, once the provider has checked and decoded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    Payment(Verified<PaymentNotice>),
    /// A refund's message, signed.
    Refund(Verified<RefundNotice>),
    /// A refund's message on a platform that does not sign it. The engine confirms it by
    /// [`crate::Provider::query_refund`] before it counts.
    RefundHint(RefundHint),
}

/// A signed word about an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentNotice {
    pub trade_no: TradeNo,
    pub outcome: PaymentOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentOutcome {
    Paid(PaidFacts),
    /// This try failed; the order can still be paid.
    NotPaid {
        code: Option<String>,
        app_id: String,
        merchant_id: String,
    },
}

/// A signed word about a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundNotice {
    /// The order that was refunded.
    pub trade_no: TradeNo,
    pub merchant_id: String,
    pub status: RefundStatus,
}

/// What an unsigned refund message claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundHint {
    pub out_refund_no: OutRefundNo,
    /// The order's number, where the message names it.
    pub trade_no: Option<TradeNo>,
    /// The platform's own status word (`SUCCESS`).
    pub platform_word: String,
}

/// Why a message cannot be believed. Neither changes anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// It is not a message of this platform at all.
    #[error("malformed notify: {0}")]
    Malformed(String),
    /// The signature (or the decryption that stands for it) does not hold.
    #[error("the notify's signature does not hold")]
    BadSignature,
    /// It names a key that is not here: a forgery, or a genuine message that the set-up has no key for.
    #[error("the notify is signed with a key that is not here ({serial}): {setting}")]
    UnknownKey {
        serial: String,
        /// What would bring the key, if it is the platform's.
        setting: &'static str,
        /// Another one was told of a short while ago: strangers have many serials.
        again: bool,
    },
    /// A wrong signature that the platform sends on purpose, to see that it is refused: no attack,
    /// and nothing to wake anybody for.
    #[error("the platform tests whether a wrong signature is refused")]
    Probe,
    /// The signature was made at another time than now: an old message, or a clock that is wrong.
    #[error("the notify was signed {seconds} s away from this machine's time")]
    OtherTime { seconds: i64 },
}

/// What the gateway tells the platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Recorded: send it no more.
    Accepted,
    /// Not recorded, or not yet understood: send it again.
    TryAgain,
    /// It could not be verified.
    Rejected,
}

/// A verdict in the platform's own form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyReply {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Bytes,
}

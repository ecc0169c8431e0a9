//! Messages that a platform sends of its own accord.

use bytes::Bytes;
use dukou_domain::{Money, OutRefundNo, TradeNo, TransactionId};

use crate::{PaidFacts, RefundStatus, Verified};

/// Which of a provider's two notify addresses a message came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotifyKind {
    /// `…/payment`: an order was paid, or a try to pay it failed.
    Payment,
    /// `…/refund`: a refund has ended, or needs help.
    Refund,
}

impl NotifyKind {
    /// The last part of the notify address, and the `kind` in the metrics.
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
    /// By the address it came to, which any sender can choose.
    pub kind: NotifyKind,
    /// Header names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    /// The bytes as they came; signatures are checked over them.
    pub body: Bytes,
}

/// What a message says, once the provider has checked and decoded it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A payment's message, signed.
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
    /// The order's number at the platform; the engine finds the attempt by it.
    pub trade_no: TradeNo,
    /// What the message says became of it.
    pub outcome: PaymentOutcome,
}

/// What a payment's message can say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PaymentOutcome {
    /// Paid in full; entered once these facts agree with the record.
    Paid(PaidFacts),
    /// This try failed; the order can still be paid.
    NotPaid {
        /// The platform's word for it (APIv2 `err_code`, APIv3 `trade_state`), where it gives one.
        code: Option<String>,
        /// As in [`PaidFacts`]: compared, although nothing is entered.
        app_id: String,
        /// As `app_id`.
        merchant_id: String,
    },
}

/// A signed word about a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundNotice {
    /// The order that was refunded.
    pub trade_no: TradeNo,
    /// The merchant the message names; compared with that of the attempt.
    pub merchant_id: String,
    /// The order's total, where the message names it; compared with what was ordered.
    pub total: Option<Money>,
    /// The platform's number of the payment that is given back, where the message names it; compared as well.
    pub transaction_id: Option<TransactionId>,
    /// What the message says became of the refund. With an amount, or nothing is known of what was given back.
    pub status: RefundStatus,
}

/// What an unsigned refund message claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundHint {
    /// The merchant's number of the refund, by which it is queried.
    pub out_refund_no: OutRefundNo,
    /// The order's number, where the message names it.
    pub trade_no: Option<TradeNo>,
    /// The platform's own status word (`SUCCESS`).
    pub platform_word: String,
}

/// Why a message cannot be believed. None of them changes anything.
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
        /// The key's serial number or name in the message. Anybody can have written it.
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
    #[error("the notify was signed {} s away from this machine's time", seconds.unsigned_abs())]
    OtherTime {
        /// The signature's time less this machine's: below zero the signature is the older one.
        seconds: i64,
    },
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
    /// HTTP's. Whether it counts is the platform's affair: WeChat's APIv2 reads the body alone, APIv3 the status.
    pub status: u16,
    /// With its charset.
    pub content_type: &'static str,
    /// The platform's form of the verdict (APIv2: `return_code`).
    pub body: Bytes,
}

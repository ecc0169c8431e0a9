//! How a call to a platform fails: one struct, and the question that matters to money.

use std::fmt;

/// What a failed call means for the money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The platform did not execute the call: repeating it is safe.
    NotSent,
    /// The platform executed nothing and will not, as the call stands: final.
    Refused,
    /// The platform may have executed the call: ask, never repeat under another number.
    Unknown,
}

/// Why, in the cases where the engine or a merchant can do something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The order is already paid: query it and go the normal way of a paid order.
    AlreadyPaid,
    /// The order is closed at the platform.
    OrderClosed,
    /// The platform knows no such order or refund.
    NotFound,
    /// The payer's openid belongs to another app than the one the merchant is bound to.
    PayerMismatch,
    /// Payer or merchant has too little money; the same number may be tried again later.
    InsufficientBalance,
    /// The number is taken by an order with other parameters.
    NumberUsed,
    /// Too many calls; the platform did nothing. The same number again, slower.
    RateLimited,
    /// A login code that is wrong, used or expired.
    InvalidCode,
    /// The platform lets this user not log in, whatever the code.
    UserBlocked,
    /// The tenant's set-up at the platform is wrong: keys, certificates, permissions, bindings.
    Configuration,
    /// We could not reach the platform, or it could not be understood.
    Transport,
    /// No answer in time.
    Timeout,
    /// The platform's answer was not signed as it must be.
    BadSignature,
    /// The platform has trouble of its own.
    Platform,
    /// It refused, and signed that, by a code that nobody knows: a refusal in all likelihood, and as such it counts
    /// once the platform, asked, knows nothing of what was to be done. Comes with [`ErrorKind::Unknown`].
    Unlisted,
    /// Anything else: see the code and message.
    Other,
}

/// A failed call, with the platform's own code and words where it gave any.
///
/// Messages are lower case without a full stop and hold neither keys nor whole bodies.
#[derive(Debug, thiserror::Error)]
pub struct ProviderError {
    /// What the engine goes by: whether the call may have had an effect.
    pub kind: ErrorKind,
    /// What can be done about it, by the engine, the merchant, or whoever keeps the set-up.
    pub reason: Reason,
    /// The platform's error code, exactly as sent (`ORDERPAID`).
    pub code: Option<String>,
    /// In the platform's words, or ours; shown to the merchant.
    pub message: String,
    /// What lies beneath, such as a parser's error. No answer of the gateway shows it.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ProviderError {
    /// Without the platform's code and without a source.
    pub fn new(kind: ErrorKind, reason: Reason, message: impl Into<String>) -> Self {
        ProviderError { kind, reason, code: None, message: message.into(), source: None }
    }

    /// Adds the platform's error code, exactly as sent.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// Adds what lies beneath it, which holds neither keys nor whole bodies either.
    #[must_use]
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            Some(code) => write!(f, "{} ({code})", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// One field of a merchant's request that this provider cannot carry, told before anything is
/// recorded or sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldProblem {
    /// The field's name in the public interface (`payer.openid`).
    pub field: &'static str,
    /// What is wrong and what is expected.
    pub message: String,
}

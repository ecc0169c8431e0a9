//! What happened, counted. Label values come from configuration and from closed lists.

use std::time::Duration;

use dukou_domain::{PaymentState, ProviderName, RefundState, TenantId};
use dukou_spi::NotifyKind;

use crate::records::EventKind;

/// How a notify ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotifyOutcome {
    /// Recorded, and what follows from it with it.
    Applied,
    /// The same was recorded before.
    Duplicate,
    /// The signature does not hold, or nobody knows its key.
    BadSignature,
    /// It contradicts the record; kept.
    Mismatch,
    /// It says that the payment failed; kept.
    NotPaid,
    /// Of an order that is not known here; kept, and asked for again.
    UnknownOrder,
    /// Nothing that could be read.
    Malformed,
    /// It could not be recorded; asked for again.
    Error,
}

impl NotifyOutcome {
    /// All of them.
    pub const ALL: [NotifyOutcome; 8] = [
        NotifyOutcome::Applied,
        NotifyOutcome::Duplicate,
        NotifyOutcome::BadSignature,
        NotifyOutcome::Mismatch,
        NotifyOutcome::NotPaid,
        NotifyOutcome::UnknownOrder,
        NotifyOutcome::Malformed,
        NotifyOutcome::Error,
    ];

    /// The word for it in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            NotifyOutcome::Applied => "applied",
            NotifyOutcome::Duplicate => "duplicate",
            NotifyOutcome::BadSignature => "bad_signature",
            NotifyOutcome::Mismatch => "mismatch",
            NotifyOutcome::NotPaid => "not_paid",
            NotifyOutcome::UnknownOrder => "unknown_order",
            NotifyOutcome::Malformed => "malformed",
            NotifyOutcome::Error => "error",
        }
    }
}

/// What a coordinator said about a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdempotencyOutcome {
    /// Nobody has dealt with it: it was claimed.
    New,
    /// It was dealt with before.
    Duplicate,
    /// Somebody else was dealing with it all the while.
    Busy,
    /// The coordinator could not say.
    Unavailable,
}

impl IdempotencyOutcome {
    /// The word for it in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            IdempotencyOutcome::New => "new",
            IdempotencyOutcome::Duplicate => "duplicate",
            IdempotencyOutcome::Busy => "busy",
            IdempotencyOutcome::Unavailable => "unavailable",
        }
    }
}

/// Counters and clocks. Implementations must be cheap: they are called on the hot path.
pub trait Telemetry: Send + Sync {
    /// A notify was answered, `took` after its body was there.
    fn notify(
        &self,
        tenant: &TenantId,
        provider: &ProviderName,
        kind: NotifyKind,
        outcome: NotifyOutcome,
        took: Duration,
    );

    /// A notify with a signature that its platform made wrong on purpose; counted as
    /// [`NotifyOutcome::BadSignature`] as well.
    fn probe(&self, tenant: &TenantId, provider: &ProviderName);

    /// A payment entered a state.
    fn payment(&self, tenant: &TenantId, provider: &ProviderName, state: PaymentState);

    /// A refund entered a state.
    fn refund(&self, tenant: &TenantId, provider: &ProviderName, state: RefundState);

    /// A call to a platform ended; `outcome` is `ok`, `not_sent`, `refused`, `unknown` or `panicked`.
    fn provider_call(&self, provider: &ProviderName, operation: &'static str, outcome: &'static str, took: Duration);

    /// A span began that is about a payment. What nobody collects need not be led anywhere.
    fn about(&self, _span: &tracing::Span, _tenant: &TenantId, _out_trade_no: &str) {}

    /// The coordinator was asked about a message.
    fn idempotency(&self, backend: &'static str, outcome: IdempotencyOutcome);

    /// An event was committed to the tenant's log.
    fn event(&self, tenant: &TenantId, kind: EventKind);
}

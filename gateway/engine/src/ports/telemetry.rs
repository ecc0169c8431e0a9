//! What happened, counted. Label values come from configuration and from closed lists.

use std::time::Duration;

use dukou_domain::{PaymentState, ProviderName, RefundState, TenantId};
use dukou_spi::NotifyKind;

use crate::records::EventKind;

/// How a notify ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NotifyOutcome {
    Applied,
    Duplicate,
    BadSignature,
    Mismatch,
    NotPaid,
    UnknownOrder,
    Malformed,
    Error,
}

impl NotifyOutcome {
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
    New,
    Duplicate,
    Busy,
    Unavailable,
}

impl IdempotencyOutcome {
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

    fn idempotency(&self, backend: &'static str, outcome: IdempotencyOutcome);

    /// An event was committed to the tenant's log.
    fn event(&self, tenant: &TenantId, kind: EventKind);
}

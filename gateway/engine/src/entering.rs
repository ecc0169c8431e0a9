//! What entering a platform's message takes, whatever it is about.

use std::sync::OnceLock;
use std::time::Duration;

use dukou_domain::{OutTradeNo, TenantId};
use tracing::Span;

use crate::engine::Engine;
use crate::ports::StoreError;
use crate::spans::TARGET;
use crate::tenant::Tenant;

/// How long a refund's message waits for the platform to confirm it: within the 5 seconds that
/// the platforms give a notify.
pub(crate) const CONFIRMATION: Duration = Duration::from_secs(4);

/// Which payment a message turned out to be about, and its span, where somebody collects them.
pub(crate) struct Found {
    span: Span,
    payment: OnceLock<OutTradeNo>,
}

impl Found {
    pub fn new(tenant: &TenantId) -> Self {
        let span =
            tracing::debug_span!(target: TARGET, "payment.notify", %tenant, out_trade_no = tracing::field::Empty);
        Found { span, payment: OnceLock::new() }
    }

    pub fn span(&self) -> &Span {
        &self.span
    }

    /// The merchant's number of the payment, once it is known.
    pub fn number(&self) -> Option<&OutTradeNo> {
        self.payment.get()
    }

    pub fn payment(&self, engine: &Engine, tenant: &Tenant, number: OutTradeNo) {
        if !self.span.is_disabled() {
            self.span.record("out_trade_no", number.as_str());
            engine.telemetry.about(&self.span, &tenant.id, number.as_str());
        }
        let _ = self.payment.set(number);
    }
}

pub(crate) fn report(tenant: &Tenant, error: &StoreError) {
    tracing::error!(tenant = %tenant.id, %error, "a notify could not be recorded; the platform is asked to send it again");
}

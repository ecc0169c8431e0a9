//! Spans about payments, for those who collect traces. Of a target of their own and at the level
//! `debug`, so that a gateway whose traces nobody collects makes none.

use std::future::Future;
use std::pin::Pin;

use dukou_domain::TenantId;
use tracing::{Instrument, Span};

use crate::ports::Telemetry;

/// The target of all of them.
pub const TARGET: &str = "dukou::trace";

macro_rules! payment_span {
    ($name:literal, $tenant:expr, $number:expr) => {
        tracing::debug_span!(target: $crate::spans::TARGET, $name, tenant = %$tenant, out_trade_no = %$number)
    };
}
pub(crate) use payment_span;

/// Runs work in a span that leads to the payment it is about. The work comes in a box: it is kilobytes large, and
/// would be copied each time that whoever runs it hands it on.
pub(crate) async fn within<T>(
    span: Span,
    telemetry: &dyn Telemetry,
    tenant: &TenantId,
    out_trade_no: &str,
    work: Pin<Box<impl Future<Output = T>>>,
) -> T {
    if span.is_disabled() {
        return work.await;
    }
    telemetry.about(&span, tenant, out_trade_no);
    work.instrument(span).await
}

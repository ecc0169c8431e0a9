//! What surrounds every call to a platform, written once: one repetition where nothing was sent and little time passed,
//! a panic kept from spreading, the measurement and the record. In this order, from the inside out.

use std::borrow::Cow;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dukou_domain::{OutRefundNo, PaymentId, ProviderName, Secret, TenantId};
use dukou_spi::{
    ErrorKind, Login, OrderStatus, PayOrder, Prepay, Provider, ProviderError, Reason, RefundOrder, RefundQuery,
    RefundStatus, Verified, with_request_id,
};
use futures_util::FutureExt;
use tracing::Instrument as _;

use crate::engine::Engine;
use crate::fail_points::fail_point;
use crate::records::{CallOutcome, PlatformCall};
use crate::spans::TARGET;

/// How often a call that was certainly not sent is made again.
const REPETITIONS: u32 = 1;
/// A first try that took longer waited in vain for a connection. Another would wait as long again, and whoever called is
/// promised the time-out of one; what failed within this adds next to nothing to it.
const SOON: Duration = Duration::from_millis(500);
/// Before the repetition.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Calls<'a> {
    pub name: &'a ProviderName,
    pub provider: Cow<'a, Arc<dyn Provider>>,
    pub engine: &'a Engine,
    pub about: Option<About>,
    /// Why no call may be made: the provider is of another account.
    pub other_account: Option<String>,
}

/// Whose history a call belongs to.
pub(crate) struct About {
    pub tenant: TenantId,
    pub payment: PaymentId,
    pub refund: Option<OutRefundNo>,
}

impl Calls<'_> {
    pub async fn pay(&self, order: &PayOrder) -> Result<Prepay, ProviderError> {
        self.run("pay", || self.provider.pay(order)).await
    }

    pub async fn query(&self, order: &PayOrder) -> Result<Verified<OrderStatus>, ProviderError> {
        self.run("query", || self.provider.query(order)).await
    }

    pub async fn close(&self, order: &PayOrder) -> Result<(), ProviderError> {
        self.run("close", || self.provider.close(order)).await
    }

    pub async fn refund(&self, refund: &RefundOrder) -> Result<Verified<RefundStatus>, ProviderError> {
        self.run("refund", || self.provider.refund(refund)).await
    }

    pub async fn query_refund(&self, query: &RefundQuery) -> Result<Verified<RefundStatus>, ProviderError> {
        self.run("query_refund", || self.provider.query_refund(query)).await
    }

    /// A login code works once, so this is not repeated.
    pub async fn login(&self, code: &Secret) -> Result<Login, ProviderError> {
        self.once("login", self.provider.login(code)).await
    }

    async fn run<T, F>(&self, operation: &'static str, mut call: impl FnMut() -> F) -> Result<T, ProviderError>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        if let Some(why) = &self.other_account {
            return Err(ProviderError::new(ErrorKind::NotSent, Reason::Configuration, why.as_str()));
        }
        let started = Instant::now();
        let mut repetitions = 0;
        loop {
            let result = self.once(operation, call()).await;
            match &result {
                Err(error) if repetitions < REPETITIONS && may_repeat(error, started.elapsed()) => {
                    repetitions += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                _ => return result,
            }
        }
    }

    async fn once<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        let (started, at) = (Instant::now(), self.engine.now());
        let guarded = async {
            fail_point!("provider.call");
            call.await
        };
        let span = tracing::debug_span!(target: TARGET, "platform.call", provider = %self.name, operation);
        let (answer, request_id) = with_request_id(AssertUnwindSafe(guarded).catch_unwind()).instrument(span).await;
        let (outcome, result) = match answer {
            Ok(Ok(answer)) => (CallOutcome::Ok, Ok(answer)),
            Ok(Err(error)) => (outcome_of(error.kind), Err(error)),
            Err(_) => {
                tracing::error!(provider = %self.name, operation, "a provider panicked");
                let message = "the provider failed inside; what became of the call is not known";
                (CallOutcome::Panicked, Err(ProviderError::new(ErrorKind::Unknown, Reason::Other, message)))
            }
        };
        let took = started.elapsed();
        self.engine.telemetry.provider_call(self.name, operation, outcome.as_str(), took);
        let error = result.as_ref().err();
        if let Some(error) = error {
            let (outcome, request_id) = (outcome.as_str(), request_id.as_deref());
            if error.reason == Reason::InvalidCode {
                // Anybody can invent a code: who sent it is told, and the metric counts it.
                tracing::debug!(provider = %self.name, operation, outcome, request_id, %error, "a login was refused");
            } else {
                tracing::warn!(provider = %self.name, operation, outcome, request_id, %error, "a call to the platform failed");
            }
        }
        if let Some(About { tenant, payment, refund }) = &self.about {
            self.engine.journal.note(PlatformCall {
                tenant: tenant.clone(),
                payment: *payment,
                refund: refund.clone(),
                provider: self.name.clone(),
                operation: operation.to_owned(),
                at,
                millis: u32::try_from(took.as_millis()).unwrap_or(u32::MAX),
                outcome,
                code: error.and_then(|error| error.code.clone()),
                message: error.map(|error| error.message.clone()),
                request_id,
            });
        }
        result
    }
}

/// Only what was certainly not sent, only where the next moment may be better, and only while nobody waits for it yet.
fn may_repeat(error: &ProviderError, took: Duration) -> bool {
    match error.kind {
        ErrorKind::NotSent => error.reason == Reason::Transport && took <= SOON,
        ErrorKind::Refused | ErrorKind::Unknown => false,
    }
}

const fn outcome_of(kind: ErrorKind) -> CallOutcome {
    match kind {
        ErrorKind::NotSent => CallOutcome::NotSent,
        ErrorKind::Refused => CallOutcome::Refused,
        ErrorKind::Unknown => CallOutcome::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_made_twice_only_where_both_take_no_longer_than_one_may() {
        let failed = |kind, reason| ProviderError::new(kind, reason, "no");
        let unreachable = failed(ErrorKind::NotSent, Reason::Transport);
        assert!(may_repeat(&unreachable, Duration::from_millis(20)), "a connection that was refused");
        assert!(!may_repeat(&unreachable, Duration::from_secs(5)), "one that nobody answered");
        for (kind, reason) in [
            (ErrorKind::NotSent, Reason::RateLimited),
            (ErrorKind::Refused, Reason::Other),
            (ErrorKind::Unknown, Reason::Transport),
        ] {
            assert!(!may_repeat(&failed(kind, reason), Duration::ZERO), "{kind:?} {reason:?}");
        }
    }
}

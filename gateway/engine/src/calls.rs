//! What surrounds every call to a platform, written once: one repetition where nothing was sent,
//! a panic kept from spreading, and the measurement. In this order, from the inside out.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dukou_domain::{ProviderName, Secret};
use dukou_spi::{
    ErrorKind, Login, OrderStatus, PayOrder, Prepay, Provider, ProviderError, Reason, RefundOrder, RefundQuery,
    RefundStatus, Verified,
};
use futures_util::FutureExt;

use crate::fail_points::fail_point;
use crate::ports::Telemetry;

/// How often a call that was certainly not sent is made again.
const REPETITIONS: u32 = 1;
/// Before the repetition.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Calls<'a> {
    pub name: &'a ProviderName,
    pub provider: &'a Arc<dyn Provider>,
    pub telemetry: &'a dyn Telemetry,
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
        let mut repetitions = 0;
        loop {
            let result = self.once(operation, call()).await;
            match &result {
                Err(error) if may_repeat(error) && repetitions < REPETITIONS => {
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
        let started = Instant::now();
        let guarded = async {
            fail_point!("provider.call");
            call.await
        };
        let (outcome, result) = match AssertUnwindSafe(guarded).catch_unwind().await {
            Ok(Ok(answer)) => ("ok", Ok(answer)),
            Ok(Err(error)) => (word(error.kind), Err(error)),
            Err(_) => {
                tracing::error!(provider = %self.name, operation, "a provider panicked");
                let message = "the provider failed inside; what became of the call is not known";
                ("panicked", Err(ProviderError::new(ErrorKind::Unknown, Reason::Other, message)))
            }
        };
        self.telemetry.provider_call(self.name, operation, outcome, started.elapsed());
        if let Err(error) = &result {
            tracing::warn!(provider = %self.name, operation, outcome, %error, "a call to the platform failed");
        }
        result
    }
}

/// Only what was certainly not sent, and only where the next moment may be better.
fn may_repeat(error: &ProviderError) -> bool {
    match error.kind {
        ErrorKind::NotSent => error.reason == Reason::Transport,
        ErrorKind::Refused | ErrorKind::Unknown => false,
    }
}

const fn word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotSent => "not_sent",
        ErrorKind::Refused => "refused",
        ErrorKind::Unknown => "unknown",
    }
}

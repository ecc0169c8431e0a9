//! The engine: what it holds, and the few things every use case does the same way.

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dukou_domain::{OutTradeNo, PaymentState, ProviderName, RefundState, TenantId, Timestamp};
use dukou_spi::{Clock, FieldProblem, NotifyKind, PayOrder, Provider};
use tracing::Instrument as _;

use crate::ask::Asking;
use crate::calls::{About, Calls};
use crate::error::EngineError;
use crate::journal::Journal;
use crate::log_limit::LogLimit;
use crate::notify_url::notify_url;
use crate::number;
use crate::ports::{Change, Coordinator, Store, StoreError, Target, Telemetry, View};
use crate::records::{Attempt, EventKind, Payment, Refund};
use crate::schedule::Schedule;
use crate::session::Sessions;
use crate::spans::TARGET;
use crate::success::Policy;
use crate::tenant::{Tenant, Tenants};

/// What an operator may change.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// Where the platforms reach the gateway, without a trailing slash.
    pub public_url: String,
    /// How long a payment that names no end can be paid.
    pub expires_after: Duration,
    /// How long a session of a mini-program's user lasts.
    pub session_expires_after: Duration,
    pub schedule: Schedule,
}

/// All use cases over one store. Cheap to share; holds no payment in memory.
pub struct Engine {
    pub(crate) config: EngineConfig,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) coordinator: Arc<dyn Coordinator>,
    pub(crate) tenants: Arc<dyn Tenants>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) telemetry: Arc<dyn Telemetry>,
    pub(crate) sessions: Sessions,
    pub(crate) journal: Journal,
    pub(crate) asking: Asking,
    /// Refused notifies, by tenant, provider and reason: anybody can send them.
    pub(crate) refused: Arc<LogLimit<(TenantId, ProviderName, &'static str)>>,
}

impl Engine {
    pub fn new(
        config: EngineConfig,
        store: Arc<dyn Store>,
        coordinator: Arc<dyn Coordinator>,
        tenants: Arc<dyn Tenants>,
        clock: Arc<dyn Clock>,
        telemetry: Arc<dyn Telemetry>,
    ) -> Self {
        let (sessions, journal, asking) = (Sessions::default(), Journal::default(), Asking::default());
        let refused = Arc::default();
        Engine { config, store, coordinator, tenants, clock, telemetry, sessions, journal, asking, refused }
    }

    pub fn tenants(&self) -> &dyn Tenants {
        self.tenants.as_ref()
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    pub fn coordinator(&self) -> &Arc<dyn Coordinator> {
        &self.coordinator
    }

    pub fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// A number for a payment whose merchant named none.
    pub fn make_out_trade_no(&self, tenant: &Tenant) -> OutTradeNo {
        number::out_trade_no(tenant)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Runs one change and gives back what `decide` said besides it. The value is that of the call
    /// that was committed.
    pub(crate) async fn change<R: Send + 'static>(
        &self,
        target: Target,
        mut decide: impl FnMut(View) -> (Change, R) + Send + 'static,
    ) -> Result<R, StoreError> {
        let said = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&said);
        let decide = Box::new(move |view| {
            let (change, answer) = decide(view);
            let told = EventCounts::of(&change);
            *slot.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some((answer, told));
            change
        });
        let tenant = target.tenant.clone();
        let span = tracing::debug_span!(target: TARGET, "transaction", tenant = %tenant);
        self.store.apply(target, decide).instrument(span).await?;
        let said = said.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let (answer, told) = said.ok_or_else(|| StoreError::Unavailable("the change was never decided".to_owned()))?;
        told.report(&tenant, self.telemetry.as_ref());
        Ok(answer)
    }

    /// Counts the states that a committed change entered.
    pub(crate) fn count_payment(&self, before: Option<PaymentState>, payment: &Payment) {
        if before != Some(payment.state) {
            self.telemetry.payment(&payment.tenant, &payment.attempt.provider, payment.state);
        }
    }

    pub(crate) fn count_refund(&self, before: Option<RefundState>, refund: &Refund) {
        if before != Some(refund.state) {
            self.telemetry.refund(&refund.tenant, &refund.provider, refund.state);
        }
    }

    /// Calls to the platform, with everything that is the same for every provider around them.
    pub(crate) fn calls<'a>(&'a self, name: &'a ProviderName, provider: &'a Arc<dyn Provider>) -> Calls<'a> {
        Calls { name, provider: Cow::Borrowed(provider), engine: self, about: None, other_account: None }
    }

    /// Calls about an attempt, which become part of its payment's history. They are made with the merchant account
    /// of the attempt, or not at all.
    pub(crate) fn calls_about<'a>(
        &'a self,
        payment: &Payment,
        attempt: &'a Attempt,
        provider: &'a Arc<dyn Provider>,
    ) -> Calls<'a> {
        let about = About { tenant: payment.tenant.clone(), payment: payment.id, refund: None };
        Calls { about: Some(about), ..self.calls_for(payment, attempt, provider) }
    }

    /// As [`Self::calls_about`], about a refund of the payment.
    pub(crate) fn calls_about_refund<'a>(
        &'a self,
        payment: &'a Payment,
        refund: &'a Refund,
        provider: &'a Arc<dyn Provider>,
    ) -> Calls<'a> {
        let number = Some(refund.out_refund_no.clone());
        let about = About { tenant: refund.tenant.clone(), payment: refund.payment, refund: number };
        let calls = match payment.attempt_of(refund) {
            Some(attempt) => self.calls_for(payment, attempt, provider),
            None => self.calls(&refund.provider, provider),
        };
        Calls { about: Some(about), ..calls }
    }

    fn calls_for<'a>(&'a self, payment: &Payment, attempt: &'a Attempt, provider: &'a Arc<dyn Provider>) -> Calls<'a> {
        let calls = self.calls(&attempt.provider, provider);
        match self.account_of(&payment.tenant, attempt, provider) {
            Ok(Some(former)) => Calls { provider: Cow::Owned(former), ..calls },
            Ok(None) => calls,
            Err(why) => Calls { other_account: Some(why), ..calls },
        }
    }

    pub(crate) fn notify_url(&self, tenant: &Tenant, provider: &ProviderName, kind: NotifyKind) -> String {
        notify_url(&self.config.public_url, &tenant.id, provider, kind)
    }

    pub(crate) fn policy(&self, tenant: &Tenant) -> Policy {
        Policy { late_payment: tenant.late_payment, public_url: self.config.public_url.clone() }
    }

    pub(crate) fn payment_lock(tenant: &Tenant, out_trade_no: &OutTradeNo) -> String {
        format!("{}:{out_trade_no}", tenant.id)
    }
}

/// How many events of each kind a change tells. An array, since every change makes one.
struct EventCounts([u8; EventKind::ALL.len()]);

impl EventCounts {
    fn of(change: &Change) -> Self {
        let mut counts = [0_u8; EventKind::ALL.len()];
        for event in &change.events {
            if let Some(count) = counts.get_mut(event.kind as usize) {
                *count = count.saturating_add(1);
            }
        }
        EventCounts(counts)
    }

    fn report(&self, tenant: &TenantId, telemetry: &dyn Telemetry) {
        for (kind, count) in EventKind::ALL.iter().zip(self.0) {
            for _ in 0..count {
                telemetry.event(tenant, *kind);
            }
        }
    }
}

/// The provider of that name.
///
/// # Errors
/// [`EngineError::Invalid`] naming the configured ones.
pub(crate) fn provider_of<'a>(tenant: &'a Tenant, name: &ProviderName) -> Result<&'a Arc<dyn Provider>, EngineError> {
    tenant.providers.get(name).ok_or_else(|| EngineError::Invalid(vec![unknown_provider(tenant, name)]))
}

/// What is wrong with a `provider` that the tenant does not have.
pub fn unknown_provider(tenant: &Tenant, name: &ProviderName) -> FieldProblem {
    let known = tenant.providers.keys().map(ProviderName::as_str).collect::<Vec<_>>().join(", ");
    let message = format!("{name} is not configured for this tenant; expected one of {known}");
    FieldProblem { field: "provider", message }
}

/// The order of a payment's current attempt, the same whenever it is built.
pub(crate) fn order_of(payment: &Payment) -> PayOrder {
    order_of_attempt(payment, &payment.attempt)
}

pub(crate) fn order_of_attempt(payment: &Payment, attempt: &Attempt) -> PayOrder {
    PayOrder {
        trade_no: attempt.trade_no.clone(),
        transaction_id: attempt.transaction_id.clone(),
        method: attempt.method,
        amount: payment.amount,
        description: payment.description.clone(),
        attach: payment.attach.clone(),
        openid: attempt.openid.clone(),
        client_ip: payment.client_ip,
        created_at: payment.created_at,
        expires_at: payment.expires_at,
        notify_url: attempt.notify_url.clone(),
    }
}

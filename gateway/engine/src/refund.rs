//! Giving money back: intent recorded, platform asked under our number, answer recorded.

use std::collections::BTreeMap;
use std::sync::Arc;

use dukou_domain::{OutRefundNo, OutTradeNo, ProviderName, RefundFact, RefundState};
use dukou_spi::{ErrorKind, FieldProblem, NotifyKind, Provider, ProviderError, Reason, RefundOrder, RefundWord};

use crate::account::account_of;
use crate::command::{CreateRefund, RefundAnswer};
use crate::create::failure_of;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::fail_points::fail_point;
use crate::notify_url::notify_url;
use crate::number;
use crate::ports::{Change, PaymentKey, Target};
use crate::records::{Attempt, EventKind, Payment, Refund};
use crate::rules;
use crate::spans::{payment_span, within};
use crate::tenant::{Tenant, Tenants};

/// What the record said to a refund that was asked for.
enum Entered {
    NoPayment,
    Invalid(EngineError),
    Conflict(String),
    InvalidState(String),
    Exceeds(String),
    /// To be sent by this process: just recorded, opened again, or never known to have arrived.
    Send {
        payment: Box<Payment>,
        refund: Box<Refund>,
        created: bool,
        before: Option<RefundState>,
    },
    /// It is under way or has ended.
    Existing(Box<Refund>),
}

/// Why a refund that was sent got no word about itself.
#[derive(Clone, Copy)]
enum Fault {
    NotSent,
    /// The platform refused the only sending there was, as far as this process knows.
    OnceRefused,
    /// The platform refused it and knows no such refund.
    Refused,
    Lost,
}

/// A tenant's providers by their names.
pub(crate) type Providers = BTreeMap<ProviderName, Arc<dyn Provider>>;

impl Engine {
    /// The tenant's providers, with those that it had since the process started: what was paid through one of
    /// them can still be given back.
    pub(crate) fn providers_known(&self, tenant: &Tenant) -> Providers {
        let known = self.tenants.find_even_removed(tenant.id.as_str());
        known.map_or_else(|| tenant.providers.clone(), |known| known.providers.clone())
    }

    /// Refunds part or all of a payment, once per `out_refund_no`. A refund that was refused is tried
    /// again under its number. One that the platform could not be given now is recorded and sent by itself.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::InvalidState`] (not paid, its provider is not configured any more or has
    /// another merchant account, or the platform closed the refund of this number for good),
    /// [`EngineError::RefundExceedsPayment`], [`EngineError::OutRefundNoConflict`];
    /// [`EngineError::Provider`], always with `Refused`: the refund failed, no money moved; [`EngineError::Store`].
    pub async fn create_refund(
        &self,
        tenant: &Tenant,
        out_trade_no: &OutTradeNo,
        command: CreateRefund,
    ) -> Result<RefundAnswer, EngineError> {
        if command.amount.is_zero() {
            let message = "is zero; expected at least 1".to_owned();
            return Err(EngineError::Invalid(vec![FieldProblem { field: "amount", message }]));
        }
        let lock = self.coordinator.lock(&refund_lock(tenant, command.out_refund_no.as_str())).await;
        let span = payment_span!("payment.refund", tenant.id, out_trade_no);
        let work = Box::pin(self.refund_alone(tenant, out_trade_no, command));
        let answer = within(span, self.telemetry.as_ref(), &tenant.id, out_trade_no.as_str(), work).await;
        if let Some(lock) = lock {
            self.coordinator.unlock(lock).await;
        }
        answer
    }

    async fn refund_alone(
        &self,
        tenant: &Tenant,
        out_trade_no: &OutTradeNo,
        command: CreateRefund,
    ) -> Result<RefundAnswer, EngineError> {
        let providers = self.providers_known(tenant);
        match self.enter_refund(tenant, &providers, out_trade_no, command).await? {
            Entered::NoPayment => Err(EngineError::NotFound),
            Entered::Invalid(error) => Err(error),
            Entered::Conflict(detail) => Err(EngineError::OutRefundNoConflict(detail)),
            Entered::InvalidState(detail) => Err(EngineError::InvalidState(detail)),
            Entered::Exceeds(detail) => Err(EngineError::RefundExceedsPayment(detail)),
            Entered::Existing(refund) => Ok(RefundAnswer { refund: *refund, created: false }),
            Entered::Send { payment, refund, created, before } => {
                self.count_refund(before, &refund);
                fail_point!("refund.recorded");
                let Some(provider) = providers.get(&refund.provider) else {
                    return Err(EngineError::InvalidState(gone_detail(&refund.provider)));
                };
                let refund = self.send_refund(provider, &payment, &refund).await?;
                Ok(RefundAnswer { refund, created })
            }
        }
    }

    async fn enter_refund(
        &self,
        tenant: &Tenant,
        providers: &Providers,
        out_trade_no: &OutTradeNo,
        command: CreateRefund,
    ) -> Result<Entered, EngineError> {
        let (providers, tenants) = (providers.clone(), Arc::clone(&self.tenants));
        let now = self.now();
        let public_url = self.config.public_url.clone();
        let target = Target {
            refund: Some(command.out_refund_no.clone()),
            ..Target::payment(tenant.id.clone(), PaymentKey::OutTradeNo(out_trade_no.clone()))
        };
        let entered = self.change(target, move |view| {
            let Some(mut payment) = view.payment else { return (Change::default(), Entered::NoPayment) };
            if let Some(refund) = view.refund {
                let paid = payment.attempt_of(&refund).unwrap_or(&payment.attempt);
                let unsendable = unsendable(tenants.as_ref(), &providers, &payment, paid);
                return enter_again(payment, refund, &command, unsendable, now);
            }
            if !payment.state.is_paid() {
                return (Change::default(), Entered::InvalidState(not_paid_detail(&payment)));
            }
            if let Some(why) = unsendable(tenants.as_ref(), &providers, &payment, &payment.attempt) {
                return (Change::default(), Entered::InvalidState(why));
            }
            let notify_url = notify_url(&public_url, &payment.tenant, &payment.attempt.provider, NotifyKind::Refund);
            if let Err(error) = platform_refund_no(&payment, &command.out_refund_no) {
                return (Change::default(), Entered::Invalid(error));
            }
            let number = command.out_refund_no.clone();
            match rules::new_refund(&mut payment, number, command.amount, command.reason.clone(), notify_url, now) {
                Err(exceeds) => (Change::default(), Entered::Exceeds(exceeds_detail(exceeds.left))),
                Ok(refund) => {
                    let change = Change {
                        payment: Some(payment.clone()),
                        events: vec![rules::refund_event(&refund, EventKind::RefundCreated, now)],
                        refund: Some(refund.clone()),
                        ..Change::default()
                    };
                    let (payment, refund) = (Box::new(payment), Box::new(refund));
                    (change, Entered::Send { payment, refund, created: true, before: None })
                }
            }
        });
        Ok(entered.await?)
    }

    /// Sends a recorded refund and records what came back, also that nothing did.
    ///
    /// # Errors
    /// As [`Self::create_refund`].
    pub(crate) async fn send_refund(
        &self,
        provider: &Arc<dyn Provider>,
        payment: &Payment,
        refund: &Refund,
    ) -> Result<Refund, EngineError> {
        let order = RefundOrder {
            trade_no: refund.trade_no.clone(),
            transaction_id: payment.attempt_of(refund).and_then(|paid| paid.transaction_id.clone()),
            out_refund_no: platform_refund_no(payment, &refund.out_refund_no)?,
            total: payment.amount,
            amount: refund.amount,
            reason: refund.reason.clone(),
            notify_url: refund.notify_url.clone(),
        };
        let result = self.calls_about_refund(payment, refund, provider).refund(&order).await;
        fail_point!("refund.answered");
        let error = match result {
            Ok(status) => {
                let (refund, _) = self.record_refund_status(refund, status.into_inner().into(), None).await?;
                fail_point!("refund.committed");
                return Ok(refund);
            }
            Err(error) => error,
        };
        let refund = match error.kind {
            ErrorKind::Unknown if refused_so_before(refund, &error) => {
                self.refuse_if_missing(provider, payment, refund, &error).await?
            }
            ErrorKind::NotSent => self.record_refund_error(refund, Fault::NotSent, &error).await?,
            ErrorKind::Unknown => self.record_refund_error(refund, Fault::Lost, &error).await?,
            ErrorKind::Refused => self.record_refusal(provider, payment, refund, &error).await?,
        };
        let refused = error.kind == ErrorKind::Refused || error.reason == Reason::Unlisted;
        if refused && refund.state == RefundState::Failed {
            return Err(ProviderError { kind: ErrorKind::Refused, ..error }.into());
        }
        // The rest goes on by itself. Also of what was certainly not sent no error is told: who takes it for the end
        // gives the money back under another number as well.
        Ok(refund)
    }

    /// A refusal ends a refund that was sent this once. Of one that may have been sent before, the platform may be
    /// working on that sending: it is asked, and only when it knows no such refund the refusal counts.
    async fn record_refusal(
        &self,
        provider: &Arc<dyn Provider>,
        payment: &Payment,
        refund: &Refund,
        error: &ProviderError,
    ) -> Result<Refund, EngineError> {
        if refund.version == 0 {
            let refund = self.record_refund_error(refund, Fault::OnceRefused, error).await?;
            if refund.state != RefundState::Created || refund.failure.is_some() {
                return Ok(refund);
            }
        }
        self.refuse_if_missing(provider, payment, refund, error).await
    }

    async fn refuse_if_missing(
        &self,
        provider: &Arc<dyn Provider>,
        payment: &Payment,
        refund: &Refund,
        error: &ProviderError,
    ) -> Result<Refund, EngineError> {
        match self.query_refund_of(provider, payment, refund).await {
            Ok(status) if status.word == RefundWord::Missing => {
                self.record_refund_error(refund, Fault::Refused, error).await
            }
            Ok(status) => Ok(self.record_refund_status(refund, status.into(), None).await?.0),
            Err(doubt) => {
                tracing::warn!(tenant = %refund.tenant, out_refund_no = %refund.out_refund_no, error = %doubt,
                    "whether a refund that is refused was made before is not known yet");
                self.record_refund_error(refund, Fault::Lost, error).await
            }
        }
    }

    async fn record_refund_error(
        &self,
        refund: &Refund,
        fault: Fault,
        error: &ProviderError,
    ) -> Result<Refund, EngineError> {
        let now = self.now();
        let schedule = self.config.schedule.clone();
        let (failure, reason) = (failure_of(error), error.reason);
        // What was written before it was sent.
        let sent = refund.version + 1;
        let target = Target::refund(refund.tenant.clone(), refund.out_refund_no.clone());
        let recorded = self
            .change(target, move |view| {
                let (Some(mut payment), Some(mut refund)) = (view.payment, view.refund) else {
                    return (Change::default(), None);
                };
                let before = refund.state;
                let held = match fault {
                    Fault::OnceRefused | Fault::Refused => rules::waits_for_operator(&refund, reason),
                    Fault::NotSent | Fault::Lost => false,
                };
                let mut change = Change::default();
                let fact = match fault {
                    // Somebody else goes on with it.
                    Fault::NotSent | Fault::OnceRefused if refund.version != sent => {
                        return (change, Some((before, refund)));
                    }
                    Fault::NotSent => None,
                    Fault::OnceRefused | Fault::Refused => (!held).then_some(RefundFact::Refused),
                    Fault::Lost => Some(RefundFact::AnswerLost),
                };
                if let Some(fact) = fact {
                    rules::refused(&mut payment, &mut refund, fact, failure.clone(), now, &mut change);
                }
                rules::schedule_refund(&mut refund, before, false, &schedule, now);
                rules::wait_as_asked(&mut refund, reason, now);
                if held {
                    rules::wait_for_operator(&mut refund, failure.clone(), now);
                }
                if fact == Some(RefundFact::AnswerLost) && refund.state == RefundState::Failed {
                    // It may be made after all.
                    refund.check = Some(schedule.unknown.first(now));
                }
                change.payment = Some(payment);
                change.refund = Some(refund.clone());
                (change, Some((before, refund)))
            })
            .await?;
        let (before, refund) = recorded.ok_or(EngineError::NotFound)?;
        self.count_refund(Some(before), &refund);
        Ok(refund)
    }
}

/// The platform refused the sending before this one by the same code, which nobody knows, and had nothing of it some
/// time later: else it would not have been sent again.
fn refused_so_before(refund: &Refund, error: &ProviderError) -> bool {
    let before = refund.failure.as_ref().and_then(|failure| failure.code.as_ref());
    error.reason == Reason::Unlisted && before.is_some() && before == error.code.as_ref()
}

/// # Errors
/// [`EngineError::Invalid`] when the tenant's prefix makes the number too long.
pub(crate) fn platform_refund_no(payment: &Payment, number: &OutRefundNo) -> Result<OutRefundNo, EngineError> {
    number::platform_refund_no(payment, number).ok_or_else(|| {
        let message = "is too long with the tenant's prefix".to_owned();
        EngineError::Invalid(vec![FieldProblem { field: "out_refund_no", message }])
    })
}

/// The same number again.
fn enter_again(
    mut payment: Payment,
    mut refund: Refund,
    command: &CreateRefund,
    unsendable: Option<String>,
    now: dukou_domain::Timestamp,
) -> (Change, Entered) {
    let same = [
        ("out_trade_no", refund.payment == payment.id),
        ("amount", refund.amount == command.amount),
        ("reason", refund.reason == command.reason),
    ];
    let differing: Vec<&str> = same.iter().filter(|(_, same)| !same).map(|(field, _)| *field).collect();
    if !differing.is_empty() {
        let detail = format!("{} is not the same", differing.join(", "));
        return (Change::default(), Entered::Conflict(detail));
    }
    if rules::is_closed_for_good(&refund) {
        return (Change::default(), Entered::InvalidState(closed_detail(&refund)));
    }
    let to_be_sent = matches!(refund.state, RefundState::Created | RefundState::Failed);
    if let Some(why) = unsendable.filter(|_| to_be_sent) {
        return (Change::default(), Entered::InvalidState(why));
    }
    match refund.state {
        RefundState::Processing | RefundState::Unknown | RefundState::Succeeded => {
            (Change::default(), Entered::Existing(Box::new(refund)))
        }
        RefundState::Created => {
            // Somebody may be sending it at this moment: a copy could be refused while the first goes through.
            if !rules::take_to_send(&mut refund, now) {
                return (Change::default(), Entered::Existing(Box::new(refund)));
            }
            let change = Change { refund: Some(refund.clone()), ..Change::default() };
            let (payment, refund) = (Box::new(payment), Box::new(refund));
            (change, Entered::Send { before: Some(refund.state), payment, refund, created: false })
        }
        RefundState::Failed => match rules::reopen(&mut payment, &mut refund, now) {
            Err(exceeds) => (Change::default(), Entered::Exceeds(exceeds_detail(exceeds.left))),
            Ok(()) => {
                let change = Change {
                    payment: Some(payment.clone()),
                    events: vec![rules::refund_event(&refund, EventKind::RefundCreated, now)],
                    refund: Some(refund.clone()),
                    ..Change::default()
                };
                let (payment, refund) = (Box::new(payment), Box::new(refund));
                (change, Entered::Send { payment, refund, created: false, before: Some(RefundState::Failed) })
            }
        },
    }
}

pub(crate) fn not_paid_detail(payment: &Payment) -> String {
    format!("the payment is {}; only a paid one can be refunded", payment.state)
}

fn closed_detail(refund: &Refund) -> String {
    let way_out = rules::way_out(refund);
    format!("the platform closed refund {} for good, the money is with the merchant; {way_out}", refund.out_refund_no)
}

/// Why what was paid through `paid` can never be given back as things are. Nothing is recorded that could not be sent: it
/// would be under way for ever.
pub(crate) fn unsendable(
    tenants: &dyn Tenants,
    providers: &Providers,
    payment: &Payment,
    paid: &Attempt,
) -> Option<String> {
    match providers.get(&paid.provider) {
        None => Some(gone_detail(&paid.provider)),
        Some(current) => account_of(tenants, &payment.tenant, paid, current).err(),
    }
}

pub(crate) fn gone_detail(provider: &ProviderName) -> String {
    format!("{provider}, through which it was paid, is not configured for this tenant any more")
}

pub(crate) fn exceeds_detail(left: dukou_domain::Money) -> String {
    format!("at most {} can still be refunded", left.minor())
}

pub(crate) fn refund_lock(tenant: &Tenant, out_refund_no: &str) -> String {
    format!("{}:refund:{out_refund_no}", tenant.id)
}

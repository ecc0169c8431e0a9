//! What is asked about one payment or refund, and what follows: lost answers, notifies that never came, refunds under
//! way, and payments whose time is over.

use std::sync::Arc;

use dukou_domain::{AttemptState, PaymentState, RefundState};
use dukou_spi::{Provider, Reason, RefundStatus, RefundWord};

use crate::create::is_at_platform;
use crate::engine::Engine;
use crate::error::EngineError;
use crate::ports::{Change, PaymentKey, Target};
use crate::records::{Payment, Refund};
use crate::refund::refund_lock;
use crate::rules;
use crate::spans::{payment_span, within};
use crate::tenant::Tenant;

impl Engine {
    pub(crate) async fn follow_payment(&self, payment: Payment) {
        // Nothing is taken of a tenant or provider that is not known.
        let Some(tenant) = self.tenants.find_even_removed(payment.tenant.as_str()) else { return };
        let Some(provider) = tenant.providers.get(&payment.attempt.provider) else { return };
        let lock = self.coordinator.lock(&Self::payment_lock(&tenant, &payment.out_trade_no)).await;
        let (number, telemetry) = (&payment.out_trade_no, self.telemetry.as_ref());
        let span = payment_span!("payment.ask", tenant.id, number);
        let work = Box::pin(self.follow_payment_alone(&tenant, provider, &payment));
        let result = within(span, telemetry, &tenant.id, number.as_str(), work).await;
        if let Some(lock) = lock {
            self.coordinator.unlock(lock).await;
        }
        if let Err(error) = result {
            note_failure(&payment, &error);
            self.ask_payment_later(&payment).await;
        }
    }

    async fn follow_payment_alone(
        &self,
        tenant: &Tenant,
        provider: &Arc<dyn Provider>,
        payment: &Payment,
    ) -> Result<(), EngineError> {
        if !payment.is_closing() {
            return self.ask_and_end(tenant, provider, payment).await;
        }
        let mut closed = self.close_others(tenant, payment).await;
        if payment.attempt.state == AttemptState::Closing {
            // A change of channel was broken off: the attempt that gave way is closed, the payment
            // waits for the next.
            closed = closed.and(self.give_up_attempt(tenant, provider, payment.clone()).await.map(drop));
        }
        // What was closed leaves the payment's own question to the end of the lease, so that an order that is being sent
        // is left alone. What cannot be closed holds it up no longer: this is how a success is found.
        if closed.is_err()
            && let Err(error) = self.ask_and_end(tenant, provider, payment).await
        {
            note_failure(payment, &error);
        }
        closed
    }

    /// Asks about the payment's current attempt, and closes the payment where its time is over.
    async fn ask_and_end(
        &self,
        tenant: &Tenant,
        provider: &Arc<dyn Provider>,
        asked: &Payment,
    ) -> Result<(), EngineError> {
        let asks = !asked.state.is_paid() && is_at_platform(provider, asked);
        let payment = if asks { self.ask_payment(tenant, provider, asked).await? } else { asked.clone() };
        if payment.attempt.id != asked.attempt.id {
            // Another took its place meanwhile, with a question of its own.
            return Ok(());
        }
        let over = self.now() >= payment.expires_at;
        match payment.state {
            PaymentState::Created | PaymentState::Pending if over => {
                self.close_at_platform(tenant, provider, payment).await.map(drop)
            }
            PaymentState::Created
            | PaymentState::Pending
            | PaymentState::Unknown
            | PaymentState::Succeeded
            | PaymentState::PartiallyRefunded
            | PaymentState::Refunded
            | PaymentState::Closed
            | PaymentState::Failed => {
                if !asks {
                    // No answer plans the next question.
                    self.ask_payment_later(asked).await;
                }
                Ok(())
            }
        }
    }

    /// Plans the question that follows the one that `taken` was taken for, also where an answer that was entered
    /// meanwhile planned it.
    async fn ask_payment_later(&self, taken: &Payment) {
        let now = self.now();
        let schedule = self.config.schedule.clone();
        let attempt = taken.attempt.id;
        let asked_before = taken.check.map_or(0, |check| check.asked);
        let target = Target::payment(taken.tenant.clone(), PaymentKey::OutTradeNo(taken.out_trade_no.clone()));
        let postponed = self
            .change(target, move |view| {
                let Some(mut payment) = view.payment else { return (Change::default(), ()) };
                let before = payment.check;
                // One that took the attempt's place came with a question of its own; and what somebody else settled
                // meanwhile has none.
                let Some(check) = before.filter(|_| payment.attempt.id == attempt) else {
                    return (Change::default(), ());
                };
                rules::schedule_payment(&mut payment, Some(check.asked.min(asked_before)), &schedule, now);
                let changed = (payment.check != before).then_some(payment);
                (Change { payment: changed, ..Change::default() }, ())
            })
            .await;
        if let Err(error) = postponed {
            // It stays leased and comes again when the lease is over.
            tracing::warn!(%error, "a question could not be put off");
        }
    }

    pub(crate) async fn follow_refund(&self, refund: Refund) {
        let Some(tenant) = self.tenants.find_even_removed(refund.tenant.as_str()) else { return };
        let Some(provider) = tenant.providers.get(&refund.provider) else { return };
        let lock = self.coordinator.lock(&refund_lock(&tenant, refund.out_refund_no.as_str())).await;
        let result = self.follow_refund_alone(&tenant, provider, &refund).await;
        if let Some(lock) = lock {
            self.coordinator.unlock(lock).await;
        }
        if let Err(error) = result {
            tracing::warn!(tenant = %refund.tenant, out_refund_no = %refund.out_refund_no, %error, "asking about a refund failed");
        }
    }

    /// What comes of the question, or of sending, is one step of the refund's schedule.
    async fn follow_refund_alone(
        &self,
        tenant: &Tenant,
        provider: &Arc<dyn Provider>,
        refund: &Refund,
    ) -> Result<(), EngineError> {
        let status = match self.query_refund(tenant, provider, refund).await {
            Ok(status) => status,
            Err(error) => {
                self.ask_refund_later(refund, &error).await;
                return Err(error);
            }
        };
        if status.word != RefundWord::Missing {
            return self.record_refund_status(refund, status.into(), None).await.map(drop);
        }
        // The platform never got it: the same refund again, under the same number.
        match self.take_missing_refund(refund, status).await? {
            Some((payment, refund)) => self.send_refund(provider, &payment, &refund).await.map(drop),
            None => Ok(()),
        }
    }

    /// Enters that the platform does not know the refund that was taken as `taken`. Returns it where it is to be
    /// sent, and nobody else can be sending it.
    async fn take_missing_refund(
        &self,
        taken: &Refund,
        status: RefundStatus,
    ) -> Result<Option<(Payment, Refund)>, EngineError> {
        let now = self.now();
        let schedule = self.config.schedule.clone();
        let version = taken.version;
        let words = status.into();
        let target = Target::refund(taken.tenant.clone(), taken.out_refund_no.clone());
        let entered = self
            .change(target, move |view| {
                let (Some(mut payment), Some(mut refund)) = (view.payment, view.refund) else {
                    return (Change::default(), None);
                };
                // Somebody else went on with it while the platform was asked.
                if refund.version != version {
                    return (Change::default(), None);
                }
                let before = refund.state;
                let mut change = Change::default();
                rules::heard_refund(&mut payment, &mut refund, &words, now, &mut change);
                rules::schedule_refund(&mut refund, before, true, &schedule, now);
                let send = refund.state == RefundState::Created;
                if send {
                    rules::send_now(&mut refund, now);
                }
                change.payment = Some(payment.clone());
                change.refund = Some(refund.clone());
                (change, Some((before, payment, refund, send)))
            })
            .await?;
        let Some((before, payment, refund, send)) = entered else { return Ok(None) };
        self.count_refund(Some(before), &refund);
        Ok(send.then_some((payment, refund)))
    }

    async fn ask_refund_later(&self, refund: &Refund, error: &EngineError) {
        let reason = match error {
            EngineError::Provider(error) => error.reason,
            _ => Reason::Other,
        };
        let now = self.now();
        let schedule = self.config.schedule.clone();
        let target = Target::refund(refund.tenant.clone(), refund.out_refund_no.clone());
        let postponed = self
            .change(target, move |view| {
                let Some(mut refund) = view.refund else { return (Change::default(), ()) };
                rules::ask_refund_later(&mut refund, &schedule, now);
                rules::wait_as_asked(&mut refund, reason, now);
                (Change { refund: Some(refund), ..Change::default() }, ())
            })
            .await;
        if let Err(error) = postponed {
            tracing::warn!(%error, "a question could not be put off");
        }
    }
}

fn note_failure(payment: &Payment, error: &EngineError) {
    tracing::warn!(tenant = %payment.tenant, out_trade_no = %payment.out_trade_no, %error, "asking about a payment failed");
}

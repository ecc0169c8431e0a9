//! Reading, and asking the platform what became of a payment or a refund.

use std::sync::Arc;

use dukou_domain::{
    AttemptState, EventId, OutRefundNo, OutTradeNo, PaymentFact, PaymentState, RefundState, TradeNo, TransactionId,
};
use dukou_spi::{ErrorKind, FieldProblem, OrderStatus, OrderWord, Provider, Reason, RefundQuery, RefundStatus};

use crate::command::PaymentAnswer;
use crate::create::waits_for_payer;
use crate::engine::{Engine, order_of};
use crate::error::EngineError;
use crate::notify::query_key;
use crate::ports::{Change, PaymentKey, Target};
use crate::records::{Event, Notification, Page, Payment, PaymentFilter, Recorded, Refund};
use crate::refund::{gone_detail, platform_refund_no};
use crate::rules::{self, Heard, RefundWords};
use crate::success;
use crate::tenant::Tenant;

impl Engine {
    /// One payment, with fresh arguments for the front end while it can be paid. With `refresh` the
    /// platform is asked first.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Provider`] when the platform was to be asked and
    /// did not answer, [`EngineError::Store`].
    pub async fn payment(
        &self,
        tenant: &Tenant,
        out_trade_no: &OutTradeNo,
        refresh: bool,
    ) -> Result<PaymentAnswer, EngineError> {
        let mut payment = self.store.payment(&tenant.id, out_trade_no).await?.ok_or(EngineError::NotFound)?;
        let Ok(provider) = self.provider_known(tenant, &payment.attempt) else {
            // Its provider was taken out of the configuration; the record can still be read.
            return Ok(PaymentAnswer { payment, invoke: None, created: false });
        };
        let provider = &provider;
        let may_have_changed = !payment.state.is_paid() && payment.state != PaymentState::Failed;
        if refresh && may_have_changed && !waits_for_payer(provider, &payment) {
            payment = self.ask_payment(tenant, provider, &payment).await.map_err(unanswered)?;
        }
        let invoke = self.invoke(provider, &payment)?;
        Ok(PaymentAnswer { payment, invoke, created: false })
    }

    /// As [`Engine::payment`], for the buyer with this openid: a payment of somebody else, or of
    /// nobody yet, is not found.
    ///
    /// # Errors
    /// As for [`Engine::payment`].
    pub async fn payment_of_buyer(
        &self,
        tenant: &Tenant,
        out_trade_no: &OutTradeNo,
        openid: &str,
        refresh: bool,
    ) -> Result<PaymentAnswer, EngineError> {
        let payment = self.store.payment(&tenant.id, out_trade_no).await?.ok_or(EngineError::NotFound)?;
        if payment.attempt.openid.as_deref() != Some(openid) {
            return Err(EngineError::NotFound);
        }
        let answer = self.payment(tenant, out_trade_no, refresh).await?;
        // Between the two reads another channel may have been tried for somebody else.
        if answer.payment.attempt.openid.as_deref() == Some(openid) { Ok(answer) } else { Err(EngineError::NotFound) }
    }

    /// The payment with this number, which is the merchant's own, that of one of its attempts at a platform,
    /// or the platform's of a success.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub async fn find_payment(&self, tenant: &Tenant, number: &str) -> Result<Option<Payment>, EngineError> {
        if let Ok(number) = OutTradeNo::new(number)
            && let Some(payment) = self.store.payment(&tenant.id, &number).await?
        {
            return Ok(Some(payment));
        }
        if let Ok(trade_no) = TradeNo::new(number) {
            for provider in tenant.providers.keys() {
                let found = self.store.payment_by_trade_no(&tenant.id, provider, &trade_no).await?;
                if found.is_some() {
                    return Ok(found);
                }
            }
        }
        let Ok(transaction) = TransactionId::new(number) else { return Ok(None) };
        Ok(self.store.payment_by_transaction(&tenant.id, &transaction).await?)
    }

    /// # Errors
    /// [`EngineError::Store`].
    pub async fn payments(&self, filter: PaymentFilter) -> Result<Page<Payment>, EngineError> {
        Ok(self.store.payments(filter).await?)
    }

    /// All refunds of a payment, oldest first.
    ///
    /// # Errors
    /// [`EngineError::NotFound`] when there is no such payment, [`EngineError::Store`].
    pub async fn refunds(&self, tenant: &Tenant, out_trade_no: &OutTradeNo) -> Result<Vec<Refund>, EngineError> {
        let payment = self.store.payment(&tenant.id, out_trade_no).await?.ok_or(EngineError::NotFound)?;
        Ok(self.store.refunds(&tenant.id, payment.id).await?)
    }

    /// One refund. With `refresh` the platform is asked first, unless the refund has ended well.
    ///
    /// # Errors
    /// As for [`Engine::payment`], and [`EngineError::InvalidState`] when the platform was to be asked and the
    /// provider is not configured any more.
    pub async fn refund(
        &self,
        tenant: &Tenant,
        out_refund_no: &OutRefundNo,
        refresh: bool,
    ) -> Result<Refund, EngineError> {
        let refund = self.store.refund(&tenant.id, out_refund_no).await?.ok_or(EngineError::NotFound)?;
        if !refresh || refund.state == RefundState::Succeeded {
            return Ok(refund);
        }
        let providers = self.providers_known(tenant);
        let Some(provider) = providers.get(&refund.provider) else {
            return Err(EngineError::InvalidState(gone_detail(&refund.provider)));
        };
        self.ask_refund(tenant, provider, &refund).await.map_err(unanswered)
    }

    /// The tenant's events after one of them, oldest first.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] when `after` is no event of this tenant, [`EngineError::Store`].
    pub async fn events(&self, tenant: &Tenant, after: Option<EventId>, limit: u32) -> Result<Vec<Event>, EngineError> {
        let position = match after {
            None => 0,
            Some(id) => self.store.event_position(&tenant.id, id).await?.ok_or_else(|| {
                let message = "is not an event of this tenant; expected the id of one".to_owned();
                EngineError::Invalid(vec![FieldProblem { field: "after", message }])
            })?,
        };
        Ok(self.store.events(&tenant.id, position, limit).await?)
    }

    /// Asks the platform about an order and records the answer.
    pub(crate) async fn ask_payment(
        &self,
        tenant: &Tenant,
        provider: &Arc<dyn Provider>,
        payment: &Payment,
    ) -> Result<Payment, EngineError> {
        let answer = self.calls_about(payment, &payment.attempt, provider).query(&order_of(payment)).await?;
        self.record_order_status(tenant, payment, answer.into_inner()).await
    }

    pub(crate) async fn record_order_status(
        &self,
        tenant: &Tenant,
        payment: &Payment,
        status: OrderStatus,
    ) -> Result<Payment, EngineError> {
        let now = self.now();
        let schedule = self.config.schedule.clone();
        let policy = self.policy(tenant);
        let owner = match &status.word {
            OrderWord::Paid(facts) => self.store.payment_by_transaction(&tenant.id, &facts.transaction_id).await?,
            OrderWord::Waiting | OrderWord::Closed | OrderWord::Missing | OrderWord::Unrecognised => None,
        };
        let owner = owner.map(|owner| owner.id);
        // A contradiction is raised once, however often the platform repeats it.
        let key = match &status.word {
            OrderWord::Paid(facts) => Some(query_key(&tenant.id, &payment.attempt.provider, facts)),
            OrderWord::Waiting | OrderWord::Closed | OrderWord::Missing | OrderWord::Unrecognised => None,
        };
        let target = Target {
            tenant: tenant.id.clone(),
            payment: PaymentKey::OutTradeNo(payment.out_trade_no.clone()),
            refund: None,
            notification: key.clone(),
            request: None,
        };
        let recorded = self
            .change(target, move |view| {
                let Some(mut payment) = view.payment else { return (Change::default(), None) };
                let before = payment.state;
                let asked = payment.check.map(|check| check.asked);
                let mut change = Change::default();
                // A success counts whichever attempt it is of; anything else says nothing about one that took
                // the place of the attempt that was asked about.
                let replaced = payment.attempt.trade_no != status.trade_no;
                if replaced && !matches!(status.word, OrderWord::Paid(_)) {
                    return (change, Some((before, payment, None)));
                }
                match &status.word {
                    OrderWord::Paid(facts) => {
                        match success::enter(&mut payment, facts, owner, &policy, now, &mut change) {
                            Heard::Changed | Heard::Duplicate(_) => {}
                            Heard::Known => {}
                            Heard::Mismatch(differences) => {
                                if view.notification.is_some() {
                                    change.events.clear();
                                }
                                rules::number_taken(&mut payment, facts, &differences, now, &mut change);
                                let new = key.clone().filter(|_| view.notification.is_none());
                                change.notification = new.map(|key| Notification {
                                    key,
                                    outcome: Recorded::Mismatch,
                                    payment: Some(payment.id),
                                    trade_no: status.trade_no.clone(),
                                    received_at: now,
                                    body: bytes::Bytes::new(),
                                });
                            }
                        }
                    }
                    OrderWord::Waiting => {
                        rules::move_payment(&mut payment, PaymentFact::OrderAccepted, now, &mut change);
                    }
                    OrderWord::Closed => {
                        // An attempt that is being given up ends alone; the payment can go on.
                        let fact = match payment.attempt.state {
                            AttemptState::Closing => PaymentFact::AttemptClosed,
                            AttemptState::Live | AttemptState::Closed | AttemptState::Failed | AttemptState::Paid => {
                                PaymentFact::OrderClosed
                            }
                        };
                        rules::move_payment(&mut payment, fact, now, &mut change);
                    }
                    OrderWord::Missing => {
                        rules::move_payment(&mut payment, PaymentFact::OrderMissing, now, &mut change);
                    }
                    OrderWord::Unrecognised => {
                        tracing::warn!(tenant = %payment.tenant, out_trade_no = %payment.out_trade_no,
                            word = %status.platform_word, "the platform used an unknown word for the order's state");
                    }
                }
                let asked = if payment.state == before { Some(asked.unwrap_or(0)) } else { None };
                if !payment.state.is_paid() {
                    rules::schedule_payment(&mut payment, asked, &schedule, now);
                    rules::schedule_end(&mut payment, now);
                }
                change.payment = Some(payment.clone());
                let refund = change.refund.clone();
                (change, Some((before, payment, refund)))
            })
            .await?;
        let (before, payment, refund) = recorded.ok_or(EngineError::NotFound)?;
        self.count_payment(Some(before), &payment);
        if let Some(refund) = refund {
            self.count_refund(None, &refund);
        }
        Ok(payment)
    }

    /// Asks the platform about a refund and records the answer.
    pub(crate) async fn ask_refund(
        &self,
        tenant: &Tenant,
        provider: &Arc<dyn Provider>,
        refund: &Refund,
    ) -> Result<Refund, EngineError> {
        let status = self.query_refund(tenant, provider, refund).await?;
        let (refund, _) = self.record_refund_status(refund, status.into(), None).await?;
        Ok(refund)
    }

    pub(crate) async fn query_refund(
        &self,
        tenant: &Tenant,
        provider: &Arc<dyn Provider>,
        refund: &Refund,
    ) -> Result<RefundStatus, EngineError> {
        let payment = self.store.payment(&tenant.id, &refund.out_trade_no).await?.ok_or(EngineError::NotFound)?;
        self.query_refund_of(provider, &payment, refund).await
    }

    pub(crate) async fn query_refund_of(
        &self,
        provider: &Arc<dyn Provider>,
        payment: &Payment,
        refund: &Refund,
    ) -> Result<RefundStatus, EngineError> {
        let query = RefundQuery {
            trade_no: refund.trade_no.clone(),
            out_refund_no: platform_refund_no(payment, &refund.out_refund_no)?,
            total: payment.amount,
        };
        Ok(self.calls_about_refund(payment, refund, provider).query_refund(&query).await?.into_inner())
    }

    /// Enters a verified word about a refund, with the message that led to it where there was one.
    pub(crate) async fn record_refund_status(
        &self,
        refund: &Refund,
        words: RefundWords,
        notification: Option<Notification>,
    ) -> Result<(Refund, Heard), EngineError> {
        let now = self.now();
        let schedule = self.config.schedule.clone();
        let target = Target {
            tenant: refund.tenant.clone(),
            payment: PaymentKey::Refund(refund.out_refund_no.clone()),
            refund: Some(refund.out_refund_no.clone()),
            notification: notification.as_ref().map(|notification| notification.key.clone()),
            request: None,
        };
        let recorded = self
            .change(target, move |view| {
                let (Some(mut payment), Some(mut refund)) = (view.payment, view.refund) else {
                    return (Change::default(), None);
                };
                let before = (payment.state, refund.state);
                // The same message as before says nothing new, whatever it said; unless nobody knew then what it
                // was about.
                let heard_before = match view.notification {
                    Some(Recorded::Applied | Recorded::Mismatch | Recorded::NotPaid) => true,
                    Some(Recorded::UnknownOrder) | None => false,
                };
                if notification.is_some() && heard_before {
                    return (Change::default(), Some((before, payment, refund, Heard::Known)));
                }
                let mut change = Change::default();
                let heard = rules::heard_refund(&mut payment, &mut refund, &words, now, &mut change);
                rules::schedule_refund(&mut refund, before.1, true, &schedule, now);
                change.payment = Some(payment.clone());
                change.refund = Some(refund.clone());
                change.notification.clone_from(&notification);
                if let (Some(notification), Heard::Mismatch(_)) = (&mut change.notification, &heard) {
                    notification.outcome = Recorded::Mismatch;
                }
                (change, Some((before, payment, refund, heard)))
            })
            .await?;
        let (before, payment, refund, heard) = recorded.ok_or(EngineError::NotFound)?;
        self.count_payment(Some(before.0), &payment);
        self.count_refund(Some(before.1), &refund);
        Ok((refund, heard))
    }
}

/// A question that got an answer of no use left nothing open: only a platform that stayed silent may have lost one.
fn unanswered(mut error: EngineError) -> EngineError {
    if let EngineError::Provider(error) = &mut error
        && error.kind == ErrorKind::Unknown
        && error.reason != Reason::Timeout
    {
        error.kind = ErrorKind::NotSent;
    }
    error
}

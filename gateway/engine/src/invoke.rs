//! One order, any channel: paying a payment another way than it was tried before. The attempt
//! before is closed at its platform first, so that no two can be paid at the same time.

use std::net::IpAddr;
use std::sync::Arc;

use dukou_domain::{AttemptState, OutTradeNo, PaymentFact, PaymentState};
use dukou_spi::{ErrorKind, FieldProblem, NotifyKind, Provider, Reason};

use crate::command::{InvokePayment, Payer, PaymentAnswer};
use crate::create::{is_at_platform, waits_for_payer};
use crate::engine::{Engine, order_of, order_of_attempt, provider_of};
use crate::error::EngineError;
use crate::number;
use crate::ports::{Change, PaymentKey, Target};
use crate::records::{Attempt, Payment};
use crate::rules;
use crate::tenant::Tenant;

/// How many attempts a payment may have, the first included: all of them stand in its record and in each of its events.
const MAX_ATTEMPTS: usize = 20;
/// How many attempts a payment may have for a buyer to make another: the rest are the merchant's, so that no buyer uses
/// all of them up.
const MAX_ATTEMPTS_FOR_BUYER: usize = 10;

const TIME_IS_OVER: &str = "the payment's time is over; create another";

impl Engine {
    /// Makes an unpaid payment payable through the given channel and answers the front end's
    /// arguments. The same channel again is the same attempt; another one replaces it.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], also where a buyer asks for a payment of somebody else;
    /// [`EngineError::Invalid`]; [`EngineError::InvalidState`] when it is paid (also when the platform
    /// says so only now), closed, over (without an order that is there already, also within its last minute) or has as many
    /// attempts as it may; [`EngineError::Provider`] when a platform did not do its part: the call may be
    /// repeated; [`EngineError::Store`].
    pub async fn invoke_payment(
        &self,
        tenant: &Tenant,
        out_trade_no: &OutTradeNo,
        command: InvokePayment,
    ) -> Result<PaymentAnswer, EngineError> {
        let lock = self.coordinator.lock(&Self::payment_lock(tenant, out_trade_no)).await;
        let answer = Box::pin(self.invoke_alone(tenant, out_trade_no, command)).await;
        if let Some(lock) = lock {
            self.coordinator.unlock(lock).await;
        }
        answer
    }

    async fn invoke_alone(
        &self,
        tenant: &Tenant,
        out_trade_no: &OutTradeNo,
        command: InvokePayment,
    ) -> Result<PaymentAnswer, EngineError> {
        let mut payment = self.store.payment(&tenant.id, out_trade_no).await?.ok_or(EngineError::NotFound)?;
        if let Some(buyer) = &command.buyer
            && !self.is_for_buyer(tenant, &payment, buyer)
        {
            return Err(EngineError::NotFound);
        }
        let provider = provider_of(tenant, &command.provider)?;
        if payment.state == PaymentState::Unknown {
            let current = self.provider_known(tenant, &payment.attempt)?;
            payment = self.ask_payment(tenant, &current, &payment).await?;
        }
        self.refuse_ended(&payment)?;
        if self.live_prepay(&payment).is_none() {
            // Whatever is asked for, an order is to be sent.
            self.refuse_short(&payment)?;
        }
        let client_ip = command.client_ip;
        let most = if command.buyer.is_some() { MAX_ATTEMPTS_FOR_BUYER } else { MAX_ATTEMPTS };
        let candidate = self.candidate(tenant, provider, &payment, command).await?;
        // An attempt that nobody can sign for any more is no way to pay, whatever the channel is called.
        let signed_for = self.signer_of(&payment.tenant, &payment.attempt, provider).is_some();
        if is_same_channel(&payment.attempt, &candidate) && signed_for {
            let payment = self.bind_payer(payment, &candidate, client_ip).await?;
            if let Some(invoke) = self.invoke(provider, &payment)? {
                return Ok(PaymentAnswer { payment, invoke: Some(invoke), created: false });
            }
            self.refuse_short(&payment)?;
            return self.send_order(tenant, provider, payment).await;
        }
        self.refuse_short(&payment)?;
        if 1 + payment.others.len() >= most {
            let why = format!("the payment was tried in {most} ways already; pay it the last way, or create another");
            return Err(EngineError::InvalidState(why));
        }
        let current = self.provider_known(tenant, &payment.attempt)?;
        let payment = self.give_up_attempt(tenant, &current, payment).await?;
        self.refuse_ended(&payment)?;
        if is_at_platform(&current, &payment) {
            let why = "the platform says that the order is paid, which contradicts the record: it cannot be given up; \
                       see the payment's events";
            return Err(EngineError::InvalidState(why.to_owned()));
        }
        self.refuse_short(&payment)?;
        let payment = self.enter_attempt(&payment, candidate, client_ip).await?;
        self.send_order(tenant, provider, payment).await
    }

    /// A buyer pays what is theirs, or what waits for its payer. What is paid without naming anybody, as a code that is
    /// shown to a customer, waits for no one: it is the merchant's until the platform says who paid it.
    fn is_for_buyer(&self, tenant: &Tenant, payment: &Payment, buyer: &str) -> bool {
        match &payment.attempt.openid {
            Some(payer) => payer == buyer,
            None => {
                self.provider_known(tenant, &payment.attempt).is_ok_and(|provider| waits_for_payer(&provider, payment))
            }
        }
    }

    fn refuse_ended(&self, payment: &Payment) -> Result<(), EngineError> {
        let refused = |why: &str| Err(EngineError::InvalidState(why.to_owned()));
        match payment.state {
            PaymentState::Succeeded | PaymentState::PartiallyRefunded | PaymentState::Refunded => {
                refused("the payment is paid already")
            }
            PaymentState::Closed => refused("the payment is closed; create another"),
            PaymentState::Unknown => refused("the platform has not said yet what became of the order; try again"),
            PaymentState::Created | PaymentState::Pending | PaymentState::Failed => {
                if self.now() >= payment.expires_at {
                    return refused(TIME_IS_OVER);
                }
                Ok(())
            }
        }
    }

    /// Refuses what an order would have to be sent for with too little time left to pay it.
    fn refuse_short(&self, payment: &Payment) -> Result<(), EngineError> {
        if self.may_be_sent(payment) { Ok(()) } else { Err(EngineError::InvalidState(TIME_IS_OVER.to_owned())) }
    }

    /// The attempt that is asked for, checked before anything is given up for it.
    async fn candidate(
        &self,
        tenant: &Tenant,
        provider: &Arc<dyn Provider>,
        payment: &Payment,
        command: InvokePayment,
    ) -> Result<Attempt, EngineError> {
        let invalid = |field, message: String| EngineError::Invalid(vec![FieldProblem { field, message }]);
        let capabilities = provider.capabilities();
        if !capabilities.methods.contains(&command.method) {
            return Err(invalid("method", format!("{} is not offered by this provider", command.method)));
        }
        let attempt = &payment.attempt;
        let same_name = attempt.provider == command.provider;
        let goes_on = attempt.state == AttemptState::Live
            && attempt.method == command.method
            && self.signer_of(&payment.tenant, attempt, provider).is_some();
        // An openid is of an app, and this name may have been given another since. The platform would refuse the payer
        // of the former one after what can still be paid was closed.
        let of_other_app = same_name && !goes_on && attempt.app_id != provider.info().app_id;
        let (openid, code) = match command.payer {
            Some(Payer::OpenId(openid)) if of_other_app && attempt.openid.as_ref() == Some(&openid) => {
                let (name, was, is) = (&attempt.provider, &attempt.app_id, &provider.info().app_id);
                let message =
                    format!("is of app {was}, and {name} is of app {is} now; expected the payer's openid there");
                return Err(invalid("payer.openid", message));
            }
            Some(Payer::OpenId(openid)) => (Some(openid), None),
            Some(Payer::Code(code)) => (None, Some(code)),
            // A method that needs no payer has the one who pays: whoever was named before need not be that one.
            None if !capabilities.payer_required.contains(&command.method) => (None, None),
            None => {
                let info = provider.info();
                let of_app = |one: &&Attempt| {
                    one.provider == command.provider && (one.app_id == info.app_id || (goes_on && one.id == attempt.id))
                };
                let mut named = payment.attempts().into_iter().rev().filter(of_app);
                (named.find_map(|one| one.openid.clone()), None)
            }
        };
        let number = 1 + payment.attempts().iter().map(|attempt| attempt.number).max().unwrap_or(0);
        let longest = capabilities.trade_no_max;
        let trade_no = number::later_trade_no(&tenant.trade_no_prefix, &payment.out_trade_no, number, longest)
            .ok_or_else(|| invalid("provider", "takes no number as long as the tenant's prefix needs".to_owned()))?;
        let info = provider.info();
        let mut candidate = Attempt {
            id: number::attempt_id(),
            number,
            notify_url: self.notify_url(tenant, &command.provider, NotifyKind::Payment),
            provider: command.provider,
            method: command.method,
            trade_no,
            app_id: info.app_id.clone(),
            merchant_id: info.merchant_id.clone(),
            openid,
            prepay: None,
            state: AttemptState::Live,
            transaction_id: None,
            kind: info.kind.to_owned(),
        };
        if let Some(code) = code {
            // A code works once: it is not spent on what is refused anyway.
            let mut problems = provider.check(&order_of_attempt(payment, &candidate));
            problems.retain(|problem| !problem.field.starts_with("payer"));
            if !problems.is_empty() {
                return Err(EngineError::Invalid(problems));
            }
            candidate.openid = Some(self.calls(&candidate.provider, provider).login(&code).await?.openid);
        }
        let problems = provider.check(&order_of_attempt(payment, &candidate));
        if problems.is_empty() { Ok(candidate) } else { Err(EngineError::Invalid(problems)) }
    }

    /// Names the payer of an attempt that waited for one.
    async fn bind_payer(
        &self,
        payment: Payment,
        candidate: &Attempt,
        client_ip: Option<IpAddr>,
    ) -> Result<Payment, EngineError> {
        if payment.attempt.openid.is_some() || candidate.openid.is_none() {
            return Ok(payment);
        }
        let (now, openid) = (self.now(), candidate.openid.clone());
        self.change_attempt(&payment, move |payment, _| {
            let waiting = payment.attempt.openid.is_none() && payment.attempt.state == AttemptState::Live;
            if waiting {
                payment.attempt.openid.clone_from(&openid);
                payment.client_ip = client_ip.unwrap_or(payment.client_ip);
                payment.updated_at = now;
                rules::schedule_in_flight(payment, now);
            }
            waiting || payment.attempt.openid == openid
        })
        .await
    }

    /// Closes the current attempt at its platform and then here, so that another can follow. A
    /// payment that turns out to be paid comes back paid; one whose platform refuses, or was not
    /// reached, stays payable as it was. The caller holds the payment's lock.
    pub(crate) async fn give_up_attempt(
        &self,
        tenant: &Tenant,
        provider: &Arc<dyn Provider>,
        payment: Payment,
    ) -> Result<Payment, EngineError> {
        let ended = matches!(payment.attempt.state, AttemptState::Closed | AttemptState::Failed);
        if ended || waits_for_payer(provider, &payment) {
            return Ok(payment);
        }
        if !provider.capabilities().close {
            let why = "the attempt's platform cannot close it; it has to run out first".to_owned();
            return Err(EngineError::InvalidState(why));
        }
        let now = self.now();
        let was_live = payment.attempt.state == AttemptState::Live;
        // The intent first: should the process end in between, a job closes the attempt.
        let payment = self
            .change_attempt(&payment, move |payment, _| {
                let open = matches!(payment.attempt.state, AttemptState::Live | AttemptState::Closing);
                // One that is being closed again keeps its plan, so that the tries come ever more slowly.
                if payment.attempt.state == AttemptState::Live && !payment.state.is_paid() {
                    payment.attempt.state = AttemptState::Closing;
                    payment.updated_at = now;
                    rules::schedule_in_flight(payment, now);
                }
                open
            })
            .await?;
        match self.calls_about(&payment, &payment.attempt, provider).close(&order_of(&payment)).await {
            Ok(()) => {}
            Err(error) if error.reason == Reason::AlreadyPaid => {
                let asked = self.ask_payment(tenant, provider, &payment).await?;
                let unsettled = asked.attempt.id == payment.attempt.id && asked.attempt.state == AttemptState::Closing;
                return if was_live && unsettled { self.keep_attempt(&asked).await } else { Ok(asked) };
            }
            Err(error) => {
                if was_live && error.kind != ErrorKind::Unknown {
                    self.keep_attempt(&payment).await?;
                }
                return Err(error.into());
            }
        }
        let schedule = self.config.schedule.clone();
        self.change_attempt(&payment, move |payment, change| {
            if matches!(payment.attempt.state, AttemptState::Live | AttemptState::Closing)
                && rules::move_payment(payment, PaymentFact::AttemptClosed, now, change)
            {
                rules::schedule_payment(payment, None, &schedule, now);
            }
            true
        })
        .await
    }

    /// The attempt was certainly not closed at its platform: it can be paid as before. The question planned with the
    /// intent stays.
    async fn keep_attempt(&self, payment: &Payment) -> Result<Payment, EngineError> {
        let now = self.now();
        self.change_attempt(payment, move |payment, _| {
            if payment.attempt.state == AttemptState::Closing {
                payment.attempt.state = AttemptState::Live;
                payment.updated_at = now;
            }
            true
        })
        .await
    }

    /// Puts the candidate in the place of an attempt that can no longer be paid.
    async fn enter_attempt(
        &self,
        payment: &Payment,
        candidate: Attempt,
        client_ip: Option<IpAddr>,
    ) -> Result<Payment, EngineError> {
        let (now, payer) = (self.now(), payment.attempt.openid.clone());
        self.change_attempt(payment, move |payment, change| {
            // Somebody else may have been quicker to become the payer of one that waited.
            if payment.attempt.openid != payer {
                return false;
            }
            let never_sent = payment.attempt.state == AttemptState::Live && payment.attempt.prepay.is_none();
            let ended = matches!(payment.attempt.state, AttemptState::Closed | AttemptState::Failed);
            let replaceable = matches!(payment.state, PaymentState::Created | PaymentState::Failed);
            if !replaceable || !(ended || never_sent) {
                return false;
            }
            if payment.state == PaymentState::Failed {
                payment.failure = None;
                let refused = payment.attempt.state;
                rules::move_payment(payment, PaymentFact::AttemptClosed, now, change);
                payment.attempt.state = refused;
            } else if never_sent {
                payment.attempt.state = AttemptState::Closed;
            }
            let before = std::mem::replace(&mut payment.attempt, candidate.clone());
            payment.others.push(before);
            payment.client_ip = client_ip.unwrap_or(payment.client_ip);
            payment.updated_at = now;
            rules::schedule_in_flight(payment, now);
            true
        })
        .await
    }

    /// Closes attempts that gave way and are still open, or may be, at their platforms: each is tried, whatever becomes
    /// of another.
    ///
    /// # Errors
    /// The first of those of the attempts that stay to be closed.
    pub(crate) async fn close_others(&self, tenant: &Tenant, payment: &Payment) -> Result<(), EngineError> {
        let mut closed = Ok(());
        for attempt in payment.others.iter().filter(|other| other.state == AttemptState::Closing) {
            closed = closed.and(self.close_other(tenant, payment, attempt).await);
        }
        closed
    }

    async fn close_other(&self, tenant: &Tenant, payment: &Payment, attempt: &Attempt) -> Result<(), EngineError> {
        let provider = self.provider_known(tenant, attempt)?;
        let order = order_of_attempt(payment, attempt);
        match self.calls_about(payment, attempt, &provider).close(&order).await {
            Ok(()) => self.record_other_closed(payment, attempt).await,
            Err(error) if error.reason == Reason::AlreadyPaid => {
                let answer = self.calls_about(payment, attempt, &provider).query(&order).await?;
                let payment = self.record_order_status(tenant, payment, answer.into_inner()).await?;
                let now = payment.others.iter().find(|other| other.id == attempt.id);
                if now.is_some_and(|other| other.state == AttemptState::Closing) {
                    // Nothing follows from it; the next look comes later than this one.
                    let why =
                        "an attempt that gave way cannot be closed, and the platform's word about it changes nothing"
                            .to_owned();
                    return Err(EngineError::InvalidState(why));
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn record_other_closed(&self, payment: &Payment, closed: &Attempt) -> Result<(), EngineError> {
        let id = closed.id;
        let target = Target::payment(payment.tenant.clone(), PaymentKey::OutTradeNo(payment.out_trade_no.clone()));
        self.change(target, move |view| {
            let Some(mut payment) = view.payment else { return (Change::default(), ()) };
            for other in payment.others.iter_mut().filter(|other| other.id == id) {
                if other.state == AttemptState::Closing {
                    other.state = AttemptState::Closed;
                }
            }
            rules::end_questions(&mut payment);
            (Change { payment: Some(payment), ..Change::default() }, ())
        })
        .await?;
        Ok(())
    }

    /// Changes the payment's current attempt, provided that it is still the one in `payment` and
    /// that `change` agrees.
    pub(crate) async fn change_attempt(
        &self,
        payment: &Payment,
        mut decide: impl FnMut(&mut Payment, &mut Change) -> bool + Send + 'static,
    ) -> Result<Payment, EngineError> {
        let expected = payment.attempt.id;
        let target = Target::payment(payment.tenant.clone(), PaymentKey::OutTradeNo(payment.out_trade_no.clone()));
        let changed = self
            .change(target, move |view| {
                let Some(mut payment) = view.payment else { return (Change::default(), None) };
                let before = payment.clone();
                let mut change = Change::default();
                if payment.attempt.id != expected || !decide(&mut payment, &mut change) {
                    return (Change::default(), None);
                }
                if payment != before {
                    change.payment = Some(payment.clone());
                }
                (change, Some((before.state, payment)))
            })
            .await?;
        let why = || EngineError::InvalidState("the payment was changed at the same moment; read it".to_owned());
        let (before, payment) = changed.ok_or_else(why)?;
        self.count_payment(Some(before), &payment);
        Ok(payment)
    }
}

/// The attempt that is there already does what is asked for.
fn is_same_channel(current: &Attempt, candidate: &Attempt) -> bool {
    let same_payer = current.openid.is_none() || candidate.openid.is_none() || current.openid == candidate.openid;
    current.state == AttemptState::Live
        && current.provider == candidate.provider
        && current.method == candidate.method
        && same_payer
}

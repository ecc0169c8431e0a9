//! Creating a payment: intent recorded, platform asked, answer recorded.

use dukou_domain::{AttemptState, PaymentFact, PaymentState, Timestamp};
use dukou_spi::{ErrorKind, FieldProblem, Invoke, NotifyKind, OrderWord, Prepay, Provider, ProviderError, Reason};
use std::sync::Arc;
use std::time::Duration;

use crate::command::{CreatePayment, Payer, PaymentAnswer};
use crate::engine::{Engine, order_of, unknown_provider};
use crate::error::EngineError;
use crate::fail_points::fail_point;
use crate::number;
use crate::ports::{Change, PaymentKey, Target};
use crate::records::{Attempt, EventKind, Failure, Payment, Subject};
use crate::rules;
use crate::spans::{payment_span, within};
use crate::tenant::Tenant;

/// The least time a payer gets, counted from when the order is sent.
const SHORTEST_LIFE: Duration = Duration::from_secs(60);
/// And the most: far beyond any order, and far from the end of any platform's calendar.
const LONGEST_LIFE: Duration = Duration::from_secs(366 * 24 * 60 * 60);

impl Engine {
    /// Records the payment, makes the order at the platform and answers the front end's arguments.
    /// The same number with the same content again gives the same payment and no second order.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] before anything is recorded; [`EngineError::OutTradeNoConflict`];
    /// [`EngineError::Provider`] after the payment was recorded: it can be read under its number,
    /// and sent again unless the platform refused it; [`EngineError::Store`].
    pub async fn create_payment(&self, tenant: &Tenant, command: CreatePayment) -> Result<PaymentAnswer, EngineError> {
        let lock = self.coordinator.lock(&Self::payment_lock(tenant, &command.out_trade_no)).await;
        let (number, telemetry) = (command.out_trade_no.clone(), self.telemetry.as_ref());
        let span = payment_span!("payment.create", tenant.id, number);
        let work = Box::pin(self.create_alone(tenant, command));
        let answer = within(span, telemetry, &tenant.id, number.as_str(), work).await;
        if let Some(lock) = lock {
            self.coordinator.unlock(lock).await;
        }
        answer
    }

    async fn create_alone(&self, tenant: &Tenant, mut command: CreatePayment) -> Result<PaymentAnswer, EngineError> {
        let Some(provider) = tenant.providers.get(&command.provider) else {
            // What was made through a provider that is gone is there all the same.
            let Some(existing) = self.store.payment(&tenant.id, &command.out_trade_no).await? else {
                let end = command.expires_at.and_then(|end| end_problem(end, self.now()));
                let unknown = unknown_provider(tenant, &command.provider);
                return Err(EngineError::Invalid(std::iter::once(unknown).chain(end).collect()));
            };
            return self.answer_existing(tenant, existing, &command).await;
        };
        if let Some(Payer::Code(code)) = &command.payer {
            // A code works once, so a payment that is there already is not asked for it again.
            if let Some(payment) = self.store.payment(&tenant.id, &command.out_trade_no).await? {
                return self.answer_existing(tenant, payment, &command).await;
            }
            // Nor is it spent on what is refused anyway.
            let now = self.now();
            let problems = self.problems(provider, &self.propose(tenant, provider, &command, now)?, now);
            if !problems.is_empty() {
                return Err(EngineError::Invalid(problems));
            }
            let login = self.calls(&command.provider, provider).login(code).await?;
            command.payer = Some(Payer::OpenId(login.openid));
        }
        let now = self.now();
        let proposed = self.propose(tenant, provider, &command, now)?;
        let problems = self.problems(provider, &proposed, now);
        let target = Target::payment(tenant.id.clone(), PaymentKey::OutTradeNo(command.out_trade_no.clone()));
        let found = {
            let (proposed, legal) = (proposed.clone(), problems.is_empty());
            self.change(target, move |view| match view.payment {
                Some(existing) => (Change::default(), Some(existing)),
                None if !legal => (Change::default(), None),
                None => {
                    let mut change = Change { payment: Some(proposed.clone()), ..Change::default() };
                    let subject = Subject::Payment(Box::new(proposed.clone()));
                    change.events.push(rules::event(&proposed, EventKind::PaymentCreated, now, subject));
                    (change, None)
                }
            })
            .await?
        };
        match found {
            Some(existing) => self.answer_existing(tenant, existing, &command).await,
            None if !problems.is_empty() => Err(EngineError::Invalid(problems)),
            None => {
                self.count_payment(None, &proposed);
                fail_point!("create.recorded");
                let payment = Payment { version: 1, ..proposed };
                if waits_for_payer(provider, &payment) {
                    return Ok(PaymentAnswer { payment, invoke: None, created: true });
                }
                let mut answer = self.send_order(tenant, provider, payment).await?;
                answer.created = true;
                Ok(answer)
            }
        }
    }

    /// The record of a payment that does not exist yet, whatever [`Engine::problems`] has against it.
    ///
    /// # Errors
    /// [`EngineError::Invalid`] for a number that no platform could be given with the tenant's prefix.
    fn propose(
        &self,
        tenant: &Tenant,
        provider: &Arc<dyn Provider>,
        command: &CreatePayment,
        now: Timestamp,
    ) -> Result<Payment, EngineError> {
        let trade_no = number::trade_no(&tenant.trade_no_prefix, &command.out_trade_no).ok_or_else(|| {
            let message = "is too long with the tenant's prefix".to_owned();
            EngineError::Invalid(vec![FieldProblem { field: "out_trade_no", message }])
        })?;
        let info = provider.info();
        let zero = dukou_domain::Money::zero(command.amount.currency());
        let openid = match &command.payer {
            Some(Payer::OpenId(openid)) => Some(openid.clone()),
            Some(Payer::Code(_)) | None => None,
        };
        let mut payment = Payment {
            id: number::payment_id(),
            tenant: tenant.id.clone(),
            out_trade_no: command.out_trade_no.clone(),
            amount: command.amount,
            description: command.description.clone(),
            attach: command.attach.clone(),
            metadata: command.metadata.clone(),
            client_ip: command.client_ip,
            state: PaymentState::Created,
            late: false,
            refunded: zero,
            refunding: zero,
            created_at: now,
            updated_at: now,
            expires_at: command.expires_at.unwrap_or_else(|| now.plus(self.config.expires_after)),
            paid_at: None,
            transaction_id: None,
            failure: None,
            attempt: Attempt {
                id: number::attempt_id(),
                number: 1,
                provider: command.provider.clone(),
                method: command.method,
                trade_no,
                app_id: info.app_id.clone(),
                merchant_id: info.merchant_id.clone(),
                openid,
                notify_url: self.notify_url(tenant, &command.provider, NotifyKind::Payment),
                prepay: None,
                state: AttemptState::Live,
                transaction_id: None,
                kind: info.kind.to_owned(),
            },
            others: Vec::new(),
            check: None,
            version: 0,
        };
        if waits_for_payer(provider, &payment) {
            rules::schedule_payment(&mut payment, None, &self.config.schedule, now);
        } else {
            rules::schedule_in_flight(&mut payment, now);
        }
        Ok(payment)
    }

    /// Everything that stands against recording it.
    fn problems(&self, provider: &Arc<dyn Provider>, payment: &Payment, now: Timestamp) -> Vec<FieldProblem> {
        let method = payment.attempt.method;
        if !provider.capabilities().methods.contains(&method) {
            // What an order would need is not known of a method that is not offered.
            let message = format!("{method} is not offered by this provider");
            let unoffered = FieldProblem { field: "method", message };
            return std::iter::once(unoffered).chain(end_problem(payment.expires_at, now)).collect();
        }
        let mut problems = provider.check(&order_of(payment));
        if waits_for_payer(provider, payment) {
            problems.retain(|problem| !problem.field.starts_with("payer"));
        }
        if problems.iter().all(|problem| problem.field != "expires_at") {
            problems.extend(end_problem(payment.expires_at, now));
        }
        problems
    }

    /// The same number again: the same payment, sent once more only where that leads to the same
    /// order. Whoever was given another channel meanwhile is answered with that one.
    async fn answer_existing(
        &self,
        tenant: &Tenant,
        payment: Payment,
        command: &CreatePayment,
    ) -> Result<PaymentAnswer, EngineError> {
        let differing = differing_fields(&payment, command);
        if !differing.is_empty() {
            return Err(EngineError::OutTradeNoConflict(format!("{} is not the same", differing.join(", "))));
        }
        let Ok(provider) = self.provider_known(tenant, &payment.attempt) else {
            return Ok(PaymentAnswer { payment, invoke: None, created: false });
        };
        let provider = &provider;
        let payment = if payment.state == PaymentState::Unknown {
            self.ask_payment(tenant, provider, &payment).await?
        } else {
            payment
        };
        if let Some(invoke) = self.invoke(provider, &payment)? {
            return Ok(PaymentAnswer { payment, invoke: Some(invoke), created: false });
        }
        let sendable = matches!(payment.state, PaymentState::Created | PaymentState::Pending)
            && payment.attempt.state == AttemptState::Live
            && !waits_for_payer(provider, &payment)
            && self.may_be_sent(&payment)
            && self.signer_of(&payment.tenant, &payment.attempt, provider).is_some();
        if sendable {
            return self.send_order(tenant, provider, payment).await;
        }
        Ok(PaymentAnswer { payment, invoke: None, created: false })
    }

    /// Whether its payer would have time to pay an order that is sent now. Nearer to its end, a platform refuses it, or
    /// lets it live on beyond it.
    pub(crate) fn may_be_sent(&self, payment: &Payment) -> bool {
        payment.expires_at.since(self.now()) >= SHORTEST_LIFE
    }

    /// Sends the order and records what came back. The caller holds the payment's lock.
    pub(crate) async fn send_order(
        &self,
        tenant: &Tenant,
        provider: &Arc<dyn Provider>,
        payment: Payment,
    ) -> Result<PaymentAnswer, EngineError> {
        let order = order_of(&payment);
        let result = self.calls_about(&payment, &payment.attempt, provider).pay(&order).await;
        fail_point!("create.answered");
        match result {
            Ok(prepay) => {
                let payment = self.record_answer(provider, &payment, Answer::Accepted(prepay)).await?;
                fail_point!("create.committed");
                let invoke = self.invoke(provider, &payment)?;
                Ok(PaymentAnswer { payment, invoke, created: false })
            }
            Err(error) if error.reason == Reason::AlreadyPaid => {
                let calls = self.calls_about(&payment, &payment.attempt, provider);
                let status = calls.query(&order_of(&payment)).await?.into_inner();
                let taken = matches!(status.word, OrderWord::Paid(_));
                let payment = self.record_order_status(tenant, &payment, status).await?;
                if !payment.state.is_paid() {
                    if taken {
                        // What was paid under the number is not this payment, which can never be made under it.
                        self.record_answer(provider, &payment, Answer::Refused(failure_of(&error))).await?;
                    }
                    return Err(error.into());
                }
                Ok(PaymentAnswer { payment, invoke: None, created: false })
            }
            Err(error) if error.reason == Reason::Unlisted => {
                self.settle_unlisted(tenant, provider, payment, error).await
            }
            Err(error) => {
                let payment = if error.reason == Reason::NumberUsed {
                    self.ask_used_number(tenant, provider, payment).await?
                } else {
                    payment
                };
                let answer = match (error.kind, error.reason) {
                    // Nothing happened; the record stands and can be sent again.
                    (ErrorKind::NotSent, _) => return Err(error.into()),
                    (ErrorKind::Refused, Reason::OrderClosed) => Answer::Closed,
                    (ErrorKind::Refused, _) => Answer::Refused(failure_of(&error)),
                    (ErrorKind::Unknown, _) => Answer::Lost,
                };
                let payment = self.record_answer(provider, &payment, answer).await?;
                if payment.state.is_paid() {
                    // The notify was faster than the answer that got lost, or the used number is ours.
                    return Ok(PaymentAnswer { payment, invoke: None, created: false });
                }
                Err(error.into())
            }
        }
    }

    /// The platform has an order of this number that it takes for another one. Paid or still to be paid, it is what
    /// became of the payment; else the refusal stands.
    async fn ask_used_number(
        &self,
        tenant: &Tenant,
        provider: &Arc<dyn Provider>,
        payment: Payment,
    ) -> Result<Payment, EngineError> {
        let calls = self.calls_about(&payment, &payment.attempt, provider);
        let status = calls.query(&order_of(&payment)).await?.into_inner();
        match status.word {
            OrderWord::Paid(_) | OrderWord::Waiting => self.record_order_status(tenant, &payment, status).await,
            OrderWord::Closed | OrderWord::Missing | OrderWord::Unrecognised => Ok(payment),
        }
    }

    /// The platform refused by a code that nobody knows: when it knows no such order either, that was a refusal. While
    /// it does not say so, the order's answer is lost.
    async fn settle_unlisted(
        &self,
        tenant: &Tenant,
        provider: &Arc<dyn Provider>,
        payment: Payment,
        error: ProviderError,
    ) -> Result<PaymentAnswer, EngineError> {
        let calls = self.calls_about(&payment, &payment.attempt, provider);
        let status = match calls.query(&order_of(&payment)).await {
            Ok(status) => status.into_inner(),
            Err(doubt) => {
                tracing::warn!(tenant = %payment.tenant, out_trade_no = %payment.out_trade_no, error = %doubt,
                    "whether an order was made that is refused by an unknown code is not known yet");
                self.record_answer(provider, &payment, Answer::Lost).await?;
                return Err(error.into());
            }
        };
        if status.word == OrderWord::Missing {
            let payment = self.record_answer(provider, &payment, Answer::Refused(failure_of(&error))).await?;
            if payment.state.is_paid() {
                return Ok(PaymentAnswer { payment, invoke: None, created: false });
            }
            return Err(ProviderError { kind: ErrorKind::Refused, ..error }.into());
        }
        self.record_answer(provider, &payment, Answer::Lost).await?;
        let payment = self.record_order_status(tenant, &payment, status).await?;
        if payment.state.is_paid() {
            return Ok(PaymentAnswer { payment, invoke: None, created: false });
        }
        Err(error.into())
    }

    /// # Errors
    /// [`EngineError::InvalidState`] when another attempt took this one's place meanwhile.
    async fn record_answer(
        &self,
        provider: &Arc<dyn Provider>,
        payment: &Payment,
        answer: Answer,
    ) -> Result<Payment, EngineError> {
        let sent = payment.attempt.id;
        let closable = provider.capabilities().close;
        let now = self.now();
        let schedule = self.config.schedule.clone();
        let target = Target::payment(payment.tenant.clone(), PaymentKey::OutTradeNo(payment.out_trade_no.clone()));
        let recorded = self
            .change(target, move |view| {
                let Some(mut payment) = view.payment else { return (Change::default(), None) };
                let before = payment.state;
                let mut change = Change::default();
                // Closed by another while the platform was asked, replaced or not: a payable order is no way back.
                if closable && answer.may_be_payable() && rules::close_again(&mut payment, sent, now) {
                    change.payment = Some(payment.clone());
                    return (change, Some((before, payment)));
                }
                if payment.attempt.id != sent {
                    return (change, Some((before, payment)));
                }
                let moved = match &answer {
                    Answer::Accepted(prepay) => {
                        payment.attempt.prepay = Some(prepay.clone());
                        rules::move_payment(&mut payment, PaymentFact::OrderAccepted, now, &mut change)
                    }
                    Answer::Lost => rules::move_payment(&mut payment, PaymentFact::AnswerLost, now, &mut change),
                    Answer::Closed => rules::move_payment(&mut payment, PaymentFact::OrderClosed, now, &mut change),
                    Answer::Refused(failure) => {
                        if payment.state == PaymentState::Created {
                            payment.failure = Some(failure.clone());
                        }
                        rules::move_payment(&mut payment, PaymentFact::OrderRefused, now, &mut change)
                    }
                };
                if moved {
                    rules::schedule_payment(&mut payment, None, &schedule, now);
                }
                change.payment = Some(payment.clone());
                (change, Some((before, payment)))
            })
            .await?;
        let (before, payment) = recorded.ok_or(EngineError::NotFound)?;
        if payment.attempt.id != sent {
            let why = "the payment was changed to another channel at the same moment; read it";
            return Err(EngineError::InvalidState(why.to_owned()));
        }
        self.count_payment(Some(before), &payment);
        Ok(payment)
    }

    /// The front end's arguments, where the payment can be paid with what the platform gave.
    pub(crate) fn invoke(
        &self,
        provider: &Arc<dyn Provider>,
        payment: &Payment,
    ) -> Result<Option<Invoke>, EngineError> {
        let Some(prepay) = self.live_prepay(payment) else { return Ok(None) };
        // After a restart nobody may be able to sign; another attempt has to be made.
        let Some(signer) = self.signer_of(&payment.tenant, &payment.attempt, provider) else { return Ok(None) };
        Ok(Some(signer.invoke(&order_of(payment), prepay)?))
    }

    /// What the platform gave for the current attempt, while it can be paid with.
    pub(crate) fn live_prepay<'p>(&self, payment: &'p Payment) -> Option<&'p Prepay> {
        let now = self.now();
        payment.attempt.prepay.as_ref().filter(|prepay| {
            payment.state == PaymentState::Pending
                && payment.attempt.state == AttemptState::Live
                && now < prepay.valid_until
                && now < payment.expires_at
        })
    }
}

/// What came back for an order.
enum Answer {
    Accepted(Prepay),
    Lost,
    Closed,
    Refused(Failure),
}

impl Answer {
    /// The platform has, or may have, an order that can be paid.
    const fn may_be_payable(&self) -> bool {
        match self {
            Answer::Accepted(_) | Answer::Lost => true,
            Answer::Closed | Answer::Refused(_) => false,
        }
    }
}

pub(crate) fn failure_of(error: &ProviderError) -> Failure {
    Failure { code: error.code.clone(), message: error.message.clone() }
}

/// What is wrong with an `expires_at`: a payment is payable for a minute at least, and for 366 days at most.
pub fn end_problem(expires_at: Timestamp, now: Timestamp) -> Option<FieldProblem> {
    if (now.plus(SHORTEST_LIFE)..=now.plus(LONGEST_LIFE)).contains(&expires_at) {
        return None;
    }
    let message = "expected a time from one minute to 366 days from now".to_owned();
    Some(FieldProblem { field: "expires_at", message })
}

/// Nobody is named who could pay it this way; the mini-program will.
pub(crate) fn waits_for_payer(provider: &Arc<dyn Provider>, payment: &Payment) -> bool {
    payment.attempt.openid.is_none() && provider.capabilities().payer_required.contains(&payment.attempt.method)
}

/// The current attempt may have an order at its platform.
pub(crate) fn is_at_platform(provider: &Arc<dyn Provider>, payment: &Payment) -> bool {
    let ended = matches!(payment.attempt.state, AttemptState::Closed | AttemptState::Failed);
    !ended && !waits_for_payer(provider, payment)
}

/// The fields in which a repeated create differs from the first, whose channel is that of the first
/// attempt. What the gateway filled in itself is not compared where the merchant left it out.
fn differing_fields(payment: &Payment, command: &CreatePayment) -> Vec<&'static str> {
    let attempt = payment.attempts().first().copied().unwrap_or(&payment.attempt);
    let same_payer = match &command.payer {
        // Whoever paid has taken the place of who was meant to.
        Some(_) if attempt.state == AttemptState::Paid => true,
        Some(Payer::OpenId(openid)) => attempt.openid.as_ref() == Some(openid),
        // The code was not exchanged again; who it belongs to is known already, unless nobody was named.
        Some(Payer::Code(_)) => attempt.openid.is_some(),
        None => true,
    };
    let comparisons: [(&'static str, bool); 8] = [
        ("provider", attempt.provider == command.provider),
        ("method", attempt.method == command.method),
        ("amount", payment.amount == command.amount),
        ("description", payment.description == command.description),
        ("attach", payment.attach == command.attach),
        ("metadata", payment.metadata == command.metadata),
        ("payer", same_payer),
        ("expires_at", command.expires_at.is_none_or(|expires_at| expires_at == payment.expires_at)),
    ];
    comparisons.into_iter().filter(|(_, same)| !same).map(|(field, _)| field).collect()
}

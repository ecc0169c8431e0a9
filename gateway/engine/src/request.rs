//! A buyer asks for a refund; the merchant decides; an approval makes the refund once.

use std::sync::Arc;

use dukou_domain::{OutTradeNo, RefundRequestId, RefundRequestState};
use dukou_spi::{FieldProblem, Provider};

use crate::command::{CreateRefundRequest, Decision};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::notify_url::notify_url;
use crate::number;
use crate::ports::{Change, PaymentKey, StoreError, Target};
use crate::records::{EventKind, NewEvent, Page, Payment, Refund, RefundRequest, RefundRequestFilter, Subject};
use crate::refund::{Providers, exceeds_detail, not_paid_detail, refund_lock, unsendable};
use crate::rules;
use crate::tenant::Tenant;

/// What the record said to a decision.
enum Decided {
    NoRequest,
    Otherwise(RefundRequestState),
    Exceeds(String),
    NoProvider(String),
    /// Decided now or before. A refund that was just made is still to be sent.
    Done {
        request: Box<RefundRequest>,
        send: Option<(Box<Payment>, Box<Refund>)>,
    },
}

impl Engine {
    /// Records a buyer's wish. No money moves.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], also where the payment is somebody else's;
    /// [`EngineError::InvalidState`] when it is not paid or another request of it is pending;
    /// [`EngineError::RefundExceedsPayment`]; [`EngineError::Store`].
    pub async fn request_refund(
        &self,
        tenant: &Tenant,
        out_trade_no: &OutTradeNo,
        command: CreateRefundRequest,
    ) -> Result<RefundRequest, EngineError> {
        if command.amount.is_zero() {
            let message = "is zero; expected at least 1".to_owned();
            return Err(EngineError::Invalid(vec![FieldProblem { field: "amount", message }]));
        }
        let now = self.now();
        let target = Target::payment(tenant.id.clone(), PaymentKey::OutTradeNo(out_trade_no.clone()));
        let entered = self
            .change(target, move |view| {
                let theirs = |payment: &Payment| payment.attempt.openid.as_ref() == Some(&command.openid);
                let Some(payment) = view.payment.filter(theirs) else {
                    return (Change::default(), Err(EngineError::NotFound));
                };
                if !payment.state.is_paid() {
                    return (Change::default(), Err(EngineError::InvalidState(not_paid_detail(&payment))));
                }
                let left = rules::left_to_refund(&payment);
                if command.amount.minor() > left.minor() {
                    let why = exceeds_detail(left);
                    return (Change::default(), Err(EngineError::RefundExceedsPayment(why)));
                }
                let request = RefundRequest {
                    id: number::request_id(),
                    tenant: payment.tenant.clone(),
                    payment: payment.id,
                    out_trade_no: payment.out_trade_no.clone(),
                    openid: command.openid.clone(),
                    amount: command.amount,
                    reason: command.reason.clone(),
                    state: RefundRequestState::Pending,
                    out_refund_no: None,
                    requested_at: now,
                    decided_at: None,
                    decided_by: None,
                };
                let events = vec![request_event(&request, EventKind::RefundRequested, now)];
                (Change { request: Some(request.clone()), events, ..Change::default() }, Ok(request))
            })
            .await;
        match entered {
            Ok(answer) => answer,
            Err(StoreError::Conflict(_)) => {
                let why = "another request of this payment is waiting for the merchant".to_owned();
                Err(EngineError::InvalidState(why))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// # Errors
    /// [`EngineError::Store`].
    pub async fn refund_requests(&self, filter: RefundRequestFilter) -> Result<Page<RefundRequest>, EngineError> {
        Ok(self.store.refund_requests(filter).await?)
    }

    /// Approves or rejects a request, once; the same decision again answers the same. An approval
    /// makes the refund and sends it: what becomes of it is the refund's story, also when the
    /// platform cannot be reached now.
    ///
    /// # Errors
    /// [`EngineError::NotFound`]; [`EngineError::InvalidState`] after the other decision, or when the payment's
    /// provider is not configured any more, which leaves the request pending;
    /// [`EngineError::RefundExceedsPayment`], which leaves the request pending; [`EngineError::Store`].
    pub async fn decide_refund_request(
        &self,
        tenant: &Tenant,
        id: RefundRequestId,
        decision: Decision,
        decided_by: &str,
    ) -> Result<RefundRequest, EngineError> {
        let providers = self.providers_known(tenant);
        match self.enter_decision(tenant, &providers, id, decision, decided_by).await? {
            Decided::NoRequest => Err(EngineError::NotFound),
            Decided::Otherwise(state) => Err(EngineError::InvalidState(format!("the request is {state} already"))),
            Decided::Exceeds(detail) => Err(EngineError::RefundExceedsPayment(detail)),
            Decided::NoProvider(detail) => Err(EngineError::InvalidState(detail)),
            Decided::Done { request, send } => {
                if let Some((payment, refund)) = send
                    && let Some(provider) = providers.get(&refund.provider)
                {
                    self.count_refund(None, &refund);
                    self.send_requested(tenant, provider, &payment, &refund).await;
                }
                Ok(*request)
            }
        }
    }

    /// The decision stands whatever becomes of the call; the jobs see to the rest.
    async fn send_requested(&self, tenant: &Tenant, provider: &Arc<dyn Provider>, payment: &Payment, refund: &Refund) {
        let lock = self.coordinator.lock(&refund_lock(tenant, refund.out_refund_no.as_str())).await;
        let sent = self.send_refund(provider, payment, refund).await;
        if let Some(lock) = lock {
            self.coordinator.unlock(lock).await;
        }
        if let Err(error) = sent {
            tracing::warn!(tenant = %tenant.id, out_refund_no = %refund.out_refund_no, %error,
                "an approved refund could not be made yet");
        }
    }

    async fn enter_decision(
        &self,
        tenant: &Tenant,
        providers: &Providers,
        id: RefundRequestId,
        decision: Decision,
        decided_by: &str,
    ) -> Result<Decided, EngineError> {
        let now = self.now();
        let decided_by = decided_by.to_owned();
        let public_url = self.config.public_url.clone();
        let (providers, tenants) = (providers.clone(), Arc::clone(&self.tenants));
        let target = Target { request: Some(id), ..Target::payment(tenant.id.clone(), PaymentKey::RefundRequest(id)) };
        let decided = self.change(target, move |view| {
            let (Some(mut payment), Some(mut request)) = (view.payment, view.request) else {
                return (Change::default(), Decided::NoRequest);
            };
            let wanted = match decision {
                Decision::Approve => RefundRequestState::Approved,
                Decision::Reject => RefundRequestState::Rejected,
            };
            if request.state == wanted {
                return (Change::default(), Decided::Done { request: Box::new(request), send: None });
            }
            if request.state != RefundRequestState::Pending {
                return (Change::default(), Decided::Otherwise(request.state));
            }
            request.state = wanted;
            request.decided_at = Some(now);
            request.decided_by = Some(decided_by.clone());
            if decision == Decision::Reject {
                let events = vec![request_event(&request, EventKind::RefundRequestRejected, now)];
                let change = Change { request: Some(request.clone()), events, ..Change::default() };
                return (change, Decided::Done { request: Box::new(request), send: None });
            }
            if let Some(why) = unsendable(tenants.as_ref(), &providers, &payment, &payment.attempt) {
                return (Change::default(), Decided::NoProvider(why));
            }
            let number = number::request_refund_no(request.id);
            request.out_refund_no = Some(number.clone());
            let url =
                notify_url(&public_url, &payment.tenant, &payment.attempt.provider, dukou_spi::NotifyKind::Refund);
            match rules::new_refund(&mut payment, number, request.amount, request.reason.clone(), url, now) {
                Err(exceeds) => (Change::default(), Decided::Exceeds(exceeds_detail(exceeds.left))),
                Ok(refund) => {
                    let change = Change {
                        payment: Some(payment.clone()),
                        refund: Some(refund.clone()),
                        request: Some(request.clone()),
                        events: vec![rules::refund_event(&refund, EventKind::RefundCreated, now)],
                        ..Change::default()
                    };
                    let send = Some((Box::new(payment), Box::new(refund)));
                    (change, Decided::Done { request: Box::new(request), send })
                }
            }
        });
        Ok(decided.await?)
    }
}

fn request_event(request: &RefundRequest, kind: EventKind, at: dukou_domain::Timestamp) -> NewEvent {
    let subject = Subject::RefundRequest(Box::new(request.clone()));
    NewEvent { id: number::event_id(), tenant: request.tenant.clone(), kind, at, subject }
}

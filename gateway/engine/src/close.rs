//! Closing an unpaid payment: at the platform first, then here.

use std::sync::Arc;

use dukou_domain::{OutTradeNo, PaymentFact, PaymentState};
use dukou_spi::{Provider, Reason};

use crate::create::is_at_platform;
use crate::engine::{Engine, order_of};
use crate::error::EngineError;
use crate::fail_points::fail_point;
use crate::records::Payment;
use crate::rules;
use crate::tenant::Tenant;

impl Engine {
    /// Closes a payment so that nobody can pay it any more, not by another way either where one has failed. Closing a
    /// closed one answers it again.
    ///
    /// # Errors
    /// [`EngineError::NotFound`]; [`EngineError::InvalidState`] when it is paid (also when the
    /// platform says so only now, or does not show it yet),
    /// was changed to another channel at the same moment or its provider is not configured any more;
    /// [`EngineError::Provider`] when the platform did not close it; [`EngineError::Store`].
    pub async fn close_payment(&self, tenant: &Tenant, out_trade_no: &OutTradeNo) -> Result<Payment, EngineError> {
        let lock = self.coordinator.lock(&Self::payment_lock(tenant, out_trade_no)).await;
        let result = self.close_alone(tenant, out_trade_no).await;
        if let Some(lock) = lock {
            self.coordinator.unlock(lock).await;
        }
        result
    }

    async fn close_alone(&self, tenant: &Tenant, out_trade_no: &OutTradeNo) -> Result<Payment, EngineError> {
        let payment = self.store.payment(&tenant.id, out_trade_no).await?.ok_or(EngineError::NotFound)?;
        match payment.state {
            PaymentState::Closed => Ok(payment),
            PaymentState::Created | PaymentState::Pending | PaymentState::Unknown => {
                let provider = self.provider_known(tenant, &payment.attempt)?;
                let payment = self.close_at_platform(tenant, &provider, payment).await?;
                let why = match payment.state {
                    PaymentState::Closed => return Ok(payment),
                    // Another order was paid under its number; under a number of its own it could still be.
                    PaymentState::Failed => return self.record_closed(&payment).await,
                    PaymentState::Succeeded | PaymentState::PartiallyRefunded | PaymentState::Refunded => {
                        "the payment was paid before it could be closed"
                    }
                    PaymentState::Created | PaymentState::Pending | PaymentState::Unknown => {
                        self.ask_at_once(&payment).await?;
                        "the platform says that the payment is paid, and does not show the success yet: it is asked \
                         again at once, and the payment stays payable"
                    }
                };
                Err(EngineError::InvalidState(why.to_owned()))
            }
            PaymentState::Succeeded | PaymentState::PartiallyRefunded | PaymentState::Refunded => {
                Err(EngineError::InvalidState("the payment is paid; refund it instead".to_owned()))
            }
            PaymentState::Failed => self.record_closed(&payment).await,
        }
    }

    /// The platform contradicts itself about a payment that is still open: the next question does not wait.
    async fn ask_at_once(&self, payment: &Payment) -> Result<(), EngineError> {
        let now = self.now();
        let planned = self.change_attempt(payment, move |payment, _| {
            if let Some(check) = &mut payment.check {
                check.at = check.at.min(now);
            }
            true
        });
        planned.await.map(drop)
    }

    /// Closes the order at the platform and then here. A payment that turns out to be paid comes
    /// back paid, and one of which the platform says so without showing it, open. The caller holds the payment's lock.
    pub(crate) async fn close_at_platform(
        &self,
        tenant: &Tenant,
        provider: &Arc<dyn Provider>,
        payment: Payment,
    ) -> Result<Payment, EngineError> {
        if is_at_platform(provider, &payment) && provider.capabilities().close {
            match self.calls_about(&payment, &payment.attempt, provider).close(&order_of(&payment)).await {
                Ok(()) => fail_point!("close.answered"),
                Err(error) if error.reason == Reason::AlreadyPaid => {
                    return self.ask_payment(tenant, provider, &payment).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.record_closed(&payment).await
    }

    /// Ends the payment, whose current attempt was closed. One that another attempt can be paid by is not closed.
    async fn record_closed(&self, payment: &Payment) -> Result<Payment, EngineError> {
        let now = self.now();
        self.change_attempt(payment, move |payment, change| {
            if rules::move_payment(payment, PaymentFact::OrderClosed, now, change) {
                rules::end_questions(payment);
            }
            true
        })
        .await
    }
}

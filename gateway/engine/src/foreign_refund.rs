//! What a platform tells of a refund that nobody here made: of an order that is known, somebody made it on the merchant
//! platform; of another, the platform is asked to tell it again.

use std::sync::Arc;

use bytes::Bytes;
use dukou_domain::{OutTradeNo, TradeNo};
use dukou_spi::{Provider, RefundHint, RefundQuery, RefundStatus, RefundWord};

use crate::engine::Engine;
use crate::entering::{CONFIRMATION, Found, report};
use crate::error::EngineError;
use crate::number;
use crate::ports::{Change, NotifyOutcome, PaymentKey, Target};
use crate::records::{
    Attempt, Difference, EventKind, NewEvent, Notification, NotificationKey, Payment, Recorded, Subject,
};
use crate::rules::{self, RefundWords};
use crate::tenant::Tenant;

/// Events of a payment that are looked at, the newest.
const LOOKED_AT: u32 = 500;

/// A refund of a payment that was told of and is not recorded here. It is in no sum here, and counts at the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignRefund {
    pub out_refund_no: String,
    /// `0.50 CNY`, where it was told.
    pub amount: Option<String>,
}

impl Engine {
    /// What was told of refunds of the payment that nobody here made, oldest first.
    ///
    /// # Errors
    /// [`EngineError::NotFound`], [`EngineError::Store`].
    pub async fn foreign_refunds(
        &self,
        tenant: &Tenant,
        out_trade_no: &OutTradeNo,
    ) -> Result<Vec<ForeignRefund>, EngineError> {
        let payment = self.store.payment(&tenant.id, out_trade_no).await?.ok_or(EngineError::NotFound)?;
        let own = self.store.refunds(&tenant.id, payment.id).await?;
        let mut found: Vec<ForeignRefund> = Vec::new();
        for event in self.store.history().events_about(&tenant.id, payment.id, LOOKED_AT).await? {
            let Subject::Mismatch { differences, .. } = event.event.subject else { continue };
            let told = |field: &str| {
                let told = differences.iter().find(|one| one.field == field && one.recorded.is_empty());
                told.map(|one| one.received.clone())
            };
            let Some(out_refund_no) = told("out_refund_no") else { continue };
            // It may have been recorded after it was told of.
            let known = own.iter().any(|refund| refund.out_refund_no.as_str() == out_refund_no)
                || found.iter().any(|one| one.out_refund_no == out_refund_no);
            if !known {
                found.push(ForeignRefund { out_refund_no, amount: told("refund_amount") });
            }
        }
        Ok(found)
    }

    /// A verified word about such a refund is kept, raised once and settled where the order is known. It changes no
    /// payment: what was made without us is in nobody's sums here.
    pub(crate) async fn keep_foreign_refund(
        &self,
        found: &Found,
        tenant: &Tenant,
        kept: Notification,
        words: RefundWords,
    ) -> NotifyOutcome {
        let payment = PaymentKey::TradeNo { provider: kept.key.provider.clone(), trade_no: kept.trade_no.clone() };
        let target = Target { notification: Some(kept.key.clone()), ..Target::payment(tenant.id.clone(), payment) };
        let entered = self.change(target, move |view| {
            let Some(payment) = view.payment else {
                let change = match view.notification {
                    Some(_) => Change::default(),
                    None => unknown_order(&kept, &words),
                };
                return (change, (NotifyOutcome::UnknownOrder, None));
            };
            let number = Some(payment.out_trade_no.clone());
            match view.notification {
                Some(Recorded::Applied | Recorded::Mismatch | Recorded::NotPaid) => {
                    (Change::default(), (NotifyOutcome::Duplicate, number))
                }
                Some(Recorded::UnknownOrder) | None => {
                    (raised(&payment, &kept, &words), (NotifyOutcome::Mismatch, number))
                }
            }
        });
        match entered.await {
            Ok((outcome, number)) => {
                if let Some(number) = number {
                    found.payment(self, tenant, number);
                }
                outcome
            }
            Err(error) => {
                report(tenant, &error);
                NotifyOutcome::Error
            }
        }
    }

    /// Nobody signed the message: it counts when the platform, asked, knows that refund of the order and says the same.
    pub(crate) async fn confirm_foreign_refund(
        &self,
        found: &Found,
        tenant: &Tenant,
        provider: &Arc<dyn Provider>,
        hint: &RefundHint,
        (key, body): (NotificationKey, Bytes),
    ) -> NotifyOutcome {
        let Some(trade_no) = &hint.trade_no else { return NotifyOutcome::UnknownOrder };
        let payment = match self.store.payment_by_trade_no(&tenant.id, &key.provider, trade_no).await {
            Ok(Some(payment)) => payment,
            Ok(None) => return NotifyOutcome::UnknownOrder,
            Err(error) => {
                report(tenant, &error);
                return NotifyOutcome::Error;
            }
        };
        let Some(attempt) = attempt_of(&payment, trade_no) else { return NotifyOutcome::UnknownOrder };
        let query = RefundQuery {
            trade_no: trade_no.clone(),
            out_refund_no: hint.out_refund_no.clone(),
            total: payment.amount,
        };
        let calls = self.calls_about(&payment, attempt, provider);
        let status = match tokio::time::timeout(CONFIRMATION, calls.query_refund(&query)).await {
            Ok(Ok(status)) => status.into_inner(),
            Ok(Err(_)) | Err(_) => {
                tracing::warn!(tenant = %tenant.id, out_refund_no = %hint.out_refund_no,
                    "a notify of a refund that was not made here could not be confirmed");
                return NotifyOutcome::Error;
            }
        };
        if status.word == RefundWord::Missing {
            return NotifyOutcome::UnknownOrder;
        }
        if status.platform_word != hint.platform_word {
            return NotifyOutcome::Error;
        }
        let kept = Notification {
            key,
            outcome: Recorded::Mismatch,
            payment: Some(payment.id),
            trade_no: trade_no.clone(),
            received_at: self.now(),
            body,
        };
        self.keep_foreign_refund(found, tenant, kept, status.into()).await
    }
}

fn attempt_of<'a>(payment: &'a Payment, trade_no: &TradeNo) -> Option<&'a Attempt> {
    payment.attempts().into_iter().find(|attempt| attempt.trade_no == *trade_no)
}

/// The record has no such refund: that is what the message contradicts.
fn raised(payment: &Payment, kept: &Notification, words: &RefundWords) -> Change {
    let RefundStatus { out_refund_no, amount, .. } = &words.status;
    let unrecorded =
        |field: &str, received: String| Difference { field: field.to_owned(), recorded: String::new(), received };
    let mut differences = vec![unrecorded("out_refund_no", out_refund_no.to_string())];
    differences.extend(amount.map(|amount| unrecorded("refund_amount", amount.to_string())));
    let recorded = attempt_of(payment, &kept.trade_no).map(|attempt| attempt.merchant_id.as_str()).unwrap_or_default();
    if let Some(named) = words.named.as_ref().filter(|named| named.merchant_id != recorded) {
        let (recorded, received) = (recorded.to_owned(), named.merchant_id.clone());
        differences.push(Difference { field: "merchant_id".to_owned(), recorded, received });
    }
    let subject = Subject::Mismatch { payment: Box::new(payment.clone()), differences };
    let event = rules::event(payment, EventKind::PaymentMismatch, kept.received_at, subject);
    let kept = Notification { outcome: Recorded::Mismatch, payment: Some(payment.id), ..kept.clone() };
    Change { notification: Some(kept), events: vec![event], ..Change::default() }
}

fn unknown_order(kept: &Notification, words: &RefundWords) -> Change {
    let event = NewEvent {
        id: number::event_id(),
        tenant: kept.key.tenant.clone(),
        kind: EventKind::PaymentUnknownOrder,
        at: kept.received_at,
        subject: Subject::UnknownOrder {
            provider: kept.key.provider.clone(),
            trade_no: kept.trade_no.clone(),
            transaction_id: None,
            amount: words.status.amount,
        },
    };
    let kept = Notification { outcome: Recorded::UnknownOrder, ..kept.clone() };
    Change { notification: Some(kept), events: vec![event], ..Change::default() }
}

//! What a platform tells of a refund that nobody here made: of an order that is known, somebody made it on the merchant
//! platform; of another, the platform is asked to tell it again.

use std::sync::Arc;

use bytes::Bytes;
use dukou_domain::TradeNo;
use dukou_spi::{Provider, RefundHint, RefundQuery, RefundStatus, RefundWord};

use crate::engine::Engine;
use crate::entering::{CONFIRMATION, Found, report};
use crate::number;
use crate::ports::{Change, NotifyOutcome, PaymentKey, Target};
use crate::records::{
    Attempt, Difference, EventKind, NewEvent, Notification, NotificationKey, Payment, Recorded, Subject,
};
use crate::rules::{self, RefundWords};
use crate::tenant::Tenant;

impl Engine {
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
    if let Some((_, received)) = words.named.as_ref().filter(|(_, named)| named != recorded) {
        let (recorded, received) = (recorded.to_owned(), received.clone());
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

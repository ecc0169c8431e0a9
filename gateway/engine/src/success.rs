//! A verified success, wherever it was heard: entered, and followed by what it calls for.

use dukou_domain::{PaymentId, Timestamp};
use dukou_spi::{NotifyKind, PaidFacts};

use crate::notify_url::notify_url;
use crate::number;
use crate::ports::Change;
use crate::records::{EventKind, Payment, Refund, Subject};
use crate::rules::{self, Heard};
use crate::tenant::LatePayment;

/// What the tenant and the configuration say about successes.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub late_payment: LatePayment,
    pub public_url: String,
}

/// Enters a success. A late one is given back where the tenant wants that; a second one is given
/// back in any case. Either refund is recorded with the success and sent by the jobs. `owner` is as for
/// [`rules::paid`].
pub(crate) fn enter(
    payment: &mut Payment,
    facts: &PaidFacts,
    owner: Option<PaymentId>,
    policy: &Policy,
    now: Timestamp,
    change: &mut Change,
) -> Heard {
    let heard = rules::paid(payment, facts, owner, now, change);
    let refund_url =
        |payment: &Payment, provider| notify_url(&policy.public_url, &payment.tenant, provider, NotifyKind::Refund);
    match &heard {
        Heard::Changed if payment.late && policy.late_payment == LatePayment::Refund => {
            let url = refund_url(payment, &payment.attempt.provider);
            change.refund = late_refund(payment, url, now, change);
        }
        Heard::Duplicate(attempt) => {
            let refund = rules::duplicate_refund(payment, attempt, refund_url(payment, &attempt.provider), now);
            let subject = Subject::Duplicate {
                payment: Box::new(payment.clone()),
                attempt: attempt.clone(),
                out_refund_no: refund.out_refund_no.clone(),
            };
            change.events.push(rules::event(payment, EventKind::PaymentDuplicate, now, subject));
            change.events.push(rules::refund_event(&refund, EventKind::RefundCreated, now));
            change.refund = Some(refund);
        }
        Heard::Changed | Heard::Known | Heard::Mismatch(_) => {}
    }
    if matches!(heard, Heard::Changed | Heard::Duplicate(_)) {
        change.payment = Some(payment.clone());
    }
    heard
}

/// The refund of a late success: raised instead of the success itself.
fn late_refund(payment: &mut Payment, url: String, now: Timestamp, change: &mut Change) -> Option<Refund> {
    let reason = Some("paid after the order was closed".to_owned());
    let number = number::late_refund_no(payment.id);
    match rules::new_refund(payment, number, payment.amount, reason, url, now) {
        Ok(mut refund) => {
            change.events.retain(|event| event.kind != EventKind::PaymentSucceeded);
            change.events.push(rules::refund_event(&refund, EventKind::RefundCreated, now));
            if let Some(check) = &mut refund.check {
                check.at = now;
            }
            Some(refund)
        }
        Err(_) => {
            tracing::error!(out_trade_no = %payment.out_trade_no, "a late payment leaves nothing to refund");
            None
        }
    }
}

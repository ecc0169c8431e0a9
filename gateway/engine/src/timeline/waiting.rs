//! What a payment waits for now, out of its records alone.

use dukou_domain::{DeliveryState, OutRefundNo, PaymentState, RefundState, Timestamp};

use crate::delivery::{Delivery, Endpoint};
use crate::records::{Check, EventKind, Failure, Payment, Refund, RefundRequest};

/// One thing that is still to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waiting {
    /// The answer about the order was lost; the platform is asked.
    LostAnswer { check: Option<Check> },
    /// The order was recorded and, as far as is known, not sent.
    Unsent { check: Option<Check> },
    /// The mini-program says who pays.
    Payer { expires_at: Timestamp },
    /// The payer pays; then the platform tells, or is asked.
    Payment { check: Option<Check>, expires_at: Timestamp },
    /// The answer about a refund was lost, or says nothing that counts; the platform is asked.
    LostRefund { out_refund_no: OutRefundNo, check: Option<Check>, said: Option<Failure> },
    /// A refund was recorded and not sent, or was refused for now; it will be sent.
    UnsentRefund { out_refund_no: OutRefundNo, check: Option<Check>, said: Option<Failure> },
    /// The platform works on a refund.
    Refund { out_refund_no: OutRefundNo, check: Option<Check> },
    /// A refund that the payer's account did not take; somebody has to handle it on the merchant platform.
    AbnormalRefund { out_refund_no: OutRefundNo, check: Option<Check> },
    /// The merchant decides what a buyer asked for.
    Decision { requested_at: Timestamp },
    /// The merchant's endpoint is switched off; events wait.
    Endpoint { disabled_at: Timestamp, events: usize },
    /// An event has not reached the merchant yet.
    Delivery { kind: EventKind, failed: u32, next_at: Option<Timestamp> },
    /// An event did not reach the merchant, and is tried no more unless somebody says so.
    Exhausted { kind: EventKind },
}

/// What it is told from.
pub(super) struct Known<'a> {
    pub payment: &'a Payment,
    pub refunds: &'a [Refund],
    /// What the buyer asked for.
    pub undecided: Option<&'a RefundRequest>,
    pub deliveries: &'a [Delivery],
    pub endpoint: Endpoint,
    /// Nobody said yet who pays.
    pub waits_for_payer: bool,
}

pub(super) fn of(known: &Known<'_>) -> Vec<Waiting> {
    let mut waiting: Vec<Waiting> = payment(known).into_iter().collect();
    waiting.extend(known.refunds.iter().filter_map(refund));
    waiting.extend(known.undecided.map(|request| Waiting::Decision { requested_at: request.requested_at }));
    deliveries(known, &mut waiting);
    waiting
}

fn payment(known: &Known<'_>) -> Option<Waiting> {
    let Payment { check, expires_at, .. } = *known.payment;
    match known.payment.state {
        PaymentState::Unknown => Some(Waiting::LostAnswer { check }),
        PaymentState::Created | PaymentState::Pending if known.waits_for_payer => Some(Waiting::Payer { expires_at }),
        PaymentState::Created => Some(Waiting::Unsent { check }),
        PaymentState::Pending => Some(Waiting::Payment { check, expires_at }),
        PaymentState::Succeeded
        | PaymentState::PartiallyRefunded
        | PaymentState::Refunded
        | PaymentState::Closed
        | PaymentState::Failed => None,
    }
}

fn refund(refund: &Refund) -> Option<Waiting> {
    let (out_refund_no, check) = (refund.out_refund_no.clone(), refund.check);
    let said = refund.failure.clone();
    match refund.state {
        RefundState::Unknown => Some(Waiting::LostRefund { out_refund_no, check, said }),
        RefundState::Created => Some(Waiting::UnsentRefund { out_refund_no, check, said }),
        RefundState::Processing if is_abnormal(refund) => Some(Waiting::AbnormalRefund { out_refund_no, check }),
        RefundState::Processing => Some(Waiting::Refund { out_refund_no, check }),
        RefundState::Succeeded | RefundState::Failed => None,
    }
}

/// Whether the platform's last word about one that it works on is that it failed; once somebody acted, it says another.
fn is_abnormal(refund: &Refund) -> bool {
    refund.failure.as_ref().is_some_and(|failure| failure.code == refund.platform_word)
}

fn deliveries(known: &Known<'_>, waiting: &mut Vec<Waiting>) {
    let pending = || known.deliveries.iter().filter(|delivery| delivery.state == DeliveryState::Pending);
    match known.endpoint.disabled_at {
        Some(disabled_at) if pending().next().is_some() => {
            waiting.push(Waiting::Endpoint { disabled_at, events: pending().count() });
        }
        _ => waiting.extend(pending().map(|delivery| Waiting::Delivery {
            kind: delivery.kind,
            failed: delivery.failed,
            next_at: delivery.next_at,
        })),
    }
    let exhausted = known.deliveries.iter().filter(|delivery| delivery.state == DeliveryState::Exhausted);
    waiting.extend(exhausted.map(|delivery| Waiting::Exhausted { kind: delivery.kind }));
}

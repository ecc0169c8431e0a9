//! What follows for a payment.

use dukou_domain::{AttemptId, AttemptState, Money, PaymentFact, PaymentId, PaymentState, Timestamp, TradeNo, payment};
use dukou_spi::PaidFacts;

use crate::number;
use crate::ports::Change;
use crate::records::{Attempt, Check, Difference, EventKind, Failure, NewEvent, Payment, Subject};
use crate::schedule::Schedule;

/// How long a payment or refund that is being sent is left alone before the platform is asked: longer than
/// any call may take.
pub(super) const IN_FLIGHT: std::time::Duration = std::time::Duration::from_secs(60);

/// What became of a fact about a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The payment entered another state, or learned something worth keeping.
    Changed,
    /// It was known already.
    Known,
    /// It contradicts the record.
    Mismatch(Vec<Difference>),
    /// A second success, through this other attempt: to be given back.
    Duplicate(Box<Attempt>),
}

/// In what the platform's word differs from our record of the attempt. The order's total is
/// compared, never the payer's part of it.
fn compare(amount: Money, attempt: &Attempt, facts: &PaidFacts) -> Vec<Difference> {
    let mut differences = Vec::new();
    if amount.minor() != facts.amount.minor() {
        differences.push(difference("amount", amount.minor(), facts.amount.minor()));
    }
    if amount.currency() != facts.amount.currency() {
        differences.push(difference("currency", amount.currency(), facts.amount.currency()));
    }
    compare_parties(attempt, &facts.app_id, &facts.merchant_id, &mut differences);
    if let Some(known) = attempt.transaction_id.as_ref().filter(|known| **known != facts.transaction_id) {
        differences.push(difference("transaction_id", known, &facts.transaction_id));
    }
    differences
}

/// Whose order it is, by the platform's word.
fn compare_parties(attempt: &Attempt, app_id: &str, merchant_id: &str, differences: &mut Vec<Difference>) {
    if !is_same_app(&attempt.app_id, app_id) {
        differences.push(difference("app_id", &attempt.app_id, app_id));
    }
    if attempt.merchant_id != merchant_id {
        differences.push(difference("merchant_id", &attempt.merchant_id, merchant_id));
    }
}

/// Of a partner's two apps the merchant's is the platform's to name or not, whether it was ordered with or not: only
/// another one contradicts.
fn is_same_app(recorded: &str, named: &str) -> bool {
    fn parts(app_id: &str) -> (&str, Option<&str>) {
        app_id.split_once('/').map_or((app_id, None), |(caller, merchant)| (caller, Some(merchant)))
    }
    let ((ours, our_merchants), (theirs, their_merchants)) = (parts(recorded), parts(named));
    ours == theirs && our_merchants.zip(their_merchants).is_none_or(|(ours, theirs)| ours == theirs)
}

fn difference(field: &str, recorded: impl ToString, received: impl ToString) -> Difference {
    Difference { field: field.to_owned(), recorded: recorded.to_string(), received: received.to_string() }
}

fn other_number(payment: &Payment, trade_no: &TradeNo) -> Difference {
    difference("trade_no", &payment.attempt.trade_no, trade_no)
}

/// A verified word that a try to pay failed: the order can still be paid, and nothing follows. Returns whether it
/// agrees with the record; a word of another app or merchant is raised.
pub(crate) fn not_paid(
    payment: &Payment,
    trade_no: &TradeNo,
    app_id: &str,
    merchant_id: &str,
    now: Timestamp,
    change: &mut Change,
) -> bool {
    let mut differences = Vec::new();
    match find_attempt(payment, trade_no) {
        Some(attempt) => compare_parties(attempt, app_id, merchant_id, &mut differences),
        None => differences.push(other_number(payment, trade_no)),
    }
    let agrees = differences.is_empty();
    if !agrees {
        mismatch(payment, differences, now, change);
    }
    agrees
}

/// Enters a verified success into the record, once. The attempt that was paid becomes the
/// payment's own; one that is still live beside it is to be closed. Events are those of the
/// success itself; what the tenant's policy adds for a late one, and the refund of a second
/// success, are the caller's. `owner` is the payment that the success is entered in already, as far
/// as somebody looked: what was paid for one is never taken for another.
pub(crate) fn paid(
    payment: &mut Payment,
    facts: &PaidFacts,
    owner: Option<PaymentId>,
    now: Timestamp,
    change: &mut Change,
) -> Heard {
    let Some(attempt) = find_attempt(payment, &facts.trade_no) else {
        return mismatch(payment, vec![other_number(payment, &facts.trade_no)], now, change);
    };
    let mut differences = compare(payment.amount, attempt, facts);
    if let Some(owner) = owner.filter(|owner| *owner != payment.id) {
        let recorded = format!("{} of {owner}", facts.transaction_id);
        let received = format!("{} of {}", facts.transaction_id, payment.id);
        differences.push(difference("transaction_id", recorded, received));
    }
    if !differences.is_empty() {
        return mismatch(payment, differences, now, change);
    }
    if attempt.state == AttemptState::Paid {
        return Heard::Known;
    }
    let attempt = mark_paid(payment, facts);
    if payment.state.is_paid() {
        payment.updated_at = now;
        end_questions(payment);
        return Heard::Duplicate(Box::new(attempt));
    }
    make_current(payment, &attempt);
    payment.transaction_id = Some(facts.transaction_id.clone());
    payment.paid_at = Some(facts.paid_at.unwrap_or(now));
    payment.failure = None;
    // Another attempt may still be payable: it is closed at once.
    payment.check = payment.is_closing().then_some(Check { at: now, asked: 0 });
    move_payment(payment, PaymentFact::Paid, now, change);
    Heard::Changed
}

/// A payment that was never accepted, and whose number the platform, asked, shows paid as another order: it can never
/// be made under the number.
pub(crate) fn number_taken(
    payment: &mut Payment,
    facts: &PaidFacts,
    differences: &[Difference],
    now: Timestamp,
    change: &mut Change,
) {
    // Only what an order is made with tells it from ours.
    let of_order =
        |found: &Difference| matches!(found.field.as_str(), "amount" | "currency" | "app_id" | "merchant_id");
    // While one that was not sent could still be sent, the platform's refusal of that ends it, with its code.
    let over = payment.state == PaymentState::Created && now >= payment.expires_at;
    let open = payment.state == PaymentState::Unknown || over;
    let ours = payment.attempt.state == AttemptState::Live && payment.attempt.trade_no == facts.trade_no;
    let Some(other) = differences.iter().find(|found| of_order(found)).filter(|_| open && ours) else { return };
    let Difference { field, recorded, received } = other;
    let message =
        format!("another order was paid under the number at the platform: its {field} is {received}, not {recorded}");
    payment.failure = Some(Failure { code: None, message });
    move_payment(payment, PaymentFact::NumberTaken, now, change);
}

fn find_attempt<'p>(payment: &'p Payment, trade_no: &TradeNo) -> Option<&'p Attempt> {
    payment.others.iter().chain([&payment.attempt]).find(|attempt| attempt.trade_no == *trade_no)
}

fn mismatch(payment: &Payment, differences: Vec<Difference>, now: Timestamp, change: &mut Change) -> Heard {
    let subject = Subject::Mismatch { payment: Box::new(payment.clone()), differences: differences.clone() };
    change.events.push(event(payment, EventKind::PaymentMismatch, now, subject));
    Heard::Mismatch(differences)
}

fn mark_paid(payment: &mut Payment, facts: &PaidFacts) -> Attempt {
    let attempts = payment.others.iter_mut().chain([&mut payment.attempt]);
    for attempt in attempts.filter(|attempt| attempt.trade_no == facts.trade_no) {
        attempt.state = AttemptState::Paid;
        attempt.transaction_id = Some(facts.transaction_id.clone());
        // Who paid, which is not who it was meant for where anybody could pay.
        if facts.openid.is_some() {
            attempt.openid.clone_from(&facts.openid);
        }
    }
    find_attempt(payment, &facts.trade_no).unwrap_or(&payment.attempt).clone()
}

/// Puts the attempt that was paid in front; one that was live gives way and has to be closed.
fn make_current(payment: &mut Payment, paid: &Attempt) {
    if payment.attempt.id == paid.id {
        return;
    }
    payment.others.retain(|other| other.id != paid.id);
    let mut before = std::mem::replace(&mut payment.attempt, paid.clone());
    if before.state == AttemptState::Live {
        before.state = AttemptState::Closing;
    }
    payment.others.push(before);
}

/// Moves the state by a fact and writes the event of the state entered. Returns whether the payment or its attempt moved.
///
/// A fact that cannot be is logged and changes nothing: it would be an error of ours.
pub(crate) fn move_payment(payment: &mut Payment, fact: PaymentFact, now: Timestamp, change: &mut Change) -> bool {
    let transition = match payment::next(payment.state, fact) {
        Ok(transition) => transition,
        Err(refused) => {
            tracing::error!(tenant = %payment.tenant, out_trade_no = %payment.out_trade_no, %refused, "an impossible fact");
            return false;
        }
    };
    if !transition.changes() {
        // A payment whose order was never accepted stays what it is; the attempt that gave way does not.
        let ends = fact == PaymentFact::AttemptClosed && payment.attempt.state == AttemptState::Closing;
        if ends {
            payment.attempt.state = AttemptState::Closed;
            payment.updated_at = now;
        }
        return ends;
    }
    payment.state = transition.to;
    payment.updated_at = now;
    payment.attempt.state = match fact {
        // One that was refused has nothing that could be closed.
        PaymentFact::OrderClosed if payment.attempt.state == AttemptState::Failed => AttemptState::Failed,
        PaymentFact::OrderClosed | PaymentFact::AttemptClosed => AttemptState::Closed,
        PaymentFact::OrderRefused | PaymentFact::NumberTaken => AttemptState::Failed,
        PaymentFact::OrderAccepted
        | PaymentFact::AnswerLost
        | PaymentFact::OrderMissing
        | PaymentFact::Paid
        | PaymentFact::PartRefunded
        | PaymentFact::FullyRefunded => payment.attempt.state,
    };
    if transition.late {
        payment.late = true;
        change.events.push(event(payment, EventKind::PaymentLate, now, Subject::Payment(Box::new(payment.clone()))));
    }
    let kind = match transition.to {
        PaymentState::Created if fact == PaymentFact::AttemptClosed => EventKind::PaymentAttemptClosed,
        // Recorded it was long ago; its lost order was never made.
        PaymentState::Created => EventKind::PaymentOrderMissing,
        PaymentState::Pending => EventKind::PaymentPending,
        PaymentState::Unknown => EventKind::PaymentUnknown,
        PaymentState::Succeeded => EventKind::PaymentSucceeded,
        PaymentState::PartiallyRefunded => EventKind::PaymentPartiallyRefunded,
        PaymentState::Refunded => EventKind::PaymentRefunded,
        PaymentState::Closed => EventKind::PaymentClosed,
        PaymentState::Failed => EventKind::PaymentFailed,
    };
    change.events.push(event(payment, kind, now, Subject::Payment(Box::new(payment.clone()))));
    true
}

pub(crate) fn event(payment: &Payment, kind: EventKind, at: Timestamp, subject: Subject) -> NewEvent {
    NewEvent { id: number::event_id(), tenant: payment.tenant.clone(), kind, at, subject }
}

/// An attempt was closed, and then its order turned out to have come later than that: it is closed once more. Whether
/// there is anything to do.
pub(crate) fn close_again(payment: &mut Payment, attempt: AttemptId, now: Timestamp) -> bool {
    let mut attempts = payment.others.iter_mut().chain([&mut payment.attempt]);
    let gone = attempts.find(|one| one.id == attempt && one.state == AttemptState::Closed);
    let Some(gone) = gone else { return false };
    gone.state = AttemptState::Closing;
    payment.check = Some(Check { at: now, asked: 0 });
    payment.updated_at = now;
    true
}

/// Nothing is asked about a payment that can change no more by itself, once all its attempts that gave way are closed.
pub(crate) fn end_questions(payment: &mut Payment) {
    let ended = match payment.state {
        PaymentState::Created | PaymentState::Pending | PaymentState::Unknown => false,
        PaymentState::Succeeded
        | PaymentState::PartiallyRefunded
        | PaymentState::Refunded
        | PaymentState::Closed
        | PaymentState::Failed => true,
    };
    if ended && !payment.is_closing() {
        payment.check = None;
    }
}

/// When to ask about the payment next: after its state was entered (`asked` is `None`) or after
/// that many questions. One with an attempt that is still to be closed is never left alone, whatever its state.
pub(crate) fn schedule_payment(payment: &mut Payment, asked: Option<u32>, schedule: &Schedule, now: Timestamp) {
    let steps = if payment.is_closing() {
        &schedule.unknown
    } else {
        match payment.state {
            PaymentState::Created => {
                let mut at = payment.expires_at.max(now.plus(IN_FLIGHT));
                // One that cannot be ended, though its time is over, is tried ever more slowly.
                if let Some(asked) = asked
                    && now >= payment.expires_at
                {
                    at = at.max(schedule.unknown.after(asked, now).at);
                }
                payment.check = Some(Check { at, asked: asked.map_or(0, |asked| asked.saturating_add(1)) });
                return;
            }
            PaymentState::Pending => &schedule.pending,
            PaymentState::Unknown => &schedule.unknown,
            PaymentState::Succeeded
            | PaymentState::PartiallyRefunded
            | PaymentState::Refunded
            | PaymentState::Closed
            | PaymentState::Failed => {
                payment.check = None;
                return;
            }
        }
    };
    let mut check = match asked {
        None => steps.first(now),
        Some(asked) => steps.after(asked, now),
    };
    // The last question comes when the payment ends, not up to an hour later.
    if payment.state == PaymentState::Pending && now < payment.expires_at {
        check.at = check.at.min(payment.expires_at);
    }
    payment.check = Some(check);
}

/// A payment whose time is over is about to be closed: should the process end meanwhile, it is asked after
/// soon, and not only when the next question would have come. One that cannot be closed is asked after ever more
/// slowly, until the questions come as far apart as they would without this.
pub(crate) fn schedule_end(payment: &mut Payment, now: Timestamp) {
    if payment.state == PaymentState::Pending
        && now >= payment.expires_at
        && let Some(check) = &mut payment.check
    {
        let over = now.since(payment.expires_at);
        check.at = check.at.min(now.plus(over.max(IN_FLIGHT)));
    }
}

/// A payment whose order is about to be sent: should the process end meanwhile, the platform is
/// asked what became of it.
pub(crate) fn schedule_in_flight(payment: &mut Payment, now: Timestamp) {
    payment.check = Some(Check { at: now.plus(IN_FLIGHT), asked: 0 });
}

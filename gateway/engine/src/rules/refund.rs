//! What follows for a refund, and for the payment it belongs to.

use std::time::Duration;

use dukou_domain::{
    Money, OutRefundNo, PaymentFact, RefundFact, RefundState, Timestamp, TradeNo, TransactionId, refund,
};
use dukou_spi::{Reason, RefundStatus, RefundWord};

use super::payment::{Heard, IN_FLIGHT, event, move_payment};
use crate::number;
use crate::ports::Change;
use crate::records::{Attempt, Check, Difference, EventKind, Failure, NewEvent, Payment, Refund, Subject};
use crate::schedule::{Schedule, Steps};

/// Records a refund of `amount` and reserves it in the payment.
///
/// # Errors
/// When the sum of refunds would pass what was paid.
pub(crate) fn new_refund(
    payment: &mut Payment,
    out_refund_no: OutRefundNo,
    amount: Money,
    reason: Option<String>,
    notify_url: String,
    now: Timestamp,
) -> Result<Refund, Exceeds> {
    reserve(payment, amount)?;
    payment.updated_at = now;
    let check = Check { at: now.plus(IN_FLIGHT), asked: 0 };
    let refund = intent(payment, &payment.attempt, out_refund_no, amount, notify_url, now);
    Ok(Refund { reason, check: Some(check), ..refund })
}

/// Records the refund of a second success, through `attempt`. It is sent at once.
pub(crate) fn duplicate_refund(payment: &Payment, attempt: &Attempt, notify_url: String, now: Timestamp) -> Refund {
    let number = number::duplicate_refund_no(attempt.id);
    let refund = intent(payment, attempt, number, payment.amount, notify_url, now);
    Refund { reason: Some("paid twice".to_owned()), of_duplicate: true, ..refund }
}

/// A refund of what was paid through `attempt`, due at once.
fn intent(
    payment: &Payment,
    attempt: &Attempt,
    out_refund_no: OutRefundNo,
    amount: Money,
    notify_url: String,
    now: Timestamp,
) -> Refund {
    Refund {
        id: number::refund_id(),
        tenant: payment.tenant.clone(),
        payment: payment.id,
        out_trade_no: payment.out_trade_no.clone(),
        out_refund_no,
        provider: attempt.provider.clone(),
        trade_no: attempt.trade_no.clone(),
        amount,
        reason: None,
        of_duplicate: false,
        notify_url,
        state: RefundState::Created,
        provider_refund_id: None,
        failure: None,
        platform_word: None,
        created_at: now,
        updated_at: now,
        succeeded_at: None,
        check: Some(Check { at: now, asked: 0 }),
        version: 0,
    }
}

/// More would be given back than was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exceeds {
    /// What can still be refunded.
    pub left: Money,
}

fn reserve(payment: &mut Payment, amount: Money) -> Result<(), Exceeds> {
    let left = left_to_refund(payment);
    left.checked_sub(amount).map_err(|_| Exceeds { left })?;
    payment.refunding = payment.refunding.checked_add(amount).map_err(|_| Exceeds { left })?;
    Ok(())
}

/// What can still be refunded.
pub(crate) fn left_to_refund(payment: &Payment) -> Money {
    let refunded = payment.refunded.checked_add(payment.refunding);
    let left = refunded.and_then(|refunded| payment.amount.checked_sub(refunded));
    left.unwrap_or(Money::zero(payment.amount.currency()))
}

/// Opens a failed refund again, under its own number, at the merchant's wish.
///
/// # Errors
/// When its amount was given back otherwise meanwhile.
pub(crate) fn reopen(payment: &mut Payment, refund: &mut Refund, now: Timestamp) -> Result<(), Exceeds> {
    if !refund.of_duplicate {
        reserve(payment, refund.amount)?;
    }
    payment.updated_at = now;
    refund.state = refund::next(refund.state, RefundFact::Retried).to;
    refund.failure = None;
    refund.updated_at = now;
    refund.check = Some(Check { at: now.plus(IN_FLIGHT), asked: 0 });
    Ok(())
}

/// The platform has a refund of this number and will never make it: there is no sending it again. One that was refused
/// it does not have.
pub(crate) fn is_closed_for_good(refund: &Refund) -> bool {
    refund.state == RefundState::Failed && refund.provider_refund_id.is_some()
}

/// What is left to do about one that was closed for good.
pub(crate) fn way_out(refund: &Refund) -> &'static str {
    if refund.of_duplicate {
        // Another refund of the payment would give back its first success.
        "give it back on the merchant platform"
    } else {
        "give it back under another out_refund_no"
    }
}

/// Takes one that the platform does not have, as far as we know, to be sent by the caller. `false` while
/// somebody else may be sending it, or asks about it.
pub(crate) fn take_to_send(refund: &mut Refund, now: Timestamp) -> bool {
    let free = refund.check.is_none_or(|check| check.at <= now);
    if free {
        send_now(refund, now);
    }
    free
}

/// The caller sends it: nobody else does, nor asks about it, for a while.
pub(crate) fn send_now(refund: &mut Refund, now: Timestamp) {
    let asked = refund.check.map_or(0, |check| check.asked);
    refund.check = Some(Check { at: now.plus(IN_FLIGHT), asked });
}

/// What the platform said about a refund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RefundWords {
    pub status: RefundStatus,
    /// What a message names of its own accord; an answer is about what was asked after.
    pub named: Option<Named>,
}

/// The order that a message about a refund names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Named {
    pub trade_no: TradeNo,
    pub merchant_id: String,
    pub total: Option<Money>,
    pub transaction_id: Option<TransactionId>,
}

impl From<RefundStatus> for RefundWords {
    fn from(status: RefundStatus) -> Self {
        RefundWords { status, named: None }
    }
}

/// In what the platform's words differ from the record.
fn compare(payment: &Payment, refund: &Refund, words: &RefundWords) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut check = |field: &str, recorded: String, received: String| {
        if recorded != received {
            differences.push(Difference { field: field.to_owned(), recorded, received });
        }
    };
    // A message's own word and its status are of one order.
    if let Some(trade_no) = words.named.as_ref().map(|named| &named.trade_no).or(words.status.trade_no.as_ref()) {
        check("trade_no", refund.trade_no.to_string(), trade_no.to_string());
    }
    if let Some(amount) = words.status.amount {
        check("refund_amount", refund.amount.to_string(), amount.to_string());
    }
    if let Some(named) = &words.named {
        let attempts = payment.attempts();
        let paid = attempts.iter().find(|attempt| attempt.trade_no == refund.trade_no);
        check("merchant_id", paid.map_or_else(String::new, |paid| paid.merchant_id.clone()), named.merchant_id.clone());
        if let Some(total) = named.total {
            check("amount", payment.amount.to_string(), total.to_string());
        }
        if let Some((ours, theirs)) =
            paid.and_then(|paid| paid.transaction_id.as_ref()).zip(named.transaction_id.as_ref())
        {
            check("transaction_id", ours.to_string(), theirs.to_string());
        }
    }
    differences
}

/// Enters the platform's verified words about a refund into both records.
pub(crate) fn heard_refund(
    payment: &mut Payment,
    refund: &mut Refund,
    words: &RefundWords,
    now: Timestamp,
    change: &mut Change,
) -> Heard {
    let status = &words.status;
    let differences = compare(payment, refund, words);
    if !differences.is_empty() {
        return contradicted(payment, refund, words, differences, now, change);
    }
    let learned = learn(refund, status);
    let fact = match status.word {
        RefundWord::Processing | RefundWord::Abnormal => RefundFact::Accepted,
        RefundWord::Succeeded => RefundFact::Succeeded,
        RefundWord::Closed => RefundFact::Abandoned,
        RefundWord::Missing => RefundFact::Missing,
        RefundWord::Unrecognised => return if learned { Heard::Changed } else { Heard::Known },
    };
    if fact == RefundFact::Succeeded && refund.state != RefundState::Succeeded {
        refund.succeeded_at = Some(status.succeeded_at.unwrap_or(now));
        refund.failure = None;
    }
    if fact == RefundFact::Accepted && refund.state != RefundState::Processing {
        refund.failure = None;
    }
    if fact == RefundFact::Abandoned && refund.state != RefundState::Succeeded {
        refund.failure = Some(Failure {
            code: Some(status.platform_word.clone()),
            message: format!(
                "the platform closed the refund for good, the money is with the merchant; {}",
                way_out(refund)
            ),
        });
    }
    let moved = move_refund(payment, refund, fact, now, change);
    if learned && status.word == RefundWord::Abnormal {
        refund.failure = Some(Failure {
            code: Some(status.platform_word.clone()),
            message: "the payer's account cannot take the money; it has to be handled on the merchant platform"
                .to_owned(),
        });
        change.events.push(refund_event(refund, EventKind::RefundAbnormal, now));
    }
    if moved || learned { Heard::Changed } else { Heard::Known }
}

/// Raises the contradiction. One that the platform never took, and whose number, asked after, stands for another order's
/// refund, was not made and can never be under it.
fn contradicted(
    payment: &mut Payment,
    refund: &mut Refund,
    words: &RefundWords,
    differences: Vec<Difference>,
    now: Timestamp,
    change: &mut Change,
) -> Heard {
    let others = words.status.trade_no.as_ref().filter(|other| words.named.is_none() && **other != refund.trade_no);
    let was_taken = match refund.state {
        RefundState::Created | RefundState::Unknown | RefundState::Failed => refund.provider_refund_id.is_some(),
        RefundState::Processing | RefundState::Succeeded => true,
    };
    let is_anothers = others.is_some() && !was_taken;
    if is_anothers && refund.state == RefundState::Failed {
        // That it was refused is known, and that another one has its number contradicts nothing.
        return Heard::Known;
    }
    let subject = Subject::Mismatch { payment: Box::new(payment.clone()), differences: differences.clone() };
    change.events.push(event(payment, EventKind::PaymentMismatch, now, subject));
    if let Some(other) = others.filter(|_| is_anothers) {
        let (ours, way_out) = (&refund.trade_no, way_out(refund));
        let message =
            format!("the number stands for a refund of order {other} at the platform, not of {ours}; {way_out}");
        refund.failure = Some(Failure { code: None, message });
        move_refund(payment, refund, RefundFact::Abandoned, now, change);
    }
    Heard::Mismatch(differences)
}

/// Keeps what the platform tells besides the state. Returns whether there was anything new.
fn learn(refund: &mut Refund, status: &RefundStatus) -> bool {
    let mut learned = false;
    if refund.platform_word.as_deref() != Some(status.platform_word.as_str()) {
        refund.platform_word = Some(status.platform_word.clone());
        learned = true;
    }
    if status.provider_refund_id.is_some() && refund.provider_refund_id != status.provider_refund_id {
        refund.provider_refund_id.clone_from(&status.provider_refund_id);
        learned = true;
    }
    learned
}

/// Enters the platform's refusal, or the loss of its answer.
pub(crate) fn refused(
    payment: &mut Payment,
    refund: &mut Refund,
    fact: RefundFact,
    failure: Failure,
    now: Timestamp,
    change: &mut Change,
) {
    let says_why = match fact {
        RefundFact::Refused => refund.state == RefundState::Created,
        RefundFact::AnswerLost => matches!(refund.state, RefundState::Created | RefundState::Unknown),
        RefundFact::Accepted
        | RefundFact::Missing
        | RefundFact::Succeeded
        | RefundFact::Abandoned
        | RefundFact::Retried => false,
    };
    if says_why {
        refund.failure = Some(failure);
    }
    move_refund(payment, refund, fact, now, change);
}

/// Moves the refund by a fact, keeps the payment's sums right and writes the events. Returns
/// whether it moved.
fn move_refund(
    payment: &mut Payment,
    refund: &mut Refund,
    fact: RefundFact,
    now: Timestamp,
    change: &mut Change,
) -> bool {
    let transition = refund::next(refund.state, fact);
    if !transition.changes() {
        return false;
    }
    if !refund.of_duplicate {
        if transition.from == RefundState::Failed {
            made_after_all(payment, refund, now, change);
        }
        match (transition.from.is_open(), transition.to.is_open()) {
            (true, false) => {
                payment.refunding = payment.refunding.checked_sub(refund.amount).unwrap_or_else(|_| {
                    tracing::error!(out_refund_no = %refund.out_refund_no, "more was refunded than was reserved");
                    Money::zero(payment.amount.currency())
                });
            }
            (false, true) => match payment.refunding.checked_add(refund.amount) {
                Ok(sum) => payment.refunding = sum,
                Err(error) => {
                    tracing::error!(out_refund_no = %refund.out_refund_no, %error, "a refund under way cannot be counted")
                }
            },
            (true, true) | (false, false) => {}
        }
    }
    refund.state = transition.to;
    refund.updated_at = now;
    payment.updated_at = now;
    let kind = match transition.to {
        // Recorded it was long ago; what was sent of it never arrived.
        RefundState::Created => EventKind::RefundMissing,
        RefundState::Processing => EventKind::RefundProcessing,
        RefundState::Unknown => EventKind::RefundUnknown,
        RefundState::Succeeded => EventKind::RefundSucceeded,
        RefundState::Failed => EventKind::RefundFailed,
    };
    change.events.push(refund_event(refund, kind, now));
    if transition.to == RefundState::Succeeded && !refund.of_duplicate {
        count_refunded(payment, refund, now, change);
    }
    true
}

/// A refund that was told to have failed goes out. It counts whatever is left for it; that more goes out than
/// was paid is raised.
fn made_after_all(payment: &Payment, refund: &Refund, now: Timestamp, change: &mut Change) {
    let left = left_to_refund(payment);
    tracing::warn!(tenant = %refund.tenant, out_refund_no = %refund.out_refund_no,
        "the platform makes a refund that had failed");
    if left.minor() >= refund.amount.minor() {
        return;
    }
    tracing::error!(tenant = %refund.tenant, out_trade_no = %refund.out_trade_no, out_refund_no = %refund.out_refund_no,
        amount = %refund.amount, %left, "a refund that had failed goes out after its amount was refunded otherwise");
    let differences = vec![Difference {
        field: "refundable_amount".to_owned(),
        recorded: left.to_string(),
        received: refund.amount.to_string(),
    }];
    let subject = Subject::Mismatch { payment: Box::new(payment.clone()), differences };
    change.events.push(event(payment, EventKind::PaymentMismatch, now, subject));
}

fn count_refunded(payment: &mut Payment, refund: &Refund, now: Timestamp, change: &mut Change) {
    match payment.refunded.checked_add(refund.amount) {
        Ok(sum) => payment.refunded = sum,
        Err(error) => {
            tracing::error!(out_refund_no = %refund.out_refund_no, %error, "the sum of refunds cannot be counted")
        }
    }
    let fact = if payment.refunded.minor() >= payment.amount.minor() {
        PaymentFact::FullyRefunded
    } else {
        PaymentFact::PartRefunded
    };
    move_payment(payment, fact, now, change);
}

/// When a refund in this state is asked after. One that is sent again and again goes on with the same steps, whether
/// its answers are lost or nothing can be sent.
fn steps_of(state: RefundState, schedule: &Schedule) -> Option<&Steps> {
    match state {
        RefundState::Created | RefundState::Unknown => Some(&schedule.unknown),
        RefundState::Processing => Some(&schedule.refund),
        RefundState::Succeeded | RefundState::Failed => None,
    }
}

/// When to ask about the refund next. `before` is the state it was in; `asked` tells that the platform was asked,
/// which is one step of its schedule, where sending is none.
pub(crate) fn schedule_refund(
    refund: &mut Refund,
    before: RefundState,
    asked: bool,
    schedule: &Schedule,
    now: Timestamp,
) {
    let at_platform = |state| matches!(state, RefundState::Processing);
    let goes_on = refund.state.is_open() && before.is_open() && at_platform(before) == at_platform(refund.state);
    let check = refund.check.filter(|_| goes_on).map_or(0, |check| check.asked);
    refund.check = steps_of(refund.state, schedule)
        .map(|steps| if asked && goes_on { steps.after(check, now) } else { steps.again(check, now) });
}

/// Whoever called too often is left alone for a while, and may be blocked for longer otherwise.
const TOO_MUCH: Duration = Duration::from_secs(60);

/// The next call waits as the platform's error asks.
pub(crate) fn wait_as_asked(refund: &mut Refund, reason: Reason, now: Timestamp) {
    if let (Reason::RateLimited, Some(check)) = (reason, &mut refund.check) {
        check.at = check.at.max(now.plus(TOO_MUCH));
    }
}

/// One that nobody asked for by a call, and that the operator can make possible by filling the balance or mending the
/// set-up: nobody would send it again if it ended here. The platform has nothing of it.
pub(crate) fn waits_for_operator(refund: &Refund, reason: Reason) -> bool {
    let mendable = matches!(reason, Reason::InsufficientBalance | Reason::Configuration);
    mendable && refund.state == RefundState::Created && number::is_made_here(refund)
}

/// Until the operator mended what the platform refuses it for.
const MENDING: Duration = Duration::from_secs(60 * 60);

/// It stays open, says why, and is sent again later. Its steps begin anew, so that a question somebody asks in between
/// brings the sending forward.
pub(crate) fn wait_for_operator(refund: &mut Refund, failure: Failure, now: Timestamp) {
    refund.failure = Some(failure);
    refund.check = Some(Check { at: now.plus(MENDING), asked: 0 });
}

/// Puts off a question that could not be asked. One that failed and may yet be made is asked about too, as long
/// as nobody learned what became of it.
pub(crate) fn ask_refund_later(refund: &mut Refund, schedule: &Schedule, now: Timestamp) {
    if let Some(check) = refund.check {
        let steps = steps_of(refund.state, schedule).unwrap_or(&schedule.unknown);
        refund.check = Some(steps.after(check.asked, now));
    }
}

pub(crate) fn refund_event(refund: &Refund, kind: EventKind, at: Timestamp) -> NewEvent {
    NewEvent {
        id: number::event_id(),
        tenant: refund.tenant.clone(),
        kind,
        at,
        subject: Subject::Refund(Box::new(refund.clone())),
    }
}

//! Which of a payment's attempts a change enters.

use dukou_domain::AttemptId;
use dukou_engine::records::{Attempt, Payment};

/// The current attempt where its number is new, and those that gave way or were told more about since the payment was
/// read: then `current` was its current one, and `others` were the others. All of a new payment's.
pub(crate) fn to_enter<'p>(payment: &'p Payment, before: Option<(AttemptId, &[Attempt])>) -> Vec<&'p Attempt> {
    let knows = |id| before.is_some_and(|(current, others)| current == id || others.iter().any(|other| other.id == id));
    let is_same = |attempt| before.is_some_and(|(_, others)| others.contains(attempt));
    let current = Some(&payment.attempt).filter(|current| !knows(current.id));
    current.into_iter().chain(payment.others.iter().filter(|other| !is_same(other))).collect()
}

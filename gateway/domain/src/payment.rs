//! The state machine of a payment: what may follow what, and nothing else.

use std::fmt;

/// Where a payment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PaymentState {
    /// The intent is recorded; the platform knows of no order yet, as far as we know.
    Created,
    /// The platform has the order and waits for the payer.
    Pending,
    /// The platform's answer was lost: the order may or may not exist.
    Unknown,
    /// The payer paid, in full, and nothing has gone back yet.
    Succeeded,
    /// Refunds succeeded; the sum of them is below what was paid.
    PartiallyRefunded,
    /// All that was paid has gone back.
    Refunded,
    /// The order can no longer be paid.
    Closed,
    /// The platform refused the order, or has another one, paid, under its number. Another way may be tried.
    Failed,
}

/// What became known about a payment, from what a platform said or failed to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PaymentFact {
    /// The platform has an unpaid order under our number.
    OrderAccepted,
    /// The order was sent and no usable answer came back.
    AnswerLost,
    /// The platform, asked, knows no order under our number.
    OrderMissing,
    /// The platform refused to make the order.
    OrderRefused,
    /// The platform, asked, has another order under our number, which was paid: ours was not made and never can be.
    NumberTaken,
    /// The payer paid, in full.
    Paid,
    /// The platform closed the order, at our wish or its own.
    OrderClosed,
    /// The attempt was given up, at its platform too, so that the payment can be tried another way.
    AttemptClosed,
    /// Refunds succeeded; the sum of them is below what was paid.
    PartRefunded,
    /// Refunds succeeded; the sum of them is what was paid.
    FullyRefunded,
}

/// The state after a fact. `from == to` where the fact tells nothing new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The state [`next`] was given.
    pub from: PaymentState,
    /// The state the payment has from now on.
    pub to: PaymentState,
    /// A success that came after the payment had been given up.
    pub late: bool,
}

impl Transition {
    /// Whether the state moved; only then an event tells of it.
    pub fn changes(self) -> bool {
        self.from != self.to
    }
}

/// A fact that contradicts the state: money given back that was never taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{fact:?} cannot happen to a payment that is {state}")]
pub struct Refused {
    /// The state [`next`] was given, which stays.
    pub state: PaymentState,
    /// What was claimed of it: one of the two facts about refunds.
    pub fact: PaymentFact,
}

/// What follows when `fact` becomes known of a payment in `state`.
///
/// A success is never taken back: no word about the order changes a paid payment, only refunds
/// do. A success after [`PaymentState::Closed`] or [`PaymentState::Failed`] counts, as late.
///
/// # Errors
/// [`Refused`] for a refund of a payment that was never paid.
pub fn next(state: PaymentState, fact: PaymentFact) -> Result<Transition, Refused> {
    use PaymentFact as F;
    use PaymentState as S;
    let to = match (state, fact) {
        (S::Created | S::Unknown, F::OrderAccepted) => S::Pending,
        (S::Created, F::AnswerLost) => S::Unknown,
        (S::Created, F::OrderMissing) => S::Created,
        (S::Created, F::OrderRefused) => S::Failed,
        (S::Created | S::Unknown, F::NumberTaken) => S::Failed,

        // An order that was accepted once is judged by queries and notifies, not by what
        // became of a repeated create.
        (S::Pending, F::OrderAccepted | F::AnswerLost | F::OrderMissing | F::OrderRefused | F::NumberTaken) => {
            S::Pending
        }

        // The order may exist, whatever a repetition is told; only "no such order" settles it.
        (S::Unknown, F::AnswerLost | F::OrderRefused) => S::Unknown,
        (S::Unknown, F::OrderMissing) => S::Created,

        (S::Created | S::Pending | S::Unknown, F::Paid) => S::Succeeded,
        (S::Created | S::Pending | S::Unknown, F::OrderClosed) => S::Closed,

        // A refused attempt is no end either: nobody paid, and another way is tried.
        (S::Created | S::Pending | S::Unknown | S::Failed, F::AttemptClosed) => S::Created,

        (
            S::Succeeded,
            F::OrderAccepted
            | F::AnswerLost
            | F::OrderMissing
            | F::OrderRefused
            | F::NumberTaken
            | F::Paid
            | F::OrderClosed
            | F::AttemptClosed,
        ) => S::Succeeded,
        (S::Succeeded | S::PartiallyRefunded, F::PartRefunded) => S::PartiallyRefunded,
        (S::Succeeded | S::PartiallyRefunded, F::FullyRefunded) => S::Refunded,
        (
            S::PartiallyRefunded,
            F::OrderAccepted
            | F::AnswerLost
            | F::OrderMissing
            | F::OrderRefused
            | F::NumberTaken
            | F::Paid
            | F::OrderClosed
            | F::AttemptClosed,
        ) => S::PartiallyRefunded,
        (
            S::Refunded,
            F::OrderAccepted
            | F::AnswerLost
            | F::OrderMissing
            | F::OrderRefused
            | F::NumberTaken
            | F::Paid
            | F::OrderClosed
            | F::AttemptClosed
            | F::PartRefunded
            | F::FullyRefunded,
        ) => S::Refunded,

        (
            S::Closed,
            F::OrderAccepted
            | F::AnswerLost
            | F::OrderMissing
            | F::OrderRefused
            | F::NumberTaken
            | F::OrderClosed
            | F::AttemptClosed,
        ) => S::Closed,
        (S::Failed, F::OrderAccepted | F::AnswerLost | F::OrderMissing | F::OrderRefused | F::NumberTaken) => S::Failed,
        // Another way could have been tried; now none can.
        (S::Failed, F::OrderClosed) => S::Closed,
        (S::Closed | S::Failed, F::Paid) => S::Succeeded,

        (S::Created | S::Pending | S::Unknown | S::Closed | S::Failed, F::PartRefunded | F::FullyRefunded) => {
            return Err(Refused { state, fact });
        }
    };
    let late = matches!(state, S::Closed | S::Failed) && to == S::Succeeded;
    Ok(Transition { from: state, to, late })
}

impl PaymentState {
    /// Every state once, for lists and counters that leave none out.
    pub const ALL: [PaymentState; 8] = [
        PaymentState::Created,
        PaymentState::Pending,
        PaymentState::Unknown,
        PaymentState::Succeeded,
        PaymentState::PartiallyRefunded,
        PaymentState::Refunded,
        PaymentState::Closed,
        PaymentState::Failed,
    ];

    /// The public word for the state.
    pub const fn as_str(self) -> &'static str {
        match self {
            PaymentState::Created => "created",
            PaymentState::Pending => "pending",
            PaymentState::Unknown => "unknown",
            PaymentState::Succeeded => "succeeded",
            PaymentState::PartiallyRefunded => "partially_refunded",
            PaymentState::Refunded => "refunded",
            PaymentState::Closed => "closed",
            PaymentState::Failed => "failed",
        }
    }

    /// Reads [`Self::as_str`] back; `None` for any other word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// The payer's money is or was with the merchant.
    pub const fn is_paid(self) -> bool {
        match self {
            PaymentState::Succeeded | PaymentState::PartiallyRefunded | PaymentState::Refunded => true,
            PaymentState::Created
            | PaymentState::Pending
            | PaymentState::Unknown
            | PaymentState::Closed
            | PaymentState::Failed => false,
        }
    }

    /// Nobody paid yet and somebody still could.
    pub const fn is_open(self) -> bool {
        match self {
            PaymentState::Created | PaymentState::Pending | PaymentState::Unknown => true,
            PaymentState::Succeeded
            | PaymentState::PartiallyRefunded
            | PaymentState::Refunded
            | PaymentState::Closed
            | PaymentState::Failed => false,
        }
    }
}

impl fmt::Display for PaymentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FACTS: [PaymentFact; 10] = [
        PaymentFact::OrderAccepted,
        PaymentFact::AnswerLost,
        PaymentFact::OrderMissing,
        PaymentFact::OrderRefused,
        PaymentFact::NumberTaken,
        PaymentFact::Paid,
        PaymentFact::OrderClosed,
        PaymentFact::AttemptClosed,
        PaymentFact::PartRefunded,
        PaymentFact::FullyRefunded,
    ];

    /// The whole machine as a table: a row per state, a column per fact in the order of `FACTS`;
    /// `!` is refused, `L` is a late success.
    #[test]
    fn table() {
        let short = |state: PaymentState| match state {
            PaymentState::Created => 'c',
            PaymentState::Pending => 'p',
            PaymentState::Unknown => 'u',
            PaymentState::Succeeded => 's',
            PaymentState::PartiallyRefunded => 'r',
            PaymentState::Refunded => 'R',
            PaymentState::Closed => 'x',
            PaymentState::Failed => 'f',
        };
        let expected = [
            "pucffsxc!!",
            "pppppsxc!!",
            "pucufsxc!!",
            "ssssssssrR",
            "rrrrrrrrrR",
            "RRRRRRRRRR",
            "xxxxxLxx!!",
            "fffffLxc!!",
        ];
        for (state, expected) in PaymentState::ALL.into_iter().zip(expected) {
            let row: String = FACTS
                .into_iter()
                .map(|fact| match next(state, fact) {
                    Ok(transition) if transition.late => 'L',
                    Ok(transition) => short(transition.to),
                    Err(_) => '!',
                })
                .collect();
            assert_eq!(row, expected, "{state}");
        }
    }

    proptest! {
        /// Whatever arrives in whatever order, money that was taken stays on record, and a
        /// success is entered at most once.
        #[test]
        fn a_success_is_entered_once_and_never_lost(facts in prop::collection::vec(0..FACTS.len(), 0..40)) {
            let mut state = PaymentState::Created;
            let mut successes = 0;
            let mut told_paid = false;
            for fact in facts.into_iter().map(|index| FACTS[index]) {
                told_paid |= fact == PaymentFact::Paid;
                if let Ok(transition) = next(state, fact) {
                    if transition.to == PaymentState::Succeeded && transition.changes() {
                        successes += 1;
                    }
                    state = transition.to;
                }
                prop_assert_eq!(state.is_paid(), told_paid);
            }
            prop_assert!(successes <= 1);
        }
    }
}

//! The state machine of a refund.

use std::fmt;

/// Where a refund stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefundState {
    /// The intent is recorded and its amount reserved; the platform does not have it yet, as far
    /// as we know.
    Created,
    /// The platform took it and is working on it.
    Processing,
    /// The platform's answer was lost: the money may be on its way.
    Unknown,
    /// The money is with the payer. Nothing follows.
    Succeeded,
    /// The platform refused it or gave up on it; the money stayed with the merchant, as far as we know.
    Failed,
}

/// What became known about a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RefundFact {
    /// The platform works on it (also when it needs the merchant's help to finish).
    Accepted,
    /// It was sent and no usable answer came back.
    AnswerLost,
    /// The platform, asked, knows no refund under our number.
    Missing,
    /// The platform refused it; no money moved. Of one that may have been sent before, only with the
    /// platform's word that it knows no such refund.
    Refused,
    /// The money is with the payer.
    Succeeded,
    /// The platform gave up after it had accepted; the money is with the merchant.
    Abandoned,
    /// The merchant asks for a failed refund again, under the same number.
    Retried,
}

/// The state after a fact. `from == to` where the fact tells nothing new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// The state [`next`] was given.
    pub from: RefundState,
    /// The state the refund has from now on.
    pub to: RefundState,
}

impl Transition {
    /// Whether the state moved; only then an event tells of it.
    pub fn changes(self) -> bool {
        self.from != self.to
    }
}

/// What follows when `fact` becomes known of a refund in `state`. A refund that succeeded stays
/// so; one whose answer was lost leaves [`RefundState::Unknown`] only by the platform's word. A refund
/// that failed here and is made by the platform after all is under way again.
pub fn next(state: RefundState, fact: RefundFact) -> Transition {
    use RefundFact as F;
    use RefundState as S;
    let to = match (state, fact) {
        (S::Created | S::Unknown | S::Failed, F::Accepted) => S::Processing,
        (S::Created, F::AnswerLost) => S::Unknown,
        (S::Created, F::Missing | F::Retried) => S::Created,
        (S::Created, F::Refused) => S::Failed,

        (S::Processing, F::Accepted | F::AnswerLost | F::Missing | F::Refused | F::Retried) => S::Processing,

        // The first sending may have moved the money, whatever a repetition is told.
        (S::Unknown, F::AnswerLost | F::Refused | F::Retried) => S::Unknown,
        (S::Unknown, F::Missing) => S::Created,

        (S::Created | S::Processing | S::Unknown | S::Failed, F::Succeeded) => S::Succeeded,
        (S::Created | S::Processing | S::Unknown, F::Abandoned) => S::Failed,

        (S::Failed, F::AnswerLost | F::Missing | F::Refused | F::Abandoned) => S::Failed,
        (S::Failed, F::Retried) => S::Created,

        (
            S::Succeeded,
            F::Accepted | F::AnswerLost | F::Missing | F::Refused | F::Succeeded | F::Abandoned | F::Retried,
        ) => S::Succeeded,
    };
    Transition { from: state, to }
}

impl RefundState {
    /// Every state once, for lists and counters that leave none out.
    pub const ALL: [RefundState; 5] = [
        RefundState::Created,
        RefundState::Processing,
        RefundState::Unknown,
        RefundState::Succeeded,
        RefundState::Failed,
    ];

    /// The word the store keeps. The public interface shows [`RefundState::Created`] as
    /// `processing`.
    pub const fn as_str(self) -> &'static str {
        match self {
            RefundState::Created => "created",
            RefundState::Processing => "processing",
            RefundState::Unknown => "unknown",
            RefundState::Succeeded => "succeeded",
            RefundState::Failed => "failed",
        }
    }

    /// Reads [`Self::as_str`] back; `None` for any other word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// The amount counts against what can still be refunded but is not refunded yet.
    pub const fn is_open(self) -> bool {
        match self {
            RefundState::Created | RefundState::Processing | RefundState::Unknown => true,
            RefundState::Succeeded | RefundState::Failed => false,
        }
    }
}

impl fmt::Display for RefundState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FACTS: [RefundFact; 7] = [
        RefundFact::Accepted,
        RefundFact::AnswerLost,
        RefundFact::Missing,
        RefundFact::Refused,
        RefundFact::Succeeded,
        RefundFact::Abandoned,
        RefundFact::Retried,
    ];

    #[test]
    fn table() {
        let short = |state: RefundState| match state {
            RefundState::Created => 'c',
            RefundState::Processing => 'p',
            RefundState::Unknown => 'u',
            RefundState::Succeeded => 's',
            RefundState::Failed => 'f',
        };
        let expected = ["pucfsfc", "ppppsfp", "pucusfu", "sssssss", "pfffsfc"];
        for (state, expected) in RefundState::ALL.into_iter().zip(expected) {
            let row: String = FACTS.into_iter().map(|fact| short(next(state, fact).to)).collect();
            assert_eq!(row, expected, "{state}");
        }
    }

    proptest! {
        /// Whatever is heard in whatever order: while the platform works on a refund it is never free to be
        /// made again, and what was given back stays on record.
        #[test]
        fn a_refund_that_the_platform_makes_is_never_lost(facts in prop::collection::vec(0usize..7, 0..40)) {
            let (mut state, mut works, mut given_back) = (RefundState::Created, false, false);
            for fact in facts.into_iter().map(|index| FACTS[index]) {
                works = fact == RefundFact::Accepted || (works && fact != RefundFact::Abandoned);
                given_back |= fact == RefundFact::Succeeded;
                let before = state;
                state = next(state, fact).to;
                prop_assert_eq!(state == RefundState::Succeeded, given_back);
                prop_assert!(!works || matches!(state, RefundState::Processing | RefundState::Succeeded));
                if state == RefundState::Failed && before != RefundState::Failed {
                    prop_assert!(matches!(fact, RefundFact::Refused | RefundFact::Abandoned), "{fact:?}");
                }
            }
        }
    }
}

//! What to do now about an app's token: pure decisions over the shared record.

use std::time::Duration;

use dukou_domain::Timestamp;
use dukou_spi::{ErrorKind, ProviderError, Reason};

use super::code::{self, Pause};
use super::record::{Failure, Forced, Moment, Record};

/// With so much left a token is asked for early: a wrong secret or a missing address shows before it hurts.
const EARLY: Duration = Duration::from_secs(600);
/// Only with less left does WeChat give another token; the old one lasts until its end.
const CHANGES: Duration = Duration::from_secs(300);
/// Instances do not all ask at the same moment: so many seconds earlier at most.
const JITTER_EARLY: u64 = 60;
/// And so many seconds after the moment from which WeChat gives another one.
const JITTER_CHANGES: u64 = 20;
/// Between two calls for a token, whoever makes them.
const SPACING: Duration = Duration::from_secs(30);
/// Between two looks into a token that was not accepted.
const REPAIR_SPACING: Duration = Duration::from_secs(60);
/// WeChat ends a token by force so often a day.
pub const FORCED_A_DAY: u32 = 20;
/// Calls by force that are closer together do nothing.
const FORCED_SPACING: Duration = Duration::from_secs(30);
/// The clocks of two instances differ by less. What was written later than that from now was written
/// before this clock was set back.
const CLOCKS: Duration = Duration::from_secs(60);
/// The longest wait after failures that may pass by themselves.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// The first and the longest wait after failures that need a person.
const FIRST_PERSON: Duration = Duration::from_secs(60);
const LONGEST_PERSON: Duration = Duration::from_secs(300);
/// Beijing is so many seconds ahead.
const BEIJING: i64 = 8 * 3600;
const DAY: i64 = 24 * 3600;

/// What to do for somebody who needs a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// The token that is held serves.
    Use,
    /// Somebody is asking: look again in a moment.
    Wait,
    /// Ask the platform.
    Ask,
    /// No token, and it is too early to ask again.
    Refuse(Failure),
}

pub fn next(record: &Record, now: Timestamp) -> Next {
    let valid = is_valid(record, now);
    if valid && is_young(record, now) {
        return Next::Use;
    }
    let unless_valid = |next| if valid { Next::Use } else { next };
    if is_asking(record, now) {
        return unless_valid(Next::Wait);
    }
    if let Some(failure) = waiting_after(record, now) {
        return unless_valid(Next::Refuse(failure.clone()));
    }
    if !passed(record.asked_at, SPACING, now) {
        // Without a token the last one to ask has vanished: its lease is over.
        return unless_valid(Next::Ask);
    }
    Next::Ask
}

/// What to do for somebody whose token was not accepted, while that one is still the one that is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repair {
    Wait,
    Look,
    /// Not before so much has passed.
    TooEarly(Duration),
    Refuse(Failure),
}

pub fn repair(record: &Record, now: Timestamp) -> Repair {
    if is_asking(record, now) {
        return Repair::Wait;
    }
    if let Some(failure) = waiting_after(record, now) {
        return Repair::Refuse(failure.clone());
    }
    match record.repaired_at {
        Some(at) if !passed(Some(at), REPAIR_SPACING, now) => {
            Repair::TooEarly(REPAIR_SPACING.saturating_sub(now.since(at.into())))
        }
        _ => Repair::Look,
    }
}

/// Enters a use of force, where there is one left.
pub fn force(forced: Forced, now: Timestamp) -> Option<Forced> {
    let day = beijing_day(now);
    let count = if forced.day == day { forced.count } else { 0 };
    let may = count < FORCED_A_DAY && passed(forced.at, FORCED_SPACING, now);
    may.then(|| Forced { day, count: count + 1, at: Some(now.into()) })
}

/// When a token with so much left is asked for again. `random` spreads the instances.
pub fn refresh_at(asked_at: Timestamp, lasts: Duration, random: u64) -> Timestamp {
    let early = EARLY + Duration::from_secs(random % JITTER_EARLY);
    let after = if lasts > early + SPACING {
        lasts - early
    } else if lasts > CHANGES + SPACING {
        lasts - CHANGES + Duration::from_secs(1 + random % JITTER_CHANGES)
    } else {
        SPACING.min(lasts / 2)
    };
    asked_at.plus(after)
}

/// What is kept of a failure: above all when the next call is made.
pub fn failure(error: &ProviderError, before: Option<&Failure>, now: Timestamp, random: u64) -> Failure {
    let count = before.map_or(0, |failure| failure.count).saturating_add(1);
    let growing = |first: Duration, longest: Duration| {
        let doubled = first.saturating_mul(1 << (count - 1).min(8)).min(longest);
        // Up to a tenth more.
        let spread = u64::try_from(doubled.as_millis() / 10).unwrap_or(1).max(1);
        doubled + Duration::from_millis(random % spread)
    };
    let wait = match code::pause(error) {
        Pause::Growing => growing(SPACING, LONGEST_PAUSE),
        Pause::Person => growing(FIRST_PERSON, LONGEST_PERSON),
        Pause::Fixed(wait) => wait,
        Pause::NextDay => Duration::from_secs((DAY - (now.as_seconds() + BEIJING).rem_euclid(DAY)).unsigned_abs()),
    };
    Failure {
        at: now.into(),
        code: error.code.clone(),
        message: error.message.clone(),
        needs_person: code::needs_person(error),
        count,
        next_try_at: now.plus(wait).into(),
    }
}

/// A failure that is told again, without a call.
pub fn told_again(failure: &Failure) -> ProviderError {
    let code = failure.code.as_deref().and_then(|code| code.parse().ok());
    let (kind, reason) = match code.map(code::meaning) {
        Some((kind, reason, _)) => (kind, reason),
        None => (ErrorKind::NotSent, Reason::Platform),
    };
    let error = ProviderError::new(kind, reason, &failure.message);
    match &failure.code {
        Some(code) => error.with_code(code),
        None => error,
    }
}

/// The day at WeChat.
pub fn beijing_day(now: Timestamp) -> i64 {
    (now.as_seconds() + BEIJING).div_euclid(DAY)
}

/// Whether the token that is held may still be used.
fn is_valid(record: &Record, now: Timestamp) -> bool {
    record.token.as_ref().is_some_and(|held| now < held.expires_at.into())
}

fn is_young(record: &Record, now: Timestamp) -> bool {
    record.token.as_ref().is_some_and(|held| now < held.refresh_at.into() && is_past(held.fetched_at, now))
}

fn is_asking(record: &Record, now: Timestamp) -> bool {
    record.lease.as_ref().is_some_and(|lease| now < lease.until.into() && is_past(lease.since, now))
}

fn waiting_after(record: &Record, now: Timestamp) -> Option<&Failure> {
    record.failure.as_ref().filter(|failure| now < failure.next_try_at.into() && is_past(failure.at, now))
}

/// Not written in the future, as far as instances agree about the time.
fn is_past(at: Moment, now: Timestamp) -> bool {
    Timestamp::from(at) <= now.plus(CLOCKS)
}

/// Whether `period` has passed. Should the clock have been set back meanwhile, it counts as passed.
fn passed(since: Option<Moment>, period: Duration, now: Timestamp) -> bool {
    since.is_none_or(|since| !is_past(since, now) || now.since(since.into()) >= period)
}

#[cfg(test)]
mod tests;

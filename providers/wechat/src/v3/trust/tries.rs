//! When a list of certificates may be fetched: what one provider tried, and what all of its account in this process did.

use std::sync::Arc;
use std::time::Duration;

use dukou_domain::Timestamp;
use dukou_spi::{ErrorKind, ProviderError, Reason};

/// Between two fetches for unknown serials, and between two that are due.
pub const RATE: Duration = Duration::from_secs(60);
/// After a fetch that failed; twice as long after each one more, as far as [`RATE`].
pub const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The list is looked at this often at least. A new certificate stands in it about ten days before
/// the old one ends.
pub const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// Between two looks at the shelf for unknown serials: a stranger's cost the store that much.
const LOOK: Duration = FIRST_PAUSE;

/// What one provider tried.
#[derive(Default)]
pub struct Tried {
    /// When the last try began, or where it failed, ended.
    pub at: Option<Timestamp>,
    /// The last time for an unknown serial. Its limit is its own: a certificate that appears just after
    /// the list was looked at by plan is fetched at once.
    for_serial_at: Option<Timestamp>,
    /// The last look at the shelf for an unknown serial.
    looked_at: Option<Timestamp>,
    /// How many failed since one succeeded, and how the last did.
    pub failures: u32,
    pub failure: Option<Failure>,
    /// Whose failure was counted last instead of one of its own.
    followed: Option<Arc<Fetcher>>,
    /// The last answer was that there are none, and the public key makes up for them. That is no failure: it slows down
    /// the looks that are planned, and no message's.
    none_any_more: bool,
}

/// One of the providers that share a turn, told from the others by its place in memory.
#[derive(Default)]
pub struct Fetcher;

/// How a fetch failed, for who is told of it later.
pub struct Failure {
    reason: Reason,
    code: Option<String>,
    message: String,
}

impl Failure {
    fn of(error: &ProviderError) -> Self {
        Failure { reason: error.reason, code: error.code.clone(), message: error.message.clone() }
    }

    pub fn error(&self) -> ProviderError {
        ProviderError {
            code: self.code.clone(),
            ..ProviderError::new(ErrorKind::Unknown, self.reason, self.message.as_str())
        }
    }
}

impl Tried {
    /// Whether it is too early for another try.
    pub fn rests(&self, now: Timestamp) -> bool {
        let pause = match self.failures {
            _ if self.none_any_more => LONGEST,
            0 => RATE,
            failures => FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(8)).min(RATE),
        };
        !passed(self.at, pause, now)
    }

    /// Whether a message may look at the shelf; if so, this one does. It may where somebody else of this process has
    /// fetched since the last look.
    pub fn looks(&mut self, turn: &Turn, now: Timestamp) -> bool {
        let is_news = turn.fetched_at.is_some_and(|fetched| self.looked_at.is_none_or(|looked| looked <= fetched));
        let looks = is_news || self.may_fetch(turn, now) || passed(self.looked_at, LOOK, now);
        if looks {
            self.looked_at = Some(now);
        }
        looks
    }

    /// Whether a message may fetch.
    fn may_fetch(&self, turn: &Turn, now: Timestamp) -> bool {
        let may = |last: Option<Timestamp>| passed(last, RATE, now);
        may(turn.for_serial_at) && may(self.for_serial_at) && (self.failures == 0 || !self.rests(now))
    }

    /// Whether a message may fetch; if so, this one does.
    pub fn takes(&mut self, turn: &Turn, now: Timestamp) -> bool {
        let may = self.may_fetch(turn, now);
        if may {
            self.for_serial_at = Some(now);
        }
        may
    }

    /// How another provider's fetch failed just now, or while this one waited for it: it is not made once more by each.
    /// Nobody follows the same one twice running: what keeps that one from WeChat may be its own, such as its `base_url`.
    /// And that there were none a moment ago keeps no message from asking.
    pub fn follows(&mut self, turn: &Turn, for_serial: bool, now: Timestamp) -> Option<(Timestamp, ProviderError)> {
        let before = self.followed.take();
        let Failed { at, of, failure } = turn.failed.as_ref()?;
        let is_over = passed(Some(*at), FIRST_PAUSE, now) || (for_serial && failure.reason == Reason::NotFound);
        if is_over || before.is_some_and(|before| Arc::ptr_eq(&before, of)) {
            return None;
        }
        self.followed = Some(Arc::clone(of));
        Some((*at, failure.error()))
    }

    pub fn succeeded(&mut self) {
        (self.failures, self.failure, self.none_any_more) = (0, None, false);
    }

    pub fn failed(&mut self, at: Timestamp, error: &ProviderError) {
        (self.at, self.none_any_more) = (Some(at), false);
        self.failures = self.failures.saturating_add(1);
        self.failure = Some(Failure::of(error));
    }

    /// The answer was that there are none. Whether that is news.
    pub fn found_none(&mut self, at: Timestamp) -> bool {
        let is_news = !self.none_any_more;
        self.succeeded();
        (self.at, self.none_any_more) = (Some(at), true);
        is_news
    }
}

/// What the providers of one account in this process share: tenants of one merchant, or of one partner. Whoever holds it
/// fetches, the others wait for what comes of it.
#[derive(Default)]
pub struct Turn {
    /// The last fetch that succeeded.
    fetched_at: Option<Timestamp>,
    /// The last fetch for an unknown serial, by whichever provider, and as far as the shelf tells, whichever instance.
    for_serial_at: Option<Timestamp>,
    /// The last fetch, where WeChat's word or silence would have been the same for every provider.
    failed: Option<Failed>,
}

struct Failed {
    at: Timestamp,
    of: Arc<Fetcher>,
    failure: Failure,
}

impl Turn {
    /// Somebody fetched for an unknown serial. A moment to come is of a clock that is wrong, and says nothing.
    pub fn heard(&mut self, for_serial_at: Option<Timestamp>, now: Timestamp) {
        self.for_serial_at = self.for_serial_at.max(for_serial_at.filter(|at| *at <= now));
    }

    /// A fetch begins. What it gives is given back where the fetch fails for what is one provider's own.
    pub fn begins(&mut self, for_serial: bool, now: Timestamp) -> Option<Timestamp> {
        let before = self.for_serial_at;
        if for_serial {
            self.for_serial_at = Some(now);
        }
        before
    }

    pub fn succeeded(&mut self, fetched_at: Timestamp) {
        (self.fetched_at, self.failed) = (Some(fetched_at), None);
    }

    /// A provider whose keys are wrong takes nothing from those whose keys are right.
    pub fn failed(&mut self, at: Timestamp, of: &Arc<Fetcher>, error: &ProviderError, before: Option<Timestamp>) {
        if is_everyones(error.reason) {
            self.failed = Some(Failed { at, of: Arc::clone(of), failure: Failure::of(error) });
        } else {
            self.for_serial_at = before;
        }
    }
}

/// Whether every provider of the account would have got the same answer, or none.
const fn is_everyones(reason: Reason) -> bool {
    match reason {
        Reason::NotFound | Reason::RateLimited | Reason::Transport | Reason::Timeout | Reason::Platform => true,
        Reason::AlreadyPaid
        | Reason::OrderClosed
        | Reason::PayerMismatch
        | Reason::InsufficientBalance
        | Reason::NumberUsed
        | Reason::InvalidCode
        | Reason::UserBlocked
        | Reason::Configuration
        | Reason::BadSignature
        | Reason::Unlisted
        | Reason::Other => false,
    }
}

/// Whether `period` has passed. Should the clock have been set back meanwhile, it counts as passed.
pub fn passed(since: Option<Timestamp>, period: Duration, now: Timestamp) -> bool {
    since.is_none_or(|since| now < since || now.since(since) >= period)
}

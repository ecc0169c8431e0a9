//! How far this machine's clock is from the platforms', by the `Date` of their answers.
//!
//! A platform refuses what was signed at the wrong time, and what it sends is refused here for the
//! same reason: a gateway with a wrong clock would be deaf without knowing why.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dukou_domain::Timestamp;
use dukou_spi::{Clock, PlatformTime};

/// A clock that is farther off than this is wrong. A `Date` counts whole seconds and the way to the
/// platform takes some time; the platforms themselves allow five minutes.
pub const SKEW_LIMIT: Duration = Duration::from_secs(60);
/// A wrong clock is right again when it is nearer than this, so that one at the limit does not
/// go back and forth.
const RIGHT_AGAIN: Duration = Duration::from_secs(50);
/// An answer that took longer says too little about the moment it was dated.
const SLOWEST_ANSWER: Duration = Duration::from_secs(10);
/// Two answers that differ by less agree.
const AGREEMENT: Duration = Duration::from_secs(10);
/// Hosts come from the configuration; more than this many are not watched.
const MAX_HOSTS: usize = 256;

/// Where a reading of the clocks is taken from: this machine's time of day, and one that cannot be
/// set. Both in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Reading {
    wall: i64,
    steady: i64,
}

/// This machine's clock beside one platform's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skew {
    /// The platform's host, with its port where the configuration names one.
    pub host: String,
    /// How far this machine's clock is ahead; negative when it is behind.
    pub millis: i64,
    /// Farther than [`SKEW_LIMIT`].
    pub wrong: bool,
}

/// Compares this machine's clock with those of the platforms it calls.
///
/// What is kept of a platform is the distance of its clock from one that cannot be set, so that a
/// clock that is put right is seen to be right at once, without another call.
pub struct PlatformClocks {
    clock: Arc<dyn Clock>,
    started: Instant,
    hosts: Mutex<BTreeMap<String, Host>>,
}

#[derive(Debug, Default)]
struct Host {
    /// The platform's time minus the steady one, in milliseconds.
    ahead: i64,
    /// What the last answer said, where it contradicts `ahead`: one alone may be a stale copy.
    doubt: Option<i64>,
    wrong: bool,
    /// No answer came yet, only messages: the time they were signed at, or later, is the platform's.
    heard: bool,
}

impl PlatformClocks {
    /// `clock` is the one that requests are signed by.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        PlatformClocks { clock, started: Instant::now(), hosts: Mutex::default() }
    }

    /// Every platform that answered so far. What changed since the last look is logged.
    pub fn skews(&self) -> Vec<Skew> {
        self.judge(self.read())
    }

    /// An answer with this `Date` came from a call that began at `sent`.
    pub(crate) fn answered(&self, host: &str, sent: Instant, date: &str) {
        let took = sent.elapsed();
        let Some(date) = parse(date) else {
            tracing::debug!(host, "the Date of an answer cannot be read");
            return;
        };
        if took <= SLOWEST_ANSWER {
            let now = self.read();
            // The answer was dated somewhere between the two, in the middle of a second.
            let dated = now.steady - millis(took / 2);
            self.note(host, date + 500 - dated);
            self.judge(now);
        }
    }

    fn note(&self, host: &str, ahead: i64) {
        let mut hosts = self.hosts();
        let full = hosts.len() >= MAX_HOSTS;
        match hosts.get_mut(host) {
            None if full => {}
            None => {
                hosts.insert(host.to_owned(), Host { ahead, ..Host::default() });
            }
            Some(known) => known.note(ahead),
        }
    }

    /// A message of the platform's was signed at `theirs`. It may have been kept for a while, so that
    /// the platform's clock shows at least that time now; an answer's word counts for more.
    fn note_signed(&self, host: &str, ahead: i64) {
        let mut hosts = self.hosts();
        let full = hosts.len() >= MAX_HOSTS;
        match hosts.get_mut(host) {
            None if full => {}
            None => {
                hosts.insert(host.to_owned(), Host { ahead, heard: true, ..Host::default() });
            }
            Some(known) if known.heard => known.ahead = known.ahead.max(ahead),
            Some(_) => {}
        }
    }

    fn judge(&self, now: Reading) -> Vec<Skew> {
        let mut hosts = self.hosts();
        hosts.iter_mut().map(|(name, host)| host.judge(name, now)).collect()
    }

    fn read(&self) -> Reading {
        Reading { wall: self.clock.now().as_millis(), steady: millis(self.started.elapsed()) }
    }

    fn hosts(&self) -> MutexGuard<'_, BTreeMap<String, Host>> {
        self.hosts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PlatformTime for PlatformClocks {
    fn signed(&self, host: &str, theirs: Timestamp) {
        let now = self.read();
        self.note_signed(host, theirs.as_millis() - now.steady);
        self.judge(now);
    }
}

impl Host {
    fn note(&mut self, ahead: i64) {
        if self.heard {
            (self.ahead, self.heard) = (ahead, false);
            return;
        }
        let agrees = |with: i64| ahead.abs_diff(with) < AGREEMENT.as_millis() as u64;
        if agrees(self.ahead) || self.doubt.is_some_and(agrees) {
            (self.ahead, self.doubt) = (ahead, None);
        } else {
            self.doubt = Some(ahead);
        }
    }

    fn judge(&mut self, name: &str, now: Reading) -> Skew {
        let millis = now.wall - (now.steady + self.ahead);
        let limit = if self.wrong { RIGHT_AGAIN } else { SKEW_LIMIT };
        let wrong = Duration::from_millis(millis.unsigned_abs()) > limit;
        if wrong != self.wrong {
            let seconds = millis / 1000;
            if wrong {
                tracing::error!(host = name, seconds, "this machine's clock differs from the platform's; set it");
            } else {
                tracing::info!(host = name, seconds, "this machine's clock agrees with the platform's again");
            }
        }
        self.wrong = wrong;
        Skew { host: name.to_owned(), millis, wrong }
    }
}

/// A `Date` header (RFC 9110, 5.6.7) in milliseconds since 1970.
fn parse(date: &str) -> Option<i64> {
    let date: SystemTime = httpdate::parse_http_date(date).ok()?;
    Some(millis(date.duration_since(UNIX_EPOCH).ok()?))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-26 00:00:00 UTC.
    const NOON: i64 = 1_795_651_200_000;

    struct Fixed;

    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(NOON)
        }
    }

    fn watch() -> PlatformClocks {
        PlatformClocks::new(Arc::new(Fixed))
    }

    /// What is said of the one host when this machine shows `wall` at `steady`.
    fn look(clocks: &PlatformClocks, wall: i64, steady: i64) -> (i64, bool) {
        let skews = clocks.judge(Reading { wall, steady });
        (skews[0].millis, skews[0].wrong)
    }

    #[test]
    fn a_clock_is_wrong_beyond_a_minute_either_way() {
        for (off, wrong) in [
            (0, false),
            (59_000, false),
            (-59_000, false),
            (61_000, true),
            (-61_000, true),
            (600_000, true),
            (-600_000, true),
        ] {
            let clocks = watch();
            clocks.note("api", NOON);
            assert_eq!(look(&clocks, NOON + off, 0), (off, wrong));
        }
    }

    #[test]
    fn one_that_was_put_right_is_right_without_another_answer() {
        let clocks = watch();
        clocks.note("api", NOON);
        assert_eq!(look(&clocks, NOON + 601_000, 1_000), (600_000, true));
        assert_eq!(look(&clocks, NOON + 2_000, 2_000), (0, false), "set back by a jump");
        assert_eq!(look(&clocks, NOON + 58_000, 3_000), (55_000, false));
    }

    #[test]
    fn a_wrong_clock_is_right_again_only_well_within_the_limit() {
        let clocks = watch();
        clocks.note("api", NOON);
        for (off, wrong) in [(59, false), (61, true), (59, true), (51, true), (49, false), (51, false)] {
            assert_eq!(look(&clocks, NOON + off * 1_000, 0).1, wrong, "{off}");
        }
    }

    #[test]
    fn one_answer_alone_changes_no_opinion_and_two_that_agree_do() {
        let clocks = watch();
        clocks.note("api", NOON);
        clocks.note("api", NOON - 900_000);
        assert_eq!(look(&clocks, NOON, 0), (0, false), "a stale copy");
        clocks.note("api", NOON + 200);
        clocks.note("api", NOON - 900_000);
        assert_eq!(look(&clocks, NOON, 0), (-200, false), "the doubt was gone");
        clocks.note("api", NOON - 900_100);
        assert_eq!(look(&clocks, NOON, 0), (900_100, true));
    }

    #[test]
    fn a_signed_message_counts_until_an_answer_comes_and_the_youngest_of_them() {
        let clocks = watch();
        clocks.note_signed("api", NOON - 600_000);
        assert_eq!(look(&clocks, NOON, 0), (600_000, true));
        // That one was old; this one was signed now, and an old one after it says nothing.
        clocks.note_signed("api", NOON);
        clocks.note_signed("api", NOON - 86_400_000);
        assert_eq!(look(&clocks, NOON, 0), (0, false));
        clocks.note("api", NOON + 200);
        clocks.note_signed("api", NOON - 86_400_000);
        clocks.note_signed("api", NOON + 86_400_000);
        assert_eq!(look(&clocks, NOON, 0), (-200, false));
    }

    #[test]
    fn hosts_are_told_apart_and_bounded() {
        let clocks = watch();
        for number in 0..MAX_HOSTS + 10 {
            clocks.note(&format!("host-{number}"), NOON);
        }
        assert_eq!(clocks.skews().len(), MAX_HOSTS);
    }

    #[test]
    fn dates_are_read_as_the_web_writes_them() {
        assert_eq!(parse("Thu, 26 Nov 2026 00:00:00 GMT"), Some(NOON));
        for wrong in ["", "now", "Thu, 32 Nov 2026 00:00:00 GMT", "1795651200"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}

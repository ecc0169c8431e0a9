//! The sandbox's own clock. It can be moved forward and run faster, so that a day's retries take a moment.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::{format_description, offset};
use time::{Date, OffsetDateTime, PrimitiveDateTime};

use crate::lock;

const COMPACT: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day][hour][minute][second]");
const DASHED: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]");

/// Milliseconds since 1970-01-01 UTC, by the sandbox's clock.
pub type Millis = i64;

pub struct Clock(Mutex<Inner>);

struct Inner {
    anchor: Instant,
    at_anchor: Millis,
    speed: u32,
}

impl Inner {
    fn now(&self) -> Millis {
        let passed = i64::try_from(self.anchor.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.at_anchor.saturating_add(passed.saturating_mul(i64::from(self.speed)))
    }
}

fn wall_time() -> Millis {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(passed.as_millis()).unwrap_or(i64::MAX)
}

impl Clock {
    pub fn new() -> Self {
        Self(Mutex::new(Inner { anchor: Instant::now(), at_anchor: wall_time(), speed: 1 }))
    }

    pub fn now(&self) -> Millis {
        lock(&self.0).now()
    }

    /// Virtual seconds a real second takes; 0 stands still.
    pub fn speed(&self) -> u32 {
        lock(&self.0).speed
    }

    /// Moves forward at once.
    pub fn advance(&self, seconds: u32) {
        let mut inner = lock(&self.0);
        inner.at_anchor = inner.at_anchor.saturating_add(i64::from(seconds) * 1000);
    }

    pub fn set_speed(&self, speed: u32) {
        let mut inner = lock(&self.0);
        inner.at_anchor = inner.now();
        inner.anchor = Instant::now();
        inner.speed = speed;
    }

    /// Back to the real time at the real speed.
    pub fn reset(&self) {
        *lock(&self.0) = Inner { anchor: Instant::now(), at_anchor: wall_time(), speed: 1 };
    }

    /// The real time until the clock shows `due`; `None` while it stands still.
    pub fn until(&self, due: Millis) -> Option<Duration> {
        let inner = lock(&self.0);
        let left = due.saturating_sub(inner.now());
        if left <= 0 {
            return Some(Duration::ZERO);
        }
        let speed = i64::from(inner.speed);
        (speed > 0).then(|| Duration::from_millis(u64::try_from(left / speed + 1).unwrap_or(u64::MAX)))
    }
}

fn beijing(at: Millis) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at / 1000).unwrap_or(OffsetDateTime::UNIX_EPOCH).to_offset(offset!(+8))
}

/// `yyyyMMddHHmmss` in UTC+8, the form of `time_end`.
pub fn compact(at: Millis) -> String {
    beijing(at).format(COMPACT).unwrap_or_default()
}

/// `yyyy-MM-dd HH:mm:ss` in UTC+8, the form of refund times and bills.
pub fn dashed(at: Millis) -> String {
    beijing(at).format(DASHED).unwrap_or_default()
}

/// RFC 3339 in UTC+8, the form of all times in v3.
pub fn rfc3339(at: Millis) -> String {
    beijing(at).format(&Rfc3339).unwrap_or_default()
}

/// Reads RFC 3339 in any zone.
pub fn parse_rfc3339(text: &str) -> Option<Millis> {
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

/// `yyyyMMdd` in UTC+8, the form of a bill's date.
pub fn day(at: Millis) -> String {
    beijing(at).format(DAY).unwrap_or_default()
}

/// Reads `yyyyMMddHHmmss` in UTC+8.
pub fn parse_compact(text: &str) -> Option<Millis> {
    let time = PrimitiveDateTime::parse(text, COMPACT).ok()?.assume_offset(offset!(+8));
    Some(time.unix_timestamp() * 1000)
}

/// Whether the text is a `yyyyMMdd` date.
pub fn is_day(text: &str) -> bool {
    Date::parse(text, DAY).is_ok()
}

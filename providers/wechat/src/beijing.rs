//! WeChat's clock: Beijing time, always eight hours ahead of UTC, whatever the machine's zone.

use dukou_domain::Timestamp;
use time::format_description::BorrowedFormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::{format_description, offset};
use time::{Date, OffsetDateTime, PrimitiveDateTime, UtcOffset};

const ZONE: UtcOffset = offset!(+8);
const COMPACT: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day][hour][minute][second]");
const SPACED: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]");
const DASHED_DAY: &[BorrowedFormatItem<'_>] = format_description!("[year]-[month]-[day]");

/// `yyyyMMddHHmmss`, as orders want it. `None` for a moment beyond the calendar.
pub fn compact(at: Timestamp) -> Option<String> {
    let moment = OffsetDateTime::from_unix_timestamp(at.as_seconds()).ok()?;
    moment.checked_to_offset(ZONE)?.format(COMPACT).ok()
}

/// Reads `yyyyMMddHHmmss`.
pub fn parse_compact(text: &str) -> Option<Timestamp> {
    parse(text, COMPACT)
}

/// Reads `yyyy-MM-dd HH:mm:ss`, as refunds and bills print it.
pub fn parse_spaced(text: &str) -> Option<Timestamp> {
    parse(text, SPACED)
}

/// RFC 3339 in Beijing's zone and whole seconds, as APIv3 writes times. `None` for a moment beyond the
/// calendar.
pub fn rfc3339(at: Timestamp) -> Option<String> {
    let moment = OffsetDateTime::from_unix_timestamp(at.as_seconds()).ok()?;
    moment.checked_to_offset(ZONE)?.format(&Rfc3339).ok()
}

/// Reads RFC 3339, whatever its zone.
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok().map(Timestamp::from_millis)
}

/// `yyyy-MM-dd`, a bill's day in APIv3.
pub fn dashed_day(date: Date) -> Option<String> {
    date.format(DASHED_DAY).ok()
}

/// `yyyyMMdd`, a bill's day.
pub fn day(date: Date) -> Option<String> {
    date.format(DAY).ok()
}

fn parse(text: &str, format: &[BorrowedFormatItem<'_>]) -> Option<Timestamp> {
    let moment = PrimitiveDateTime::parse(text, format).ok()?.assume_offset(ZONE);
    Some(Timestamp::from_millis(moment.unix_timestamp() * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beijing_time_reads_back() {
        let at = Timestamp::from_millis(1_414_647_325_000);
        assert_eq!(compact(at).as_deref(), Some("20141030133525"));
        assert_eq!(parse_compact("20141030133525"), Some(at));
        assert_eq!(parse_spaced("2014-10-30 13:35:25"), Some(at));
    }

    #[test]
    fn what_is_beyond_the_calendar_in_beijing_is_no_time() {
        let last = Timestamp::from_millis(253_402_271_999_000);
        assert_eq!(compact(last).as_deref(), Some("99991231235959"));
        assert_eq!(rfc3339(last).as_deref(), Some("9999-12-31T23:59:59+08:00"));
        for beyond in [253_402_272_000_000, 253_402_300_799_000, i64::MAX, i64::MIN] {
            let beyond = Timestamp::from_millis(beyond);
            assert_eq!((compact(beyond), rfc3339(beyond)), (None, None), "{beyond:?}");
        }
    }

    #[test]
    fn anything_else_is_no_time() {
        for text in ["", "20141030", "2014-10-30 13:35:25", "20141330133525", "20141030133525 ", "２０１４1030133525"]
        {
            assert_eq!(parse_compact(text), None, "{text}");
        }
        assert_eq!(compact(Timestamp::from_millis(i64::MAX)), None);
    }
}

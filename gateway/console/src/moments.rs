//! Moments as people read them: Chinese pages by Beijing's clock, English ones in UTC.

use dukou_domain::Timestamp;
use time::{OffsetDateTime, UtcOffset};

use crate::texts::Language;

const BEIJING_HOURS: i8 = 8;

fn offset(language: Language) -> UtcOffset {
    match language {
        Language::Zh => UtcOffset::from_hms(BEIJING_HOURS, 0, 0).unwrap_or(UtcOffset::UTC),
        Language::En => UtcOffset::UTC,
    }
}

fn local(at: Timestamp, language: Language) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at.as_seconds())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .to_offset(offset(language))
}

/// `2026-11-23 18:01:33`.
pub fn shown(at: Timestamp, language: Language) -> String {
    let at = local(at, language);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    format!("{year:04}-{:02}-{day:02} {hour:02}:{minute:02}:{second:02}", u8::from(month))
}

/// A text with the moments in it (RFC 3339 in UTC) by the language's clock.
pub fn localized(text: &str, language: Language) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(end) = rest.find('Z') {
        let (before, after) = rest.split_at(end + 1);
        // With and without milliseconds.
        let found = [24, 20].into_iter().find_map(|length| {
            let from = before.len().checked_sub(length)?;
            let moment = before.get(from..)?;
            let at = OffsetDateTime::parse(moment, &time::format_description::well_known::Rfc3339).ok()?;
            Some((from, Timestamp::from_millis(at.unix_timestamp().saturating_mul(1000))))
        });
        match found {
            Some((from, at)) => {
                shown.push_str(&before[..from]);
                shown.push_str(&self::shown(at, language));
            }
            None => shown.push_str(before),
        }
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// The beginning of the day that it is now.
pub fn midnight(now: Timestamp, language: Language) -> Timestamp {
    let begun = local(now, language).replace_time(time::Time::MIDNIGHT);
    Timestamp::from_millis(begun.unix_timestamp().saturating_mul(1000))
}

/// The beginning of a day written as `2026-11-23`.
pub fn day(text: &str, language: Language) -> Option<Timestamp> {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    let begun = time::Date::parse(text, format).ok()?.midnight().assume_offset(offset(language));
    Some(Timestamp::from_millis(begun.unix_timestamp().saturating_mul(1000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_by_its_clock() {
        let at = Timestamp::from_millis(1_795_428_000_050);
        assert_eq!(shown(at, Language::En), "2026-11-23 10:00:00");
        assert_eq!(shown(at, Language::Zh), "2026-11-23 18:00:00");
        assert_eq!(shown(midnight(at, Language::Zh), Language::Zh), "2026-11-23 00:00:00");
        assert_eq!(shown(midnight(at, Language::En), Language::En), "2026-11-23 00:00:00");
        assert_eq!(day("2026-11-23", Language::Zh), Some(midnight(at, Language::Zh)));
        assert_eq!(day("2026-02-30", Language::Zh), None);
        for (text, expected) in [
            (
                "下次在 2026-11-23T10:00:00.050Z，到期 2026-11-23T10:00:00Z",
                "下次在 2026-11-23 18:00:00，到期 2026-11-23 18:00:00",
            ),
            ("Z 字 ZZ 2026-99-23T10:00:00Z", "Z 字 ZZ 2026-99-23T10:00:00Z"),
            ("", ""),
        ] {
            assert_eq!(localized(text, Language::Zh), expected);
        }
        shown(Timestamp::from_millis(i64::MIN), Language::Zh);
        shown(Timestamp::from_millis(i64::MAX), Language::Zh);
    }
}

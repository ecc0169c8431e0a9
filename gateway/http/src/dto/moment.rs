use dukou_domain::Timestamp;
use time::OffsetDateTime;

/// The first and last seconds that RFC 3339 can write.
const FIRST: i64 = -62_135_596_800;
const LAST: i64 = 253_402_300_799;

/// A moment as RFC 3339 in UTC, with milliseconds where there are any.
pub fn rfc3339(at: Timestamp) -> String {
    let seconds = at.as_seconds().clamp(FIRST, LAST);
    let millis = at.as_millis().rem_euclid(1000);
    let moment = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = moment.to_calendar_date();
    let (hour, minute, second) = moment.to_hms();
    let month = u8::from(month);
    if millis == 0 {
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    } else {
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fields::parse_moment;
    use proptest::prelude::*;

    #[test]
    fn written_in_utc_with_milliseconds_only_where_there_are_any() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (1_795_428_000_050, "2026-11-23T10:00:00.050Z"),
            (i64::MIN, "0001-01-01T00:00:00.192Z"),
        ] {
            assert_eq!(rfc3339(Timestamp::from_millis(millis)), text);
        }
    }

    proptest! {
        #[test]
        fn reads_back(millis in FIRST * 1000..=LAST * 1000) {
            let at = Timestamp::from_millis(millis);
            prop_assert_eq!(parse_moment(&rfc3339(at)), Some(at));
        }
    }
}

//! How long a certificate is still good for, in the words of `check` and `doctor` alike.

use std::fmt;
use std::time::Duration;

use dukou_domain::Timestamp;
use dukou_spi::TrustKey;

/// A certificate that ends within this is spoken of: WeChat takes a renewed one weeks before.
const SOON: Duration = Duration::from_secs(60 * DAY);
const DAY: u64 = 24 * 60 * 60;

/// Where a moment stands before a certificate's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    Ended,
    /// Within 60 days.
    EndsSoon {
        days: u64,
    },
    Lasts {
        days: u64,
    },
    Endless,
}

impl Validity {
    pub fn of(certificate: &TrustKey, now: Timestamp) -> Self {
        let Some(end) = certificate.expires_at else { return Validity::Endless };
        let left = end.since(now);
        let days = left.as_secs() / DAY;
        if end <= now {
            Validity::Ended
        } else if left <= SOON {
            Validity::EndsSoon { days }
        } else {
            Validity::Lasts { days }
        }
    }

    /// Whether somebody has to see to a renewed one.
    pub fn is_to_be_told(self) -> bool {
        matches!(self, Validity::Ended | Validity::EndsSoon { .. })
    }
}

impl fmt::Display for Validity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Validity::Ended => formatter.write_str("has expired"),
            Validity::EndsSoon { days: 0 } => formatter.write_str("expires within a day"),
            Validity::EndsSoon { days: 1 } => formatter.write_str("expires in 1 day"),
            Validity::EndsSoon { days } => write!(formatter, "expires in {days} days"),
            Validity::Lasts { days } => write!(formatter, "is good for {days} days"),
            Validity::Endless => formatter.write_str("has no end"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_spoken_of_sixty_days_before_its_end() {
        let now = Timestamp::from_millis(1_790_000_000_000);
        let hours = |hours: i64| Some(Timestamp::from_millis(now.as_millis() + hours * 3_600_000));
        for (expires_at, told, words) in [
            (None, false, "has no end"),
            (hours(-1), true, "has expired"),
            (hours(0), true, "has expired"),
            (hours(23), true, "expires within a day"),
            (hours(47), true, "expires in 1 day"),
            (hours(60 * 24), true, "expires in 60 days"),
            (hours(60 * 24 + 1), false, "is good for 60 days"),
        ] {
            let validity = Validity::of(&TrustKey { serial: "5F".to_owned(), expires_at }, now);
            assert_eq!((validity.is_to_be_told(), validity.to_string().as_str()), (told, words), "{expires_at:?}");
        }
    }
}

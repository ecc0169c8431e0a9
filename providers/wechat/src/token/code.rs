//! What the `errcode` of a token call means, and what to do then.

use std::time::Duration;

use dukou_spi::{ErrorKind, ProviderError, Reason};

use ErrorKind::{NotSent, Refused, Unknown};

/// When a call for a token that failed is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// Soon, and ever more slowly.
    Growing,
    /// Not before this has passed.
    Fixed(Duration),
    /// With the platform's next day.
    NextDay,
    /// Somebody has to change something first; now and then it is seen whether they did.
    Person,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The token that a call carried is not accepted (protocol section 2.4).
pub const fn is_stale(code: i64) -> bool {
    matches!(code, 40001 | 40014 | 42001)
}

/// What a code means for a call for a token.
pub const fn meaning(code: i64) -> (ErrorKind, Reason, Pause) {
    match code {
        // Busy.
        -1 => (NotSent, Reason::Platform, Pause::Growing),
        // The day's, and the minute's, measure is used up.
        45009 => (NotSent, Reason::RateLimited, Pause::NextDay),
        45011 => (NotSent, Reason::RateLimited, Pause::Fixed(MINUTE)),
        // An address that WeChat finds risky: it waits for the administrator, or was refused for so long.
        89503 => (NotSent, Reason::Configuration, Pause::Person),
        89506 => (NotSent, Reason::Configuration, Pause::Fixed(DAY)),
        89507 => (NotSent, Reason::Configuration, Pause::Fixed(HOUR)),
        // Wrong id or secret, an address that is not allowed, a frozen secret or account, no permission.
        40001 | 40013 | 40125 | 40164 | 40243 | 48001 | 50004 | 50007 | 61003 | 61004 | 61011 => {
            (Refused, Reason::Configuration, Pause::Person)
        }
        // Requests that we spelled wrong.
        40002 | 41002 | 41004 | 43002 | 44002 | 47001 => (Refused, Reason::Other, Pause::Person),
        _ => (Unknown, Reason::Other, Pause::Growing),
    }
}

/// When to try again after a failure, whether WeChat said it or nobody did.
pub fn pause(error: &ProviderError) -> Pause {
    error.code.as_deref().and_then(|code| code.parse().ok()).map_or(Pause::Growing, |code| meaning(code).2)
}

/// Whether it fails until somebody changes something.
pub fn needs_person(error: &ProviderError) -> bool {
    error.reason == Reason::Configuration || pause(error) == Pause::Person
}

/// The address that WeChat names when it does not allow it (`invalid ip 203.0.113.9 ipv6 ::ffff:…`).
pub fn named_address(message: &str) -> Option<&str> {
    let rest = message.split("invalid ip ").nth(1)?;
    let address = rest.split(|c: char| !(c.is_ascii_hexdigit() || matches!(c, '.' | ':'))).next()?;
    address.parse::<std::net::IpAddr>().ok().map(|_| address)
}

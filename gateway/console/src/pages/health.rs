//! What the gateway needs, and the keys that the tenants' accounts depend on.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use dukou_domain::Timestamp;
use dukou_http::{ReadyCheck, ReadyStatus};
use dukou_spi::TrustKey;

use super::all_tenants;
use crate::figures::Calls;
use crate::texts::Language;
use crate::visitor::{Visitor, let_in};
use crate::{Console, answer, moments};

pub const DAY_SECONDS: u64 = 24 * 60 * 60;
/// A key that ends sooner is marked.
pub const SOON_DAYS: u64 = 30;

struct Check {
    name: String,
    class: &'static str,
    word: &'static str,
    detail: String,
}

struct Key {
    serial: String,
    expires_at: String,
    days: String,
    class: &'static str,
}

struct Account {
    tenant: String,
    provider: String,
    kind: &'static str,
    keys: Vec<Key>,
}

#[derive(Template)]
#[template(path = "health.html")]
struct Page<'a> {
    v: &'a Visitor,
    tab: &'static str,
    checks: Vec<Check>,
    accounts: Vec<Account>,
    calls: Vec<Calls>,
}

pub async fn show(console: Data<Console>, request: HttpRequest) -> HttpResponse {
    let visitor = let_in!(console, request);
    let now = console.engine.clock().now();
    let checks = console.readiness.checks().await.into_iter().map(|check| {
        let (class, word) = match check.status {
            ReadyStatus::Ready => ("good", visitor.texts.ready),
            ReadyStatus::Degraded => ("warn", visitor.texts.degraded),
            ReadyStatus::Unready => ("bad", visitor.texts.unready),
        };
        Check { class, word, detail: detail(&check, visitor.language).to_owned(), name: check.name }
    });
    let mut accounts = Vec::new();
    for tenant in all_tenants(&console) {
        for (name, provider) in &tenant.providers {
            accounts.push(Account {
                tenant: tenant.id.to_string(),
                provider: name.to_string(),
                kind: provider.info().kind,
                keys: provider.trust().iter().map(|key| shown(key, now, &visitor)).collect(),
            });
        }
    }
    let (checks, calls) = (checks.collect(), console.figures.calls());
    answer::page(StatusCode::OK, &Page { v: &visitor, tab: "health", checks, accounts, calls })
}

/// What is wrong, in the reader's language.
pub fn detail(check: &ReadyCheck, language: Language) -> &str {
    match language {
        Language::Zh => &check.detail_zh,
        Language::En => &check.detail,
    }
}

fn shown(key: &TrustKey, now: Timestamp, visitor: &Visitor) -> Key {
    let serial = key.serial.clone();
    let Some(at) = key.expires_at else {
        return Key { serial, expires_at: String::new(), days: visitor.texts.no_end.to_owned(), class: "good" };
    };
    let (days, class) = left(at, now);
    Key { serial, expires_at: moments::shown(at, visitor.language), days, class }
}

/// How many whole days are left until a key ends, below 0 once it has, and how that is marked.
fn left(end: Timestamp, now: Timestamp) -> (String, &'static str) {
    if end <= now {
        return (format!("-{}", now.since(end).as_secs() / DAY_SECONDS + 1), "bad");
    }
    let days = end.since(now).as_secs() / DAY_SECONDS;
    let class = match days {
        0 => "bad",
        1..SOON_DAYS => "warn",
        _ => "good",
    };
    (days.to_string(), class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_has_ended_has_less_than_no_days_left() {
        const HOUR: i64 = 3_600_000;
        let end = Timestamp::from_millis(1_924_992_000_000);
        for (hours, expected) in [
            (-30 * 24, ("30", "good")),
            (-30 * 24 + 1, ("29", "warn")),
            (-24, ("1", "warn")),
            (-1, ("0", "bad")),
            (0, ("-1", "bad")),
            (23, ("-1", "bad")),
            (25, ("-2", "bad")),
        ] {
            let (days, class) = left(end, Timestamp::from_millis(end.as_millis() + hours * HOUR));
            assert_eq!((days.as_str(), class), expected, "{hours} hours after its end");
        }
    }
}

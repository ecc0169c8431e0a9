//! The access tokens of the apps: two kinds that do not know of each other, each with its own rules.
//!
//! `stable` (`/cgi-bin/stable_token`): the same token until its last five minutes, then another one while the old one
//! lasts; by force another one at once, so often a day, and not twice within half a minute. `plain`
//! (`/cgi-bin/token`): another one at every call; the one before lasts five minutes more.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

use serde::Serialize;

use crate::clock::{Millis, day};
use crate::ledger::token;
use crate::lock;

const SECOND: Millis = 1000;
/// What a token lasts unless a test says otherwise, in seconds.
const LIFE: u32 = 7200;
/// With less left than this, or for this much longer.
const OVERLAP: Millis = 300 * SECOND;
const FORCED_A_DAY: u32 = 20;
const FORCED_SPACING: Millis = 30 * SECOND;
/// Calls of `stable_token` within a minute.
const A_MINUTE: u32 = 10_000;
/// The length of a token, in characters.
const LENGTH: usize = 136;

/// A token that was given out, and how long it lasts from then.
pub struct Given {
    pub token: String,
    pub expires_in: i64,
}

/// Why a token is not accepted, or none is given: `errcode` and `errmsg`.
pub type Refusal = (i64, &'static str);

#[derive(Default)]
pub struct AccessTokens(Mutex<HashMap<String, App>>);

#[derive(Default)]
struct App {
    stable: Line,
    plain: Line,
    forced: Forced,
    minute: (Millis, u32),
    allowed: Option<Vec<IpAddr>>,
    life: Option<u32>,
}

/// The tokens of one kind.
#[derive(Default)]
struct Line {
    current: Option<Token>,
    before: Option<Token>,
    issued: u64,
    calls: u64,
}

struct Token {
    text: String,
    ends_at: Millis,
    /// Not accepted, although it is still the one that is given out.
    refused: bool,
}

#[derive(Default)]
struct Forced {
    day: String,
    count: u32,
    at: Option<Millis>,
}

/// What a test may see: never a token.
#[derive(Serialize)]
pub struct Shown {
    stable: ShownLine,
    plain: ShownLine,
    forced_today: u32,
    allowed_ips: Option<Vec<IpAddr>>,
    lifetime_seconds: u32,
}

#[derive(Serialize)]
struct ShownLine {
    /// Calls for a token that were let in.
    calls: u64,
    issued: u64,
    expires_in: Option<i64>,
    refused: bool,
}

impl Line {
    fn issue(&mut self, now: Millis, life: u32) -> Given {
        self.issued += 1;
        let text = token(LENGTH);
        let ends_at = now + Millis::from(life) * SECOND;
        self.current = Some(Token { text: text.clone(), ends_at, refused: false });
        Given { token: text, expires_in: i64::from(life) }
    }

    fn judge(&self, text: &str, now: Millis) -> Option<Result<(), Refusal>> {
        let known = self.current.iter().chain(&self.before).find(|token| token.text == text)?;
        Some(match known {
            Token { refused: true, .. } => Err((40001, "invalid credential, access_token is invalid or not latest")),
            Token { ends_at, .. } if *ends_at <= now => Err((42001, "access_token expired")),
            _ => Ok(()),
        })
    }

    fn shown(&self, now: Millis) -> ShownLine {
        ShownLine {
            calls: self.calls,
            issued: self.issued,
            expires_in: self.current.as_ref().map(|token| (token.ends_at - now) / SECOND),
            refused: self.current.as_ref().is_some_and(|token| token.refused),
        }
    }
}

impl AccessTokens {
    pub fn clear(&self) {
        lock(&self.0).clear();
    }

    fn with<T>(&self, app_id: &str, work: impl FnOnce(&mut App) -> T) -> T {
        work(lock(&self.0).entry(app_id.to_owned()).or_default())
    }

    /// `Err` with the addresses' own words where the list does not have the caller.
    pub fn admit(&self, app_id: &str, caller: Option<IpAddr>) -> Result<(), String> {
        self.with(app_id, |app| match (&app.allowed, caller) {
            (Some(allowed), Some(caller)) if !allowed.contains(&caller) => {
                let v6 = match caller {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                    IpAddr::V6(v6) => v6,
                };
                Err(format!("invalid ip {caller} ipv6 {v6}, not in whitelist"))
            }
            _ => Ok(()),
        })
    }

    pub fn stable(&self, app_id: &str, force: bool, now: Millis) -> Result<Given, Refusal> {
        self.with(app_id, |app| {
            let minute = now / (60 * SECOND);
            app.minute = (minute, if app.minute.0 == minute { app.minute.1 + 1 } else { 1 });
            if app.minute.1 > A_MINUTE {
                return Err((45011, "api minute-quota reach limit"));
            }
            app.stable.calls += 1;
            let life = app.life.unwrap_or(LIFE);
            let just_forced = app.forced.at.is_some_and(|at| now - at < FORCED_SPACING);
            if force && !just_forced {
                let today = day(now);
                if app.forced.day != today {
                    app.forced = Forced { day: today, ..Forced::default() };
                }
                if app.forced.count >= FORCED_A_DAY {
                    return Err((45009, "reach max api daily quota limit"));
                }
                app.forced.count += 1;
                app.forced.at = Some(now);
                // The old one is dead at once.
                app.stable.before = None;
                return Ok(app.stable.issue(now, life));
            }
            match &app.stable.current {
                Some(current) if current.ends_at - now >= OVERLAP => {
                    Ok(Given { token: current.text.clone(), expires_in: (current.ends_at - now) / SECOND })
                }
                _ => {
                    app.stable.before = app.stable.current.take();
                    Ok(app.stable.issue(now, life))
                }
            }
        })
    }

    pub fn plain(&self, app_id: &str, now: Millis) -> Given {
        self.with(app_id, |app| {
            app.plain.calls += 1;
            app.plain.before =
                app.plain.current.take().map(|old| Token { ends_at: old.ends_at.min(now + OVERLAP), ..old });
            let life = app.life.unwrap_or(LIFE);
            app.plain.issue(now, life)
        })
    }

    /// Whose token it is, if it is accepted.
    pub fn judge(&self, text: &str, now: Millis) -> Result<(), Refusal> {
        let apps = lock(&self.0);
        let judged = apps.values().flat_map(|app| [&app.stable, &app.plain]).find_map(|line| line.judge(text, now));
        judged.unwrap_or(Err((40001, "invalid credential, access_token is invalid or not latest")))
    }

    /// The stable token is over now.
    pub fn expire(&self, app_id: &str, now: Millis) {
        self.with(app_id, |app| {
            if let Some(current) = &mut app.stable.current {
                current.ends_at = now;
            }
        });
    }

    /// The stable token is not accepted any more, although it is still given out.
    pub fn refuse(&self, app_id: &str) {
        self.with(app_id, |app| {
            if let Some(current) = &mut app.stable.current {
                current.refused = true;
            }
        });
    }

    /// Somebody else ended the stable token by force.
    pub fn replace(&self, app_id: &str, now: Millis) {
        self.with(app_id, |app| {
            app.stable.before = None;
            let life = app.life.unwrap_or(LIFE);
            app.stable.issue(now, life);
        });
    }

    pub fn allow(&self, app_id: &str, allowed: Option<Vec<IpAddr>>) {
        self.with(app_id, |app| app.allowed = allowed);
    }

    pub fn set_life(&self, app_id: &str, seconds: u32) {
        self.with(app_id, |app| app.life = Some(seconds));
    }

    pub fn shown(&self, app_id: &str, now: Millis) -> Shown {
        self.with(app_id, |app| Shown {
            stable: app.stable.shown(now),
            plain: app.plain.shown(now),
            forced_today: if app.forced.day == day(now) { app.forced.count } else { 0 },
            allowed_ips: app.allowed.clone(),
            lifetime_seconds: app.life.unwrap_or(LIFE),
        })
    }
}

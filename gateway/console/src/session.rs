//! Who is let in: the admin token once, then a cookie that proves it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;
use dukou_domain::{Secret, Timestamp};
use dukou_http::AdminToken;

/// The cookie's name.
pub const COOKIE: &str = "dukou_console";
/// How long somebody stays let in.
pub const LASTS: Duration = Duration::from_secs(12 * 60 * 60);
/// Wrong tokens that are looked at in a minute, from one address.
const WRONG_A_MINUTE: u32 = 10;
/// Addresses that are counted by themselves; further ones share one count.
const ADDRESSES: usize = 1_000;
const MINUTE: Duration = Duration::from_secs(60);

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// No token is configured.
    Closed,
    Wrong,
    /// Too many wrong ones; not even looked at.
    TooMany,
}

pub struct Sessions {
    token: AdminToken,
    key: hmac::Key,
    /// Since when, and how many.
    wrong: Mutex<HashMap<Option<IpAddr>, (Instant, u32)>>,
}

impl Sessions {
    /// Another token makes another key: who was let in by the old one is not any more.
    pub fn new(token: AdminToken, secret: &Secret) -> Self {
        let base = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let known = token.0.as_ref().map(|token| token.expose().as_bytes()).unwrap_or_default();
        let key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&base, known).as_ref());
        Sessions { token, key, wrong: Mutex::default() }
    }

    /// Whether anybody can be let in.
    pub fn is_open(&self) -> bool {
        self.token.0.as_ref().is_some_and(|token| !token.is_empty())
    }

    /// The cookie's value for who has the token. Whoever guesses locks out nobody but themselves.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn enter(&self, token: &str, from: Option<IpAddr>, now: Timestamp) -> Result<String, Refused> {
        if !self.is_open() {
            return Err(Refused::Closed);
        }
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.retain(|_, (since, _)| since.elapsed() < MINUTE);
        let from = from.map(network);
        let from = from.filter(|_| wrong.len() < ADDRESSES || wrong.contains_key(&from));
        if wrong.get(&from).is_some_and(|(_, count)| *count >= WRONG_A_MINUTE) {
            return Err(Refused::TooMany);
        }
        if self.token.check(token.as_bytes()).is_err() {
            wrong.entry(from).or_insert((Instant::now(), 0)).1 += 1;
            return Err(Refused::Wrong);
        }
        let until = now.plus(LASTS).as_millis();
        Ok(format!("{until}.{}", self.mark("session", &until.to_string())))
    }

    /// Whether a cookie was made here and has not ended.
    pub fn holds(&self, cookie: &str, now: Timestamp) -> bool {
        let Some((until, mark)) = cookie.split_once('.') else { return false };
        let in_time = until.parse::<i64>().is_ok_and(|until| now.as_millis() < until);
        in_time && self.is_open() && self.is_mark("session", until, mark)
    }

    /// What a form of this session carries, so that no other site's can be sent in its name.
    pub fn form_token(&self, cookie: &str) -> String {
        self.mark("form", cookie)
    }

    pub fn is_form_token(&self, cookie: &str, token: &str) -> bool {
        self.is_mark("form", cookie, token)
    }

    fn mark(&self, purpose: &str, text: &str) -> String {
        hex::encode(hmac::sign(&self.key, format!("{purpose}\n{text}").as_bytes()))
    }

    fn is_mark(&self, purpose: &str, text: &str, mark: &str) -> bool {
        let Ok(mark) = hex::decode(mark) else { return false };
        hmac::verify(&self.key, format!("{purpose}\n{text}").as_bytes(), &mark).is_ok()
    }
}

/// One household has many addresses of IPv6: all that begin with the same 64 bits.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions(token: Option<&str>) -> Sessions {
        Sessions::new(AdminToken(token.map(Secret::new)), &Secret::new("ab"))
    }

    #[test]
    fn a_cookie_holds_until_its_end_and_only_here() {
        let (now, here) = (Timestamp::from_millis(1_000_000), sessions(Some("let-me-in")));
        let cookie = here.enter("let-me-in", None, now).unwrap();
        assert!(here.holds(&cookie, now) && here.holds(&cookie, now.plus(LASTS - Duration::from_millis(1))));
        assert!(!here.holds(&cookie, now.plus(LASTS)), "it has ended");
        assert!(!sessions(Some("another")).holds(&cookie, now), "the token was changed");
        let (_, mark) = cookie.split_once('.').unwrap();
        for forged in ["", ".", "9999999999999999.", &format!("9999999999999999.{mark}"), &cookie[..cookie.len() - 1]] {
            assert!(!here.holds(forged, now), "{forged}");
        }
        let form = here.form_token(&cookie);
        assert!(here.is_form_token(&cookie, &form) && !here.is_form_token("other", &form) && form != mark);
    }

    #[test]
    fn wrong_tokens_are_counted_and_nobody_enters_without_one_configured() {
        let now = Timestamp::from_millis(0);
        let here = sessions(Some("let-me-in"));
        let [guesser, neighbour, other] = ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"].map(|a| a.parse().ok());
        for _ in 0..WRONG_A_MINUTE {
            assert_eq!(here.enter("wrong", guesser, now), Err(Refused::Wrong));
        }
        for from in [guesser, neighbour] {
            assert_eq!(
                here.enter("let-me-in", from, now),
                Err(Refused::TooMany),
                "who guesses learns nothing any more"
            );
        }
        assert!(here.enter("let-me-in", other, now).is_ok(), "nobody else is locked out");
        for index in 0..2 * ADDRESSES as u32 {
            let _ = here.enter("wrong", Some(IpAddr::V4(index.into())), now);
        }
        assert!(here.wrong.lock().unwrap().len() <= ADDRESSES + 1);
        assert_eq!(here.enter("wrong", Some(IpAddr::V4(u32::MAX.into())), now), Err(Refused::TooMany));
        for token in [None, Some("")] {
            assert_eq!(sessions(token).enter("", None, now), Err(Refused::Closed));
            assert!(!sessions(token).is_open());
        }
    }
}

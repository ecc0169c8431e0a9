//! Who is let in: the admin token once, then a cookie that proves it.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::HttpRequest;
use aws_lc_rs::hmac;
use dukou_domain::{Secret, Timestamp};
use dukou_http::{AdminToken, Guesses};
use uuid::Uuid;

/// The cookie's name.
pub const COOKIE: &str = "dukou_console";
/// How long somebody stays let in.
pub const LASTS: Duration = Duration::from_secs(12 * 60 * 60);
/// Wrong tokens that are looked at in a minute, from one address.
const WRONG_A_MINUTE: u32 = 10;

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// No token is configured.
    Closed,
    Wrong,
    /// Too many wrong ones; not even looked at.
    TooMany,
}

/// Somebody's being let in.
pub struct Session {
    /// Tells it from others, and opens nothing.
    pub name: String,
    pub until: Timestamp,
}

pub struct Sessions {
    token: AdminToken,
    key: hmac::Key,
    wrong: Guesses,
}

impl Sessions {
    /// Another token makes another key: who was let in by the old one is not any more.
    pub fn new(token: AdminToken, secret: &Secret) -> Self {
        let base = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
        let known = token.known().map(|token| token.expose().as_bytes()).unwrap_or_default();
        let key = hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&base, known).as_ref());
        Sessions { token, key, wrong: Guesses::up_to(WRONG_A_MINUTE) }
    }

    /// Whose guesses are counted together.
    pub fn client(&self, request: &HttpRequest) -> Option<IpAddr> {
        self.token.client(request)
    }

    /// Whether anybody can be let in.
    pub fn is_open(&self) -> bool {
        self.token.known().is_some()
    }

    /// The cookie's value for who has the token. Whoever guesses locks out nobody but themselves.
    ///
    /// # Errors
    /// [`Refused`].
    pub fn enter(&self, token: &str, from: Option<IpAddr>, now: Timestamp) -> Result<String, Refused> {
        if !self.is_open() {
            return Err(Refused::Closed);
        }
        match self.wrong.judge(from, || self.token.is(token.as_bytes())) {
            None => return Err(Refused::TooMany),
            Some(false) => return Err(Refused::Wrong),
            Some(true) => {}
        }
        // Two who enter at the same moment have a session each.
        let session = format!("{}-{}", now.plus(LASTS).as_millis(), Uuid::now_v7().simple());
        Ok(format!("{session}.{}", self.mark("session", &session)))
    }

    /// The session of a cookie that was made here and whose time has not come.
    pub fn of(&self, cookie: &str, now: Timestamp) -> Option<Session> {
        let (session, mark) = cookie.split_once('.')?;
        let (until, _) = session.split_once('-')?;
        let until = until.parse::<i64>().ok().filter(|until| now.as_millis() < *until)?;
        let known = self.is_open() && self.is_mark("session", session, mark);
        // By what was signed: a mark can be written in more than one way.
        known.then(|| Session { name: self.mark("name", session), until: Timestamp::from_millis(until) })
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

#[cfg(test)]
mod tests {
    use dukou_http::TrustedProxies;

    use super::*;

    fn sessions(token: Option<&str>) -> Sessions {
        Sessions::new(AdminToken::new(token.map(Secret::new), TrustedProxies::default()), &Secret::new("ab"))
    }

    #[test]
    fn a_cookie_holds_until_its_end_and_only_here() {
        let (now, here) = (Timestamp::from_millis(1_000_000), sessions(Some("let-me-in")));
        let cookie = here.enter("let-me-in", None, now).unwrap();
        assert!(
            here.of(&cookie, now).is_some() && here.of(&cookie, now.plus(LASTS - Duration::from_millis(1))).is_some()
        );
        assert!(here.of(&cookie, now.plus(LASTS)).is_none(), "it has ended");
        assert!(sessions(Some("another")).of(&cookie, now).is_none(), "the token was changed");
        let (_, mark) = cookie.split_once('.').unwrap();
        let later = format!("9999999999999999-{}.{mark}", Uuid::nil().simple());
        for forged in ["", ".", "9999999999999999.", "9999999999999999-.", &later, &cookie[..cookie.len() - 1]] {
            assert!(here.of(forged, now).is_none(), "{forged}");
        }
        let name = |cookie: &str| here.of(cookie, now).map(|session| session.name);
        let (session, mark) = cookie.split_once('.').unwrap();
        let shouted = format!("{session}.{}", mark.to_uppercase());
        assert_eq!(name(&shouted), name(&cookie), "however it is written, it is the same session");
        assert_ne!(name(&here.enter("let-me-in", None, now).unwrap()), name(&cookie));
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
        for token in [None, Some("")] {
            assert_eq!(sessions(token).enter("", None, now), Err(Refused::Closed));
            assert!(!sessions(token).is_open());
        }
    }
}

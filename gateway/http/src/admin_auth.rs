//! Who may use the admin API: whoever has the token of `admin.token`.

use std::net::IpAddr;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use dukou_domain::Secret;
use futures_util::future::{Ready, ready};

use crate::auth::bearer;
use crate::client_address::TrustedProxies;
use crate::errors::ErrorCode;
use crate::guesses::Guesses;
use crate::problem::Problem;

/// Wrong tokens that are looked at in a minute, from one address. More than people mistype: a program that was left with
/// an old token asks again and again, and others may have its address.
const WRONG_A_MINUTE: u32 = 60;

/// The token of the admin API, where one is configured.
#[derive(Clone)]
pub struct AdminToken {
    known: Option<Secret>,
    proxies: TrustedProxies,
    wrong: Arc<Guesses>,
}

/// An operator with the token.
pub struct Operator;

impl FromRequest for Operator {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let authorization = request.headers().get(AUTHORIZATION).map(|value| value.as_bytes());
        let token = authorization.and_then(bearer);
        ready(match request.app_data::<Data<AdminToken>>() {
            Some(known) => known.check(token, known.client(request)).map(|()| Operator),
            None => Err(Problem::internal()),
        })
    }
}

impl AdminToken {
    /// Clients behind `proxies` are told apart by what these say.
    pub fn new(known: Option<Secret>, proxies: TrustedProxies) -> Self {
        let known = known.filter(|known| !known.is_empty());
        AdminToken { known, proxies, wrong: Arc::new(Guesses::up_to(WRONG_A_MINUTE)) }
    }

    /// The token itself, where there is one.
    pub fn known(&self) -> Option<&Secret> {
        self.known.as_ref()
    }

    /// Whether this is the token; the comparison takes as long whatever was sent.
    pub fn is(&self, token: &[u8]) -> bool {
        self.known.as_ref().is_some_and(|known| known.matches(token))
    }

    /// Whose guesses are counted together.
    pub fn client(&self, request: &HttpRequest) -> Option<IpAddr> {
        self.proxies.client(request)
    }

    /// Lets in who has the token.
    ///
    /// # Errors
    /// `forbidden` where no token is configured, which opens nothing; `unauthorized` for another one or none;
    /// `rate_limited` after too many others.
    pub fn check(&self, token: Option<&[u8]>, from: Option<IpAddr>) -> Result<(), Problem> {
        if self.known.is_none() {
            let detail = "the admin API is closed: set admin.token in gateway.toml (or DUKOU__ADMIN__TOKEN)";
            return Err(Problem::new(ErrorCode::Forbidden, detail));
        }
        // Who sends none does not guess.
        let judged = token.map_or(Some(false), |token| self.wrong.judge(from, || self.is(token)));
        match judged {
            Some(true) => Ok(()),
            Some(false) => {
                let detail = "send Authorization: Bearer with the token of admin.token in gateway.toml";
                Err(Problem::new(ErrorCode::Unauthorized, detail))
            }
            None => {
                let detail = "too many wrong tokens came from this address; none is looked at for a minute";
                Err(Problem { retry_after: Some(60), ..Problem::new(ErrorCode::RateLimited, detail) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(known: Option<&str>) -> AdminToken {
        AdminToken::new(known.map(Secret::new), TrustedProxies::default())
    }

    fn code(token: &AdminToken, sent: Option<&[u8]>) -> Option<ErrorCode> {
        token.check(sent, None).err().map(|problem| problem.code)
    }

    #[test]
    fn the_token_opens_and_nothing_else() {
        let here = token(Some("let-me-in"));
        assert_eq!(code(&here, Some(b"let-me-in")), None);
        for sent in [&b""[..], b"let-me-i", b"let-me-in ", b"Let-me-in", b"\xff"] {
            assert_eq!(code(&here, Some(sent)), Some(ErrorCode::Unauthorized));
        }
        assert_eq!(code(&here, None), Some(ErrorCode::Unauthorized));
        // Without a token nobody is an operator, whatever is sent.
        for known in [None, Some("")] {
            assert_eq!(code(&token(known), Some(b"")), Some(ErrorCode::Forbidden));
        }
    }

    #[test]
    fn who_guesses_is_not_listened_to_any_more_and_who_sends_no_token_does_not_guess() {
        let here = token(Some("let-me-in"));
        for _ in 0..2 * WRONG_A_MINUTE {
            assert_eq!(code(&here, None), Some(ErrorCode::Unauthorized));
        }
        for _ in 0..WRONG_A_MINUTE {
            assert_eq!(code(&here, Some(b"wrong")), Some(ErrorCode::Unauthorized));
        }
        // Copies of it, as each thread has one, count together.
        let refused = here.clone().check(Some(b"let-me-in"), None).unwrap_err();
        assert_eq!((refused.code, refused.retry_after), (ErrorCode::RateLimited, Some(60)));
        assert!(here.check(Some(b"let-me-in"), "192.0.2.1".parse().ok()).is_ok(), "nobody else is locked out");
    }
}

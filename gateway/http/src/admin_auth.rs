//! Who may use the admin API: whoever has the token of `admin.token`.

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use dukou_domain::Secret;
use futures_util::future::{Ready, ready};

use crate::auth::bearer;
use crate::errors::ErrorCode;
use crate::problem::Problem;

/// The token of the admin API, where one is configured.
#[derive(Clone)]
pub struct AdminToken(pub Option<Secret>);

/// An operator with the token.
pub struct Operator;

impl FromRequest for Operator {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let authorization = request.headers().get(AUTHORIZATION).map(|value| value.as_bytes());
        let token = authorization.and_then(bearer).unwrap_or_default();
        ready(match request.app_data::<Data<AdminToken>>() {
            Some(known) => known.check(token).map(|()| Operator),
            None => Err(Problem::internal()),
        })
    }
}

impl AdminToken {
    /// Lets in who has the token; the comparison takes as long whatever was sent.
    ///
    /// # Errors
    /// `forbidden` where no token is configured, which opens nothing; `unauthorized` for another one.
    pub fn check(&self, token: &[u8]) -> Result<(), Problem> {
        let Some(known) = self.0.as_ref().filter(|known| !known.is_empty()) else {
            let detail = "the admin API is closed: set admin.token in gateway.toml (or DUKOU__ADMIN__TOKEN)";
            return Err(Problem::new(ErrorCode::Forbidden, detail));
        };
        if known.matches(token) {
            Ok(())
        } else {
            let detail = "send Authorization: Bearer with the token of admin.token in gateway.toml";
            Err(Problem::new(ErrorCode::Unauthorized, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_opens_and_nothing_else() {
        let code = |token: Option<&str>, sent: &[u8]| {
            AdminToken(token.map(Secret::new)).check(sent).err().map(|problem| problem.code)
        };
        assert_eq!(code(Some("let-me-in"), b"let-me-in"), None);
        for sent in [&b""[..], b"let-me-i", b"let-me-in ", b"Let-me-in", b"\xff"] {
            assert_eq!(code(Some("let-me-in"), sent), Some(ErrorCode::Unauthorized));
        }
        // Without a token nobody is an operator, whatever is sent.
        for token in [None, Some("")] {
            assert_eq!(code(token, b""), Some(ErrorCode::Forbidden));
        }
    }
}

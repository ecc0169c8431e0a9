use dukou_domain::{ProviderName, Secret, Timestamp};
use dukou_engine::{Session, SessionClaims};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::payment_request::MAX_CODE;
use super::rfc3339;
use crate::fields::Fields;
use crate::problem::FieldError;

/// A user's login.
//
// Only documents the body; `read_login` reads it, field by field.
#[derive(ToSchema)]
#[schema(as = CreateSession)]
#[allow(dead_code, reason = "a schema: nothing makes a value of it")]
pub struct CreateSessionBody {
    /// The tenant's own name for one of its providers.
    #[schema(example = "wechat")]
    provider: String,
    /// The login code of the front end (`wx.login`). It works once; sent again within five minutes to
    /// the same instance it gives the same session.
    #[schema(max_length = 256)]
    code: String,
}

/// Reads the body of a login: the provider and the code.
///
/// # Errors
/// Every field that is wrong.
pub fn read_login(body: Value) -> Result<(ProviderName, Secret), Vec<FieldError>> {
    let mut fields = Fields::new(body).map_err(|problem| vec![problem])?;
    let provider = fields.id("provider", ProviderName::new);
    let provider = fields.require("provider", provider);
    let code = fields.token("code", MAX_CODE).map(Secret::new);
    let code = fields.require("code", code);
    let problems = fields.finish();
    match (provider, code) {
        (Some(provider), Some(code)) if problems.is_empty() => Ok((provider, code)),
        _ => Err(problems),
    }
}

/// A user who logged in.
#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub struct SessionBody {
    /// The user under the provider's app.
    pub openid: String,
    /// The user under all apps of one owner, where the provider tells it.
    #[schema(required = true)]
    pub unionid: Option<String>,
    /// To be sent as `Authorization: Bearer …`.
    pub session_token: String,
    /// Until when the token is accepted.
    #[schema(format = DateTime)]
    pub expires_at: String,
}

impl From<&Session> for SessionBody {
    fn from(session: &Session) -> Self {
        SessionBody {
            openid: session.openid.clone(),
            unionid: session.unionid.clone(),
            session_token: session.token.expose().to_owned(),
            expires_at: rfc3339(session.expires_at),
        }
    }
}

/// What is kept of a session under an idempotency key: enough to make its token again, and no token.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeptSession {
    openid: String,
    unionid: Option<String>,
    /// In milliseconds since 1970: the token holds no less.
    expires_at: i64,
}

impl KeptSession {
    /// Who it was, and the user's name under all apps of one owner.
    pub fn claims(self, provider: ProviderName) -> (SessionClaims, Option<String>) {
        let expires_at = Timestamp::from_millis(self.expires_at);
        (SessionClaims { provider, openid: self.openid, expires_at }, self.unionid)
    }
}

impl From<Session> for KeptSession {
    fn from(session: Session) -> Self {
        let expires_at = session.expires_at.as_millis();
        KeptSession { openid: session.openid, unionid: session.unionid, expires_at }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_a_login_or_names_what_is_wrong() {
        let (provider, code) = read_login(json!({ "provider": "wechat", "code": "0a1" })).unwrap();
        assert_eq!((provider.as_str(), code.expose()), ("wechat", "0a1"));
        for (body, named) in [
            (json!({ "code": "0a" }), "provider"),
            (json!({ "provider": 1, "code": "0a" }), "provider"),
            (json!({ "provider": "wechat" }), "code"),
            (json!({ "provider": "wechat", "code": "" }), "code"),
            (json!({ "provider": "wechat", "code": "c".repeat(257) }), "code"),
            (json!({ "provider": "wechat", "code": "0a", "openid": "o" }), "openid"),
            (json!("x"), "body"),
        ] {
            let shown = body.to_string();
            let problems = read_login(body).unwrap_err();
            assert_eq!(problems.iter().map(|problem| problem.field.as_str()).collect::<Vec<_>>(), [named], "{shown}");
        }
    }
}

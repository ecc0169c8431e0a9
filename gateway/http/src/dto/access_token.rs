use dukou_domain::{ProviderName, Secret};
use dukou_engine::LentToken;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::rfc3339;
use crate::fields::Fields;
use crate::problem::FieldError;

/// WeChat's limit.
const MAX_TOKEN: usize = 512;

/// A wish for an app's access token.
//
// Only documents the body; `read_token_request` reads it, field by field.
#[derive(ToSchema)]
#[schema(as = CreateAccessToken)]
#[allow(dead_code, reason = "a schema: nothing makes a value of it")]
pub struct CreateAccessTokenBody {
    /// The tenant's own name for one of its providers.
    #[schema(example = "wechat")]
    provider: String,
    /// A token that the platform did not accept (errcode 40001, 40014 or 42001). Where the app has another one
    /// by now, that is the answer; otherwise the gateway looks into it, at most once a minute.
    #[schema(required = false, max_length = 512)]
    stale: Option<String>,
}

/// Reads the body of a wish for a token: the provider, and the token that was not accepted.
///
/// # Errors
/// Every field that is wrong.
pub fn read_token_request(body: Value) -> Result<(ProviderName, Option<Secret>), Vec<FieldError>> {
    let mut fields = Fields::new(body).map_err(|problem| vec![problem])?;
    let provider = fields.id("provider", ProviderName::new);
    let provider = fields.require("provider", provider);
    let stale = fields.token("stale", MAX_TOKEN).map(Secret::new);
    let problems = fields.finish();
    match provider {
        Some(provider) if problems.is_empty() => Ok((provider, stale)),
        _ => Err(problems),
    }
}

/// An app's access token, the same for all who share the app.
#[derive(Serialize, ToSchema)]
#[schema(as = AccessToken)]
pub struct AccessTokenBody {
    /// The tenant's own name for the provider.
    pub provider: String,
    /// The app at its platform.
    pub app_id: String,
    /// For the query parameter `access_token` of the platform's calls.
    pub access_token: String,
    /// Ask again before it; the gateway renews it ten minutes earlier.
    #[schema(format = DateTime)]
    pub expires_at: String,
}

impl AccessTokenBody {
    pub fn new(provider: &ProviderName, lent: &LentToken) -> Self {
        AccessTokenBody {
            provider: provider.to_string(),
            app_id: lent.app_id.clone(),
            access_token: lent.token.value.expose().to_owned(),
            expires_at: rfc3339(lent.token.expires_at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_a_wish_or_names_what_is_wrong() {
        let (provider, stale) = read_token_request(json!({ "provider": "wechat", "stale": "7_x-Y" })).unwrap();
        assert_eq!((provider.as_str(), stale.as_ref().map(Secret::expose)), ("wechat", Some("7_x-Y")));
        assert!(read_token_request(json!({ "provider": "wechat" })).unwrap().1.is_none());
        for (body, named) in [
            (json!({}), "provider"),
            (json!({ "provider": "../x" }), "provider"),
            (json!({ "provider": "wechat", "stale": "" }), "stale"),
            (json!({ "provider": "wechat", "stale": 1 }), "stale"),
            (json!({ "provider": "wechat", "stale": "x".repeat(513) }), "stale"),
            (json!({ "provider": "wechat", "force": true }), "force"),
            (json!([]), "body"),
        ] {
            let shown = body.to_string();
            let problems = read_token_request(body).unwrap_err();
            assert_eq!(problems.iter().map(|problem| problem.field.as_str()).collect::<Vec<_>>(), [named], "{shown}");
        }
    }
}

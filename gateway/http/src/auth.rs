//! Who calls: an API key of the tenant that the address names.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use dukou_domain::Secret;
use dukou_engine::tenant::{ApiKey, Tenant, Tenants};

use crate::errors::ErrorCode;
use crate::gateway::Gateway;
use crate::problem::Problem;

/// A caller whose key belongs to the tenant of the address.
pub struct Authenticated {
    pub tenant: Arc<Tenant>,
}

/// Left with a request for its log line.
#[derive(Clone)]
pub struct Caller {
    pub tenant: String,
    /// The key's name in the configuration.
    pub key: String,
}

impl FromRequest for Authenticated {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let Some(gateway) = request.app_data::<Data<Gateway>>() else {
            return ready(Err(Problem::internal()));
        };
        let tenant = request.match_info().get("tenant").unwrap_or_default();
        let authorization = request.headers().get(AUTHORIZATION).map(|value| value.as_bytes());
        ready(authenticate(gateway.engine.tenants(), tenant, authorization).map(|(tenant, key)| {
            request.extensions_mut().insert(Caller { tenant: tenant.id.to_string(), key });
            Authenticated { tenant }
        }))
    }
}

/// Finds the tenant and the name of the key. A tenant that does not exist and one whose key is
/// another answer alike and after the same comparisons.
fn authenticate(
    tenants: &dyn Tenants,
    tenant: &str,
    authorization: Option<&[u8]>,
) -> Result<(Arc<Tenant>, String), Problem> {
    let token = authorization.and_then(bearer).unwrap_or_default();
    let found = tenants.find(tenant);
    let nobody =
        [ApiKey { id: String::new(), secret: Secret::new("no tenant has this key, and nobody is let in by it") }];
    let keys = found.as_ref().map_or(&nobody[..], |tenant| &tenant.api_keys);
    let mut matching = None;
    for key in keys {
        if key.secret.matches(token) && !key.secret.is_empty() {
            matching = Some(key.id.clone());
        }
    }
    match (found, matching) {
        (Some(tenant), Some(key)) => Ok((tenant, key)),
        _ => Err(Problem::new(
            ErrorCode::Unauthorized,
            "send Authorization: Bearer with an API key of the tenant in the address",
        )),
    }
}

/// The token of `Bearer <token>`; the scheme's case does not matter (RFC 9110, section 11.1).
fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing_engine::bookshop;

    #[test]
    fn any_key_of_the_tenant_opens_and_nothing_else() {
        let shop = bookshop(&[("backend", "sk-one"), ("backup", "sk-two"), ("unset", "")]);
        type Case = (&'static str, Option<&'static [u8]>, Option<&'static str>);
        let cases: [Case; 12] = [
            ("bookshop", Some(b"Bearer sk-one"), Some("backend")),
            ("bookshop", Some(b"bearer sk-two"), Some("backup")),
            ("bookshop", Some(b"Bearer sk-three"), None),
            ("bookshop", Some(b"Bearer "), None),
            ("bookshop", Some(b"Bearer"), None),
            ("bookshop", Some(b"Basic sk-one"), None),
            ("bookshop", Some(b"sk-one"), None),
            ("bookshop", Some(b"Bearer sk-on\xff"), None),
            ("bookshop", None, None),
            ("Bookshop", Some(b"Bearer sk-one"), None),
            ("bookshop%2f", Some(b"Bearer sk-one"), None),
            ("nobody", Some(b"Bearer no tenant has this key, and nobody is let in by it"), None),
        ];
        for (tenant, authorization, key) in cases {
            let found = authenticate(shop.as_ref(), tenant, authorization).ok().map(|(_, key)| key);
            assert_eq!(found.as_deref(), key, "{tenant} {authorization:?}");
        }
    }

    #[test]
    fn an_unknown_tenant_and_a_wrong_key_answer_alike() {
        let shop = bookshop(&[("backend", "sk-one")]);
        let wrong_key = authenticate(shop.as_ref(), "bookshop", Some(b"Bearer x")).err();
        let no_tenant = authenticate(shop.as_ref(), "nobody", Some(b"Bearer x")).err();
        assert!(wrong_key.is_some() && wrong_key == no_tenant);
    }
}

//! Who calls: a backend with an API key of the tenant that the address names, or a user of its
//! mini-program with a session token.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use dukou_domain::Secret;
use dukou_engine::tenant::{ApiKey, Tenant, Tenants};
use dukou_engine::{SESSION_PREFIX, SessionClaims};
use futures_util::future::LocalBoxFuture;

use crate::errors::ErrorCode;
use crate::gateway::Gateway;
use crate::problem::Problem;

/// A backend whose key belongs to the tenant of the address.
pub struct Authenticated {
    pub tenant: Arc<Tenant>,
    /// The key's name in the configuration.
    pub key: String,
}

/// A user of the tenant's mini-program.
pub struct Buyer {
    pub tenant: Arc<Tenant>,
    pub session: SessionClaims,
}

/// One or the other.
pub struct BackendOrBuyer {
    pub tenant: Arc<Tenant>,
    pub principal: Principal,
}

pub enum Principal {
    Backend { key: String },
    Buyer(SessionClaims),
}

/// Left with a request for its log line.
#[derive(Clone)]
pub struct Caller {
    pub tenant: String,
    /// The key's name in the configuration; `session` for a session token.
    pub key: String,
}

impl FromRequest for Authenticated {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let caller = identify(&request).await?;
            match caller.principal {
                Principal::Backend { key } => Ok(Authenticated { tenant: caller.tenant, key }),
                Principal::Buyer(_) => Err(forbidden("this is for the merchant's backend: send an API key")),
            }
        })
    }
}

impl FromRequest for Buyer {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let caller = identify(&request).await?;
            match caller.principal {
                Principal::Buyer(session) => Ok(Buyer { tenant: caller.tenant, session }),
                Principal::Backend { .. } => Err(forbidden("this is for the buyer: send a session token")),
            }
        })
    }
}

impl FromRequest for BackendOrBuyer {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { identify(&request).await })
    }
}

/// The tenant of the address, where there is one, for a call that needs neither key nor session.
pub struct Addressed(pub Arc<Tenant>);

impl FromRequest for Addressed {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let gateway = gateway(&request)?;
            let (limit, shared) = (&gateway.limits.sessions, &**gateway.engine.coordinator());
            let client = gateway.config.trusted_proxies.client(&request);
            limit.client(shared, client).await?;
            let tenant = request.match_info().get("tenant").unwrap_or_default();
            let tenant = gateway.engine.tenants().find(tenant).ok_or_else(unauthorized)?;
            limit.tenant(shared, &tenant.id, client).await?;
            Ok(Addressed(tenant))
        })
    }
}

fn gateway(request: &HttpRequest) -> Result<&Data<Gateway>, Problem> {
    request.app_data::<Data<Gateway>>().ok_or_else(Problem::internal)
}

async fn identify(request: &HttpRequest) -> Result<BackendOrBuyer, Problem> {
    let gateway = gateway(request)?;
    let named = request.match_info().get("tenant").unwrap_or_default();
    let authorization = request.headers().get(AUTHORIZATION).map(|value| value.as_bytes());
    let token = authorization.and_then(bearer).unwrap_or_default();
    let found = if token.starts_with(SESSION_PREFIX.as_bytes()) {
        // Before anything is computed for it.
        let client = gateway.config.trusted_proxies.client(request);
        gateway.limits.calls.client(&**gateway.engine.coordinator(), client).await?;
        let of_session = authenticate_session(gateway, named, token, client);
        either(authenticate(gateway.engine.tenants(), named, token), of_session).await?
    } else {
        authenticate(gateway.engine.tenants(), named, token)?
    };
    let key = match &found.principal {
        Principal::Backend { key } => key.clone(),
        Principal::Buyer(_) => "session".to_owned(),
    };
    request.extensions_mut().insert(Caller { tenant: found.tenant.id.to_string(), key });
    Ok(found)
}

/// A key may look like a session token.
async fn either(
    of_key: Result<BackendOrBuyer, Problem>,
    of_session: impl Future<Output = Result<BackendOrBuyer, Problem>>,
) -> Result<BackendOrBuyer, Problem> {
    match of_key {
        Ok(found) => Ok(found),
        Err(_) => of_session.await,
    }
}

/// Finds the tenant and the name of the key. A tenant that does not exist and one whose key is
/// another answer alike and after the same comparisons.
fn authenticate(tenants: &dyn Tenants, named: &str, token: &[u8]) -> Result<BackendOrBuyer, Problem> {
    let found = tenants.find(named);
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
        (Some(tenant), Some(key)) => Ok(BackendOrBuyer { tenant, principal: Principal::Backend { key } }),
        _ => Err(unauthorized()),
    }
}

async fn authenticate_session(
    gateway: &Gateway,
    named: &str,
    token: &[u8],
    client: Option<IpAddr>,
) -> Result<BackendOrBuyer, Problem> {
    let tenant = gateway.engine.tenants().find(named).ok_or_else(unauthorized)?;
    let session = gateway.engine.read_session(&tenant, token).await?.ok_or_else(unauthorized)?;
    // Only those who are let in count for the tenant: others must not use up its measure.
    gateway.limits.calls.tenant(&**gateway.engine.coordinator(), &tenant.id, client).await?;
    Ok(BackendOrBuyer { tenant, principal: Principal::Buyer(session) })
}

fn unauthorized() -> Problem {
    let detail = "send Authorization: Bearer with an API key of the tenant in the address, or with a session token of \
                  it that has not ended";
    Problem::new(ErrorCode::Unauthorized, detail)
}

fn forbidden(detail: &str) -> Problem {
    Problem::new(ErrorCode::Forbidden, detail)
}

/// The token of `Bearer <token>`; the scheme's case does not matter (RFC 9110, section 11.1).
pub(crate) fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing_engine::bookshop;

    fn key_of(tenants: &dyn Tenants, tenant: &str, authorization: Option<&[u8]>) -> Option<String> {
        match authenticate(tenants, tenant, authorization.and_then(bearer).unwrap_or_default()).ok()?.principal {
            Principal::Backend { key } => Some(key),
            Principal::Buyer(_) => None,
        }
    }

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
            assert_eq!(key_of(shop.as_ref(), tenant, authorization).as_deref(), key, "{tenant} {authorization:?}");
        }
    }

    #[test]
    fn an_unknown_tenant_and_a_wrong_key_answer_alike() {
        let shop = bookshop(&[("backend", "sk-one")]);
        let wrong_key = authenticate(shop.as_ref(), "bookshop", b"x").err();
        let no_tenant = authenticate(shop.as_ref(), "nobody", b"x").err();
        assert!(wrong_key.is_some() && wrong_key == no_tenant);
    }
}

//! The calls of OAuth (protocol 2): code, refresh, renewal, profile, revocation.

use serde_json::{Value, json};

use super::token::{E1, app, app_with_secret};
use super::{Failure, Outcome, Request, fields, wanted};
use crate::clock::Millis;
use crate::douyin::oauth::{Grant, MAX_RENEWALS};
use crate::douyin::{people, tell};
use crate::lock;
use crate::world::World;

fn token_fields(grant: &Grant, now: Millis, log_id: String) -> serde_json::Map<String, Value> {
    fields([
        ("access_token", grant.access_token.clone().into()),
        ("expires_in", ((grant.access_expires_at - now) / 1000).into()),
        ("refresh_token", grant.refresh_token.clone().into()),
        ("refresh_expires_in", ((grant.refresh_expires_at - now) / 1000).into()),
        ("open_id", grant.open_id.clone().into()),
        ("scope", grant.scopes.join(",").into()),
        ("log_id", log_id.into()),
    ])
}

/// `POST /oauth/access_token/`: a code becomes tokens, once.
pub fn access_token(world: &World, request: &Request) -> Outcome {
    let given = request.form();
    let code = wanted(&given, "code")?;
    let app = app_with_secret(world, &given, "authorization_code")?;
    let now = world.clock.now();
    let grant = lock(&world.douyin.grants).redeem(&app.client_key, code, now);
    let grant = grant.ok_or_else(|| Failure::new(10007, "授权码过期或已使用"))?;
    Ok(token_fields(&grant, now, super::log_id(now)))
}

/// `POST /oauth/refresh_token/`, without the secret.
pub fn refresh_token(world: &World, request: &Request) -> Outcome {
    let given = request.form();
    let (client_key, text) = (wanted(&given, "client_key")?, wanted(&given, "refresh_token")?);
    if wanted(&given, "grant_type")? != "refresh_token" {
        return Err(Failure::parameter("grant_type"));
    }
    app(world, client_key)?;
    let now = world.clock.now();
    let mut grants = lock(&world.douyin.grants);
    let grant = grants.by_refresh_token(client_key, text).filter(|grant| now < grant.refresh_expires_at);
    let grant = grant.ok_or_else(refresh_expired)?;
    grant.refresh(now);
    Ok(token_fields(grant, now, super::log_id(now)))
}

fn refresh_expired() -> Failure {
    Failure::new(10010, "refresh_token过期,用户需要重新授权")
}

/// `POST /oauth/renew_refresh_token/`: a new refresh token, five times.
pub fn renew_refresh_token(world: &World, request: &Request) -> Outcome {
    let given = request.form();
    let (client_key, text) = (wanted(&given, "client_key")?, wanted(&given, "refresh_token")?);
    if !app(world, client_key)?.may("renew_refresh_token") {
        return Err(Failure::new(10004, "应用未获得该能力: renew_refresh_token"));
    }
    let now = world.clock.now();
    let mut grants = lock(&world.douyin.grants);
    let grant = grants.by_refresh_token(client_key, text).filter(|grant| now < grant.refresh_expires_at);
    let grant = grant.ok_or_else(refresh_expired)?;
    if grant.renewals >= MAX_RENEWALS {
        return Err(Failure::new(28_003_017, "quota已用完"));
    }
    grant.renew(now);
    let seconds = (grant.refresh_expires_at - now) / 1000;
    Ok(fields([("refresh_token", grant.refresh_token.clone().into()), ("expires_in", seconds.into())]))
}

/// What the person allowed, by the token a call carries and the open_id it names.
fn granted(world: &World, request: &Request, open_id: &str) -> Result<Grant, Failure> {
    let given = request.access_token.as_deref().unwrap_or_default();
    let grants = lock(&world.douyin.grants);
    let grant = grants.by_access_token(given).filter(|grant| !grant.ended).ok_or_else(|| E1.invalid())?;
    if grant.access_expires_at <= world.clock.now() {
        return Err(E1.expired());
    }
    if grant.open_id != open_id {
        return Err(Failure::new(2_100_005, "参数不合法: open_id"));
    }
    Ok(grant.clone())
}

/// `POST /oauth/userinfo/`.
pub fn user_info(world: &World, request: &Request) -> Outcome {
    let given = request.form();
    let grant = granted(world, request, wanted(&given, "open_id")?)?;
    if !grant.scopes.iter().any(|scope| scope == "user_info") {
        return Err(E1.no_permission("user_info"));
    }
    Ok(fields([
        ("open_id", grant.open_id.into()),
        ("union_id", people::union_id(&grant.user).into()),
        ("nickname", people::nickname(&grant.user).into()),
        ("avatar", "https://p3.example.com/avatar.png".into()),
        ("city", "杭州".into()),
        ("province", "浙江".into()),
        ("country", "中国".into()),
        ("e_account_role", "".into()),
        ("client_key", grant.client_key.into()),
    ]))
}

/// `POST /oauth/revoke/`: the tokens die at once.
pub fn revoke(world: &World, request: &Request) -> Outcome {
    let given = request.json();
    let grant = granted(world, request, wanted(&given, "open_id")?)?;
    withdraw(world, &grant.client_key, &grant.open_id);
    Ok(fields([]))
}

/// Ends what a person allowed an app and tells the app; false if nothing was in force.
pub fn withdraw(world: &World, client_key: &str, open_id: &str) -> bool {
    let scopes = lock(&world.douyin.grants).withdraw(client_key, open_id);
    let Some(scopes) = scopes else { return false };
    tell(world, client_key, "unauthorize", Some(open_id), json!({ "scopes": scopes }));
    true
}

//! client_token (protocol 1.2), and what every call with an `access-token` begins with.

use std::sync::Arc;

use secrecy::ExposeSecret;
use serde_json::{Map, Value};

use super::{Failure, Outcome, Request, fields, wanted};
use crate::douyin::apps::DouyinApp;
use crate::douyin::sign;
use crate::douyin::tokens::{LIFETIME_SECONDS, Standing};
use crate::lock;
use crate::world::World;

/// `POST /oauth/client_token/`.
pub fn client_token(world: &World, request: &Request) -> Outcome {
    let given = request.json();
    let app = app_with_secret(world, &given, "client_credential")?;
    let now = world.clock.now();
    let mut tokens = lock(&world.douyin.tokens);
    if !tokens.count_call(&app.client_key, world.douyin.policy().client_token_limit, now) {
        return Err(Failure::new(10020, "请求过于频繁"));
    }
    let token = tokens.new_client_token(&app.client_key, now);
    Ok(fields([("access_token", token.into()), ("expires_in", LIFETIME_SECONDS.into())]))
}

/// The app that a body names with its secret, asking for this grant_type.
pub fn app_with_secret(world: &World, given: &Map<String, Value>, grant_type: &str) -> Result<Arc<DouyinApp>, Failure> {
    let client_key = wanted(given, "client_key")?;
    let client_secret = wanted(given, "client_secret")?;
    if wanted(given, "grant_type")? != grant_type {
        return Err(Failure::parameter("grant_type"));
    }
    let app = app(world, client_key)?;
    if !sign::equal(app.client_secret.expose_secret(), client_secret) {
        return Err(Failure::new(10013, "client_key或client_secret错误"));
    }
    Ok(app)
}

pub fn app(world: &World, client_key: &str) -> Result<Arc<DouyinApp>, Failure> {
    world.douyin.apps.get(client_key).ok_or_else(|| Failure::new(10003, "client_key错误"))
}

/// The app or the user's app a token belongs to, good or not.
pub fn owner(world: &World, token: &str) -> Option<String> {
    let now = world.clock.now();
    let tokens = lock(&world.douyin.tokens);
    if let (_, Some(client_key)) = tokens.client_token(token, now) {
        return Some(client_key.to_owned());
    }
    drop(tokens);
    lock(&world.douyin.grants).by_access_token(token).map(|grant| grant.client_key.clone())
}

/// The codes one family of calls has for a token that is wrong.
pub struct TokenCodes {
    pub invalid: i64,
    pub expired: i64,
    pub no_permission: i64,
}

/// Of the calls in envelope E1.
pub const E1: TokenCodes = TokenCodes { invalid: 2_190_002, expired: 2_190_008, no_permission: 2_190_004 };
/// Of the calls in envelope E3.
pub const E3: TokenCodes = TokenCodes { invalid: 28_001_003, expired: 28_001_008, no_permission: 28_001_014 };

impl TokenCodes {
    pub fn invalid(&self) -> Failure {
        Failure::new(self.invalid, "access_token无效")
    }

    pub fn expired(&self) -> Failure {
        Failure::new(self.expired, "access_token过期,请刷新或重新授权")
    }

    pub fn no_permission(&self, scope: &str) -> Failure {
        Failure::new(self.no_permission, format!("应用未获得该能力: {scope}"))
    }
}

/// The app whose good client_token the call carries, if it has these scopes.
pub fn authorized(
    world: &World,
    request: &Request,
    codes: &TokenCodes,
    scopes: &[&str],
) -> Result<Arc<DouyinApp>, Failure> {
    let given = request.access_token.as_deref().unwrap_or_default();
    let tokens = lock(&world.douyin.tokens);
    let client_key = match tokens.client_token(given, world.clock.now()) {
        (Standing::Valid, Some(client_key)) => client_key.to_owned(),
        (Standing::Expired, _) => return Err(codes.expired()),
        _ => return Err(codes.invalid()),
    };
    drop(tokens);
    let app = world.douyin.apps.get(&client_key).ok_or_else(|| codes.invalid())?;
    match scopes.iter().find(|scope| !app.may(scope)) {
        Some(missing) => Err(codes.no_permission(missing)),
        None => Ok(app),
    }
}

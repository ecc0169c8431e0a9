//! People who allow apps things, and take it back.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control::{Answer, Refusal, read};
use crate::douyin::api::{self, Failure};
use crate::douyin::apps::DouyinApp;
use crate::douyin::people::{SOMEBODY, open_id};
use crate::douyin::tell;
use crate::lock;
use crate::world::World;

/// Grants of one list.
const SHOWN: usize = 200;
/// Hosts whose redirects may be plain http here.
const LOOPBACK: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// What the authorize page is asked for (protocol 2).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Consent {
    pub client_key: String,
    pub response_type: String,
    /// Comma-separated.
    pub scope: String,
    pub redirect_uri: String,
    pub state: String,
    /// Who allows it.
    pub user: String,
}

/// A consent that may be asked for.
pub struct Allowed {
    pub app: Arc<DouyinApp>,
    pub scopes: Vec<String>,
    pub redirect: url::Url,
}

impl Consent {
    /// The app, the scopes and the redirect, if the page may be shown at all.
    ///
    /// # Errors
    /// The platform's code and what is wrong.
    pub fn check(&self, world: &World) -> Result<Allowed, Failure> {
        let app = api::app(world, &self.client_key)?;
        if self.response_type != "code" {
            return Err(Failure::parameter("response_type 必须为 code"));
        }
        let redirect =
            url::Url::parse(&self.redirect_uri).map_err(|_| Failure::parameter("redirect_uri 不是合法的 URL"))?;
        let host = redirect.host_str().unwrap_or_default();
        if redirect.scheme() != "https" && !(redirect.scheme() == "http" && LOOPBACK.contains(&host)) {
            return Err(Failure::parameter("redirect_uri 必须为 https"));
        }
        if app.redirect_host.as_ref().is_some_and(|registered| registered != host) {
            return Err(Failure::parameter("redirect_uri 与应用登记的域名不一致"));
        }
        let scopes: Vec<String> = self.scope.split(',').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
        if scopes.is_empty() {
            return Err(Failure::parameter("scope"));
        }
        match scopes.iter().find(|scope| !app.may(scope)) {
            Some(missing) => Err(Failure::new(10004, format!("应用未获得该能力: {missing}"))),
            None => Ok(Allowed { app, scopes, redirect }),
        }
    }
}

/// The person says yes: the address the browser goes to, with code, state and scopes. The app hears `authorize`.
pub fn authorize(world: &World, consent: &Consent) -> Result<(String, String), Failure> {
    let Allowed { app, scopes, mut redirect } = consent.check(world)?;
    let user = if consent.user.is_empty() { SOMEBODY } else { &consent.user };
    let code = lock(&world.douyin.grants).new_code(&app.client_key, user, scopes.clone(), world.clock.now());
    redirect
        .query_pairs_mut()
        .append_pair("code", &code)
        .append_pair("state", &consent.state)
        .append_pair("scopes", &scopes.join(","));
    let open_id = open_id(&app.client_key, user);
    tell(world, &app.client_key, "authorize", Some(&open_id), json!({ "scopes": scopes }));
    Ok((redirect.into(), code))
}

/// The authorize page without a browser.
pub async fn authorize_call(world: web::Data<World>, body: web::Bytes) -> Answer {
    let mut consent: Consent = read(&body)?;
    if consent.response_type.is_empty() {
        "code".clone_into(&mut consent.response_type);
    }
    let (redirect, code) = authorize(&world, &consent).map_err(|failure| Refusal::bad(failure.to_string()))?;
    Ok(HttpResponse::Ok().json(json!({ "redirect": redirect, "code": code })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Withdraw {
    client_key: String,
    open_id: Option<String>,
    user: Option<String>,
}

/// The person withdraws (抖音-我-设置-账号与安全-授权管理): tokens die, the app hears `unauthorize`.
pub async fn withdraw(world: web::Data<World>, body: web::Bytes) -> Answer {
    let how: Withdraw = read(&body)?;
    let named = || open_id(&how.client_key, how.user.as_deref().unwrap_or(SOMEBODY));
    let open_id = how.open_id.clone().unwrap_or_else(named);
    if !api::withdraw(&world, &how.client_key, &open_id) {
        return Err(Refusal::unknown("nothing of that person is in force"));
    }
    Ok(HttpResponse::Ok().json(json!({ "client_key": how.client_key, "open_id": open_id })))
}

pub async fn grants(world: web::Data<World>) -> Answer {
    let grants = lock(&world.douyin.grants);
    let grants: Vec<Value> = grants.all().take(SHOWN).map(|grant| json!(grant)).collect();
    Ok(HttpResponse::Ok().json(json!({ "grants": grants })))
}

//! The calls for an app's access token, and one that carries it and changes nothing.

use std::net::IpAddr;

use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::answer::Reply;
use super::api::{self, Call, error};
use crate::access_tokens::{Given, Refusal};
use crate::ledger::given;
use crate::sign::Fields;
use crate::world::World;

const STABLE_TOKEN: &str = "stable_token";
const TOKEN: &str = "token";
const GET_API_DOMAIN_IP: &str = "get_api_domain_ip";
pub const OPERATIONS: [&str; 3] = [STABLE_TOKEN, TOKEN, GET_API_DOMAIN_IP];

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/cgi-bin/stable_token", web::route().to(stable_token))
        .route("/cgi-bin/token", web::get().to(token))
        .route("/cgi-bin/get_api_domain_ip", web::get().to(get_api_domain_ip));
}

async fn stable_token(world: web::Data<World>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let (caller, post) = (caller(&request), request.method() == "POST");
    let parsed: Option<Value> = serde_json::from_slice(&body).ok();
    let mut shown = parsed.clone().unwrap_or_default();
    if let Some(secret) = shown.get_mut("secret") {
        *secret = json!("***");
    }
    let call = Call {
        operation: STABLE_TOKEN,
        method: if post { "POST" } else { "GET" },
        url: "/cgi-bin/stable_token".to_owned(),
        request: shown.to_string(),
        answer: move |world: &World| {
            if !post {
                return error(43002, "require POST method");
            }
            if body.is_empty() {
                return error(44002, "empty post data");
            }
            let Some(Value::Object(members)) = &parsed else {
                return error(47001, "data format error");
            };
            let mut fields = Fields::new();
            for name in ["grant_type", "appid", "secret"] {
                match members.get(name) {
                    Some(Value::String(text)) => {
                        fields.insert(name.to_owned(), text.clone());
                    }
                    None => {}
                    Some(_) => return error(47001, "data format error"),
                }
            }
            let force = match members.get("force_refresh") {
                None => false,
                Some(Value::Bool(force)) => *force,
                Some(_) => return error(47001, "data format error"),
            };
            let app_id = match app_of(world, &fields, caller) {
                Ok(app_id) => app_id,
                Err(refusal) => return refusal,
            };
            answer(world.access_tokens.stable(app_id, force, world.clock.now()))
        },
    };
    api::run(world.into_inner(), call).await
}

async fn token(world: web::Data<World>, request: HttpRequest) -> HttpResponse {
    let (query, caller) = (query(&request), caller(&request));
    let call = Call {
        operation: TOKEN,
        method: "GET",
        url: format!("/cgi-bin/token?{}", shown(&query)),
        request: String::new(),
        answer: move |world: &World| match app_of(world, &query, caller) {
            Ok(app_id) => answer(Ok(world.access_tokens.plain(app_id, world.clock.now()))),
            Err(refusal) => refusal,
        },
    };
    api::run(world.into_inner(), call).await
}

async fn get_api_domain_ip(world: web::Data<World>, request: HttpRequest) -> HttpResponse {
    let query = query(&request);
    let call = Call {
        operation: GET_API_DOMAIN_IP,
        method: "GET",
        url: format!("/cgi-bin/get_api_domain_ip?{}", shown(&query)),
        request: String::new(),
        answer: move |world: &World| {
            let Some(token) = given(&query, "access_token") else { return error(41001, "access_token missing") };
            match world.access_tokens.judge(token, world.clock.now()) {
                Ok(()) => Reply::json(json!({ "ip_list": ["203.0.113.1", "203.0.113.2"] }).to_string()),
                Err((code, text)) => error(code, text),
            }
        },
    };
    api::run(world.into_inner(), call).await
}

/// The app whose secret this is, asked for from an address that may.
fn app_of<'a>(world: &World, fields: &'a Fields, caller: Option<IpAddr>) -> Result<&'a str, Reply> {
    for (name, code) in [("appid", 41002), ("secret", 41004)] {
        if given(fields, name).is_none() {
            return Err(error(code, &format!("{name} missing")));
        }
    }
    if given(fields, "grant_type") != Some("client_credential") {
        return Err(error(40002, "invalid grant_type"));
    }
    let app_id = given(fields, "appid").unwrap_or_default();
    let secret = world.merchants.app_secret(app_id).ok_or_else(|| error(40013, "invalid appid"))?;
    let given_secret = given(fields, "secret").unwrap_or_default();
    if !bool::from(secret.expose_secret().as_bytes().ct_eq(given_secret.as_bytes())) {
        return Err(error(40125, "invalid appsecret"));
    }
    world.access_tokens.admit(app_id, caller).map_err(|words| error(40164, &words))?;
    Ok(app_id)
}

fn answer(given: Result<Given, Refusal>) -> Reply {
    match given {
        Ok(Given { token, expires_in }) => {
            Reply::json(json!({ "access_token": token, "expires_in": expires_in }).to_string())
        }
        Err((code, text)) => error(code, text),
    }
}

fn caller(request: &HttpRequest) -> Option<IpAddr> {
    request.peer_addr().map(|address| address.ip().to_canonical())
}

fn query(request: &HttpRequest) -> Fields {
    url::form_urlencoded::parse(request.query_string().as_bytes()).into_owned().collect()
}

fn shown(query: &Fields) -> String {
    let hidden = |name: &str| matches!(name, "secret" | "access_token");
    let pairs = query.iter().map(|(name, value)| format!("{name}={}", if hidden(name) { "***" } else { value }));
    pairs.collect::<Vec<_>>().join("&")
}

//! jscode2session (小程序登录): a login code becomes an openid.

use actix_web::{HttpRequest, HttpResponse, web};
use base64::prelude::{BASE64_STANDARD, Engine};
use secrecy::ExposeSecret;
use serde_json::json;
use subtle::ConstantTimeEq;

use super::answer::Reply;
use super::api::{self, Call, error};
use crate::clock::Millis;
use crate::ledger::given;
use crate::sign::Fields;
use crate::world::World;

pub const OPERATION: &str = "jscode2session";

const CODE_LIFETIME: Millis = 5 * 60 * 1000;

pub async fn jscode2session(world: web::Data<World>, request: HttpRequest) -> HttpResponse {
    let query: Fields = url::form_urlencoded::parse(request.query_string().as_bytes()).into_owned().collect();
    let shown: Vec<String> =
        query.iter().map(|(name, value)| format!("{name}={}", if name == "secret" { "***" } else { value })).collect();
    let call = Call {
        operation: OPERATION,
        method: "GET",
        url: format!("/sns/jscode2session?{}", shown.join("&")),
        request: String::new(),
        answer: move |world: &World| answer(world, &query),
    };
    api::run(world.into_inner(), call).await
}

fn answer(world: &World, query: &Fields) -> Reply {
    for (name, code) in [("appid", 41002), ("secret", 41004), ("js_code", 41008)] {
        if given(query, name).is_none() {
            return error(code, &format!("{name} missing"));
        }
    }
    if given(query, "grant_type") != Some("authorization_code") {
        return error(40002, "invalid grant_type");
    }
    let app_id = given(query, "appid").unwrap_or_default();
    let Some(secret) = world.merchants.app_secret(app_id) else {
        return error(40013, "invalid appid");
    };
    let given_secret = given(query, "secret").unwrap_or_default();
    if !bool::from(secret.expose_secret().as_bytes().ct_eq(given_secret.as_bytes())) {
        return error(40125, "invalid appsecret");
    }
    let now = world.clock.now();
    let session = world.people.with_code(given(query, "js_code").unwrap_or_default(), |code| {
        let code = code.ok_or((40029, "invalid code"))?;
        if code.app_id != app_id || code.used || now - code.issued_at > CODE_LIFETIME {
            return Err((40029, "invalid code"));
        }
        match code.errcode {
            // "Busy" leaves the code good for one more try.
            Some(-1) => {
                code.errcode = None;
                return Err((-1, "system error"));
            }
            Some(errcode) => return Err((errcode, "refused by the sandbox")),
            None => {}
        }
        code.used = true;
        Ok((code.openid.clone(), code.unionid.clone()))
    });
    match session {
        Err((code, text)) => error(code, text),
        Ok((openid, unionid)) => {
            let session_key: [u8; 16] = rand::random();
            let mut body = json!({ "openid": openid, "session_key": BASE64_STANDARD.encode(session_key) });
            if let Some(unionid) = unionid {
                body["unionid"] = json!(unionid);
            }
            Reply::json(body.to_string())
        }
    }
}

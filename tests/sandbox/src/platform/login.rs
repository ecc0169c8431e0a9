//! jscode2session (小程序登录): a login code becomes an openid.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web};
use base64::prelude::{BASE64_STANDARD, Engine};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::answer::Reply;
use super::{pause, skew};
use crate::clock::Millis;
use crate::faults::{Call, Fault};
use crate::journal::Entry;
use crate::ledger::given;
use crate::sign::Fields;
use crate::world::World;

const OPERATION: &str = "jscode2session";
const CODE_LIFETIME: Millis = 5 * 60 * 1000;

pub async fn jscode2session(world: web::Data<World>, request: HttpRequest) -> HttpResponse {
    let query: Fields = url::form_urlencoded::parse(request.query_string().as_bytes()).into_owned().collect();
    let world = world.into_inner();
    let reply = actix_web::rt::spawn(handle(Arc::clone(&world), query)).await;
    let mut response = reply.unwrap_or(Reply::Close).into_response();
    skew::date(&world, &mut response);
    response
}

async fn handle(world: Arc<World>, query: Fields) -> Reply {
    let fault = world.faults.take(Call { operation: OPERATION, ..Call::default() });
    let note = fault.as_ref().map(|fault| format!("fault: {}", fault.name()));
    let (reply, hang) = match fault {
        None => (answer(&world, &query), None),
        Some(Fault::Delay { ms }) => {
            pause(ms).await;
            (answer(&world, &query), None)
        }
        Some(Fault::Drop) => (Reply::Close, None),
        Some(Fault::LoseAnswer) => {
            answer(&world, &query);
            (Reply::Close, None)
        }
        Some(Fault::Hang { ms, after_effect }) => {
            if after_effect {
                answer(&world, &query);
            }
            (Reply::Close, Some(ms))
        }
        Some(Fault::ErrCode { code, description, after_effect, .. }) => {
            if after_effect {
                answer(&world, &query);
            }
            (error(code.parse().unwrap_or(-1), &description), None)
        }
        Some(Fault::Http { status, body, after_effect }) => {
            if after_effect {
                answer(&world, &query);
            }
            (Reply::page(status, &body), None)
        }
        Some(Fault::ReturnFail { message }) => (error(-1, &message), None),
        Some(fault @ (Fault::SlowBody { .. } | Fault::CutBody)) => (answer(&world, &query).dragged(Some(&fault)), None),
        Some(Fault::Truncate | Fault::BadSignature | Fault::Signature { .. } | Fault::DuplicateField) => {
            let mut text = answer(&world, &query).text();
            text.truncate(text.len() / 2);
            (Reply::json(text), None)
        }
        Some(Fault::HugeAnswer { bytes }) => {
            let mut text = answer(&world, &query).text();
            text.insert_str(1, &format!("\"sandbox_padding\":\"{}\",", "x".repeat(bytes)));
            (Reply::json(text), None)
        }
    };
    let shown: Vec<String> =
        query.iter().map(|(name, value)| format!("{name}={}", if name == "secret" { "***" } else { value })).collect();
    world.journal.push(Entry {
        at: world.clock.now(),
        operation: OPERATION,
        method: "GET".to_owned(),
        url: format!("/sns/jscode2session?{}", shown.join("&")),
        status: reply.status(),
        // The session key is a secret of the app's owner.
        response: match serde_json::from_str::<Value>(&reply.text()) {
            Ok(mut value) => {
                if let Some(key) = value.get_mut("session_key") {
                    *key = json!("***");
                }
                value.to_string()
            }
            Err(_) => String::new(),
        },
        note,
        ..Entry::default()
    });
    if let Some(ms) = hang {
        pause(ms).await;
    }
    reply
}

fn error(code: i64, text: &str) -> Reply {
    Reply::json(json!({ "errcode": code, "errmsg": text }).to_string())
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

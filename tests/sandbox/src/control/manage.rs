//! The sandbox itself: merchants, login codes, policy, faults, clock, journal.

use actix_web::{HttpResponse, web};
use base64::prelude::{BASE64_STANDARD, Engine};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};

use super::paying::new_openid;
use super::{Answer, Refusal, read};
use crate::faults::{Rule, check_operation};
use crate::journal::Filter;
use crate::ledger::token;
use crate::merchants::{Code, Merchant};
use crate::wechat_v3::TrustMode;
use crate::world::World;
use crate::{lock, platform, wechat_v3};

/// Orders listed in the state.
const SHOWN_ORDERS: usize = 100;

pub async fn state(world: web::Data<World>) -> Answer {
    let merchants: Vec<Value> = world
        .merchants
        .all()
        .iter()
        .map(|registered| {
            let apps: Vec<&str> = registered.merchant.apps.iter().map(|app| app.app_id.as_str()).collect();
            json!({ "mch_id": registered.merchant.mch_id, "apps": apps, "v3": registered.v3_key().is_some() })
        })
        .collect();
    let ledger = lock(&world.ledger);
    let orders: Vec<_> = ledger
        .recent
        .iter()
        .rev()
        .take(SHOWN_ORDERS)
        .filter_map(|(mch_id, number)| ledger.order(mch_id, number))
        .collect();
    let order_count: usize = ledger.books.values().map(|book| book.orders.len()).sum();
    let refund_count: usize = ledger.books.values().map(|book| book.refunds.len()).sum();
    let refunds: Vec<_> = orders
        .iter()
        .flat_map(|order| {
            let book = ledger.books.get(&order.mch_id);
            order.refunds.iter().filter_map(move |number| book?.refunds.get(number))
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({
        "clock": clock_state(&world),
        "merchants": merchants,
        "order_count": order_count,
        "refund_count": refund_count,
        "orders": orders,
        "refunds": refunds,
        "journal_last": world.journal.last(),
    })))
}

pub async fn reset(world: web::Data<World>) -> Answer {
    world.reset();
    Ok(HttpResponse::Ok().json(json!({ "clock": clock_state(&world) })))
}

/// Adds or replaces a merchant and answers with its certificate.
pub async fn add_merchant(world: web::Data<World>, body: web::Bytes) -> Answer {
    let merchant: Merchant = read(&body)?;
    let digits = merchant.mch_id.bytes().all(|byte| byte.is_ascii_digit());
    if !(8..=32).contains(&merchant.mch_id.len()) || !digits {
        return Err(Refusal::bad("mch_id must be 8 to 32 digits"));
    }
    if merchant.api_key.expose_secret().len() != 32 {
        return Err(Refusal::bad("api_key must be 32 bytes"));
    }
    if merchant.api_v3_key.as_ref().is_some_and(|key| key.expose_secret().len() != 32) {
        return Err(Refusal::bad("api_v3_key must be 32 bytes"));
    }
    let registered = world.merchants.put(merchant);
    let world = world.into_inner();
    // RSA keys take a while.
    let made = web::block(move || -> anyhow::Result<Value> {
        let files = registered.files(&world.authority)?;
        let mut shown = json!({
            "client_cert_pem": files.client_cert_pem,
            "client_key_pem": files.client_key_pem,
            "client_p12_base64": BASE64_STANDARD.encode(&files.client_p12),
            "serial_no": files.serial_no,
        });
        if registered.v3_key().is_some() && registered.merchant.trust != TrustMode::Certificate {
            let public = world.v3.trust.public_key(registered.mch_id())?;
            shown["platform_public_key_id"] = json!(public.signer.serial);
            shown["platform_public_key_pem"] = json!(public.pem);
        }
        Ok(shown)
    });
    let made = made.await.map_err(|error| Refusal::failed(error.to_string()))?;
    let shown = made.map_err(|error| Refusal::failed(format!("the keys could not be made: {error:#}")))?;
    Ok(HttpResponse::Ok().json(shown))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCode {
    app_id: String,
    openid: Option<String>,
    unionid: Option<String>,
    errcode: Option<i64>,
}

/// Hands a phone a login code.
pub async fn add_code(world: web::Data<World>, body: web::Bytes) -> Answer {
    let wanted: NewCode = read(&body)?;
    if world.merchants.app_secret(&wanted.app_id).is_none() {
        return Err(Refusal::unknown(format!("no app {}", wanted.app_id)));
    }
    let openid = wanted.openid.unwrap_or_else(new_openid);
    if !world.people.bind(&openid, &wanted.app_id) {
        return Err(Refusal::conflict("the openid belongs to another app"));
    }
    let text = token(32);
    let answer = json!({ "code": text, "openid": openid });
    let code = Code {
        app_id: wanted.app_id,
        openid,
        unionid: wanted.unionid,
        errcode: wanted.errcode,
        issued_at: world.clock.now(),
        used: false,
    };
    world.people.add_code(text, code);
    Ok(HttpResponse::Ok().json(answer))
}

pub async fn policy(world: web::Data<World>) -> Answer {
    Ok(HttpResponse::Ok().json(world.policy()))
}

pub async fn change_policy(world: web::Data<World>, body: web::Bytes) -> Answer {
    let change: Value = read(&body)?;
    let policy = world.policy().changed(&change).map_err(Refusal::bad)?;
    if change.get("drop_notifies").is_some() {
        world.notifier.outgoing().drop_from_now(policy.drop_notifies);
    }
    world.set_policy(policy.clone());
    Ok(HttpResponse::Ok().json(policy))
}

pub async fn faults(world: web::Data<World>) -> Answer {
    Ok(HttpResponse::Ok().json(json!({ "faults": world.faults.all() })))
}

pub async fn add_fault(world: web::Data<World>, body: web::Bytes) -> Answer {
    let rule: Rule = read(&body)?;
    let operations = platform::operations().chain(wechat_v3::operations());
    check_operation(&rule.operation, operations).map_err(Refusal::bad)?;
    let id = world.faults.add(rule);
    Ok(HttpResponse::Ok().json(json!({ "id": id, "faults": world.faults.all() })))
}

pub async fn clear_faults(world: web::Data<World>) -> Answer {
    world.faults.clear();
    Ok(HttpResponse::Ok().json(json!({ "faults": [] })))
}

fn clock_state(world: &World) -> Value {
    let now = world.clock.now();
    json!({ "now": now, "beijing": crate::clock::dashed(now), "speed": world.clock.speed() })
}

pub async fn clock(world: web::Data<World>) -> Answer {
    Ok(HttpResponse::Ok().json(clock_state(&world)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    advance_seconds: Option<u32>,
    speed: Option<u32>,
}

/// Moves the clock forward or sets its speed; due notifications go out.
pub async fn move_clock(world: web::Data<World>, body: web::Bytes) -> Answer {
    let how: Move = read(&body)?;
    if let Some(speed) = how.speed {
        world.clock.set_speed(speed);
    }
    if let Some(seconds) = how.advance_seconds {
        world.clock.advance(seconds);
    }
    world.notifier.outgoing().wake();
    world.douyin.webhooks.outgoing().wake();
    Ok(HttpResponse::Ok().json(clock_state(&world)))
}

pub async fn journal(world: web::Data<World>, filter: web::Query<Filter>) -> Answer {
    let entries = world.journal.read(&filter);
    Ok(HttpResponse::Ok().json(json!({ "last": world.journal.last(), "entries": entries })))
}

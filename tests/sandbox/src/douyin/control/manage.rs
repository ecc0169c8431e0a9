//! Apps, ends of tokens, policy and faults.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control::{Answer, Refusal, read};
use crate::douyin::DouyinApp;
use crate::douyin::faults::Rule;
use crate::lock;
use crate::world::World;

pub async fn state(world: web::Data<World>) -> Answer {
    let apps: Vec<Value> = world
        .douyin
        .apps
        .all()
        .iter()
        .map(|app| {
            json!({
                "client_key": app.client_key, "name": app.name, "webhook_url": app.webhook_url,
                "redirect_host": app.redirect_host, "scopes": app.scopes, "mini_programs": app.mini_programs,
            })
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({
        "now": world.clock.now(),
        "apps": apps,
        "people": crate::douyin::people::known(),
        "share_count": lock(&world.douyin.tokens).shares().count(),
        "work_count": lock(&world.douyin.works).works().count(),
        "journal_last": world.journal.last(),
    })))
}

/// Adds or replaces an app.
pub async fn add_app(world: web::Data<World>, body: web::Bytes) -> Answer {
    let app: DouyinApp = read(&body)?;
    if app.client_key.is_empty() || !app.client_key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Refusal::bad("client_key must be letters and digits"));
    }
    world.douyin.apps.put(app);
    state(world).await
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    /// As time would: the codes for expired ones.
    ClientToken,
    /// As if the platform had lost them: the codes for invalid ones.
    ClientTokenInvalid,
    Ticket,
    AccessToken,
    RefreshToken,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expire {
    what: What,
}

/// Ends tokens or tickets of an app now.
pub async fn expire(world: web::Data<World>, path: web::Path<String>, body: web::Bytes) -> Answer {
    let client_key = path.into_inner();
    let Expire { what } = read(&body)?;
    if world.douyin.apps.get(&client_key).is_none() {
        return Err(Refusal::unknown(format!("no app {client_key}")));
    }
    let now = world.clock.now();
    let ended = match what {
        What::ClientToken => lock(&world.douyin.tokens).end_client_tokens(&client_key, now),
        What::ClientTokenInvalid => lock(&world.douyin.tokens).forget_client_tokens(&client_key, now),
        What::Ticket => lock(&world.douyin.tokens).end_tickets(&client_key, now),
        What::AccessToken => lock(&world.douyin.grants).expire(&client_key, false, now),
        What::RefreshToken => lock(&world.douyin.grants).expire(&client_key, true, now),
    };
    Ok(HttpResponse::Ok().json(json!({ "ended": ended })))
}

pub async fn policy(world: web::Data<World>) -> Answer {
    Ok(HttpResponse::Ok().json(world.douyin.policy()))
}

pub async fn change_policy(world: web::Data<World>, body: web::Bytes) -> Answer {
    let change: Value = read(&body)?;
    let policy = world.douyin.policy().changed(&change).map_err(Refusal::bad)?;
    if change.get("drop_webhooks").is_some() {
        world.douyin.webhooks.outgoing().drop_from_now(policy.drop_webhooks);
    }
    world.douyin.set_policy(policy.clone());
    Ok(HttpResponse::Ok().json(policy))
}

pub async fn faults(world: web::Data<World>) -> Answer {
    Ok(HttpResponse::Ok().json(json!({ "faults": world.douyin.faults.all() })))
}

pub async fn add_fault(world: web::Data<World>, body: web::Bytes) -> Answer {
    let rule: Rule = read(&body)?;
    let id = world.douyin.faults.add(rule).map_err(Refusal::bad)?;
    Ok(HttpResponse::Ok().json(json!({ "id": id, "faults": world.douyin.faults.all() })))
}

pub async fn clear_faults(world: web::Data<World>) -> Answer {
    world.douyin.faults.clear();
    Ok(HttpResponse::Ok().json(json!({ "faults": [] })))
}

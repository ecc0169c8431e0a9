//! The phone: opening schemas and publishing.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use crate::control::{Answer, read};
use crate::douyin::open::{self, Publish};
use crate::douyin::schema::Refused;
use crate::journal::Entry;
use crate::lock;
use crate::world::World;

/// Entries of one list.
const SHOWN: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Schema {
    schema: String,
}

/// What the app does with a schema, in the journal and as an answer.
fn refuse(refused: &Refused) -> HttpResponse {
    HttpResponse::build(StatusCode::BAD_REQUEST)
        .json(json!({ "error": refused.shown, "reason": refused.reason, "detail": refused.detail }))
}

fn journal(world: &World, operation: &'static str, client_key: Option<String>, request: &str, note: Option<String>) {
    world.journal.push(Entry {
        at: world.clock.now(),
        operation,
        url: format!("/_sandbox/douyin/{operation}"),
        client_key,
        request: request.to_owned(),
        note,
        ..Entry::default()
    });
}

fn opened(world: &World, schema: &str) -> Result<crate::douyin::works::Opening, Refused> {
    let opened = open::open(world, schema);
    match &opened {
        Ok(opening) => journal(world, "open", Some(opening.client_key.clone()), schema, None),
        Err(refused) => journal(world, "open", None, schema, Some(format!("{}: {}", refused.reason, refused.detail))),
    }
    opened
}

/// Opens a schema as the app does; what it refuses is a 400 with what it shows.
pub async fn open(world: web::Data<World>, body: web::Bytes) -> Answer {
    let Schema { schema } = read(&body)?;
    Ok(match opened(&world, &schema) {
        Ok(opening) => HttpResponse::Ok().json(opening),
        Err(refused) => refuse(&refused),
    })
}

/// Publishes what was opened, or opens and publishes.
pub async fn publish(world: web::Data<World>, body: web::Bytes) -> Answer {
    let mut how: Publish = read(&body)?;
    if let Some(schema) = how.schema.take() {
        match opened(&world, &schema) {
            Ok(opening) => how.opening_id = Some(opening.opening_id),
            Err(refused) => return Ok(refuse(&refused)),
        }
    }
    let work = open::publish(&world, how)?;
    let request = format!("share_id={} item_id={}", work.share_id.as_deref().unwrap_or_default(), work.item_id);
    journal(&world, "publish", Some(work.client_key.clone()), &request, None);
    Ok(HttpResponse::Ok().json(work))
}

pub async fn shares(world: web::Data<World>) -> Answer {
    let tokens = lock(&world.douyin.tokens);
    let shares: Vec<_> = tokens.shares().take(SHOWN).collect();
    Ok(HttpResponse::Ok().json(json!({ "shares": shares })))
}

pub async fn openings(world: web::Data<World>) -> Answer {
    let works = lock(&world.douyin.works);
    let openings: Vec<_> = works.openings().take(SHOWN).collect();
    Ok(HttpResponse::Ok().json(json!({ "openings": openings })))
}

pub async fn works(world: web::Data<World>) -> Answer {
    let works = lock(&world.douyin.works);
    let works: Vec<_> = works.works().take(SHOWN).collect();
    Ok(HttpResponse::Ok().json(json!({ "works": works })))
}

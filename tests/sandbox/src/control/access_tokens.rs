//! An app's access tokens, as a test sees and breaks them.

use std::net::IpAddr;

use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::{Answer, Refusal, read};
use crate::world::World;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    /// The stable token is over.
    #[serde(default)]
    expire: bool,
    /// The stable token is refused, and still given out: only force helps.
    #[serde(default)]
    refuse: bool,
    /// Somebody else ended the stable token by force.
    #[serde(default)]
    replace: bool,
    /// Who may ask for a token; an empty list switches the check off.
    allowed_ips: Option<Vec<IpAddr>>,
    /// What tokens last from now on.
    lifetime_seconds: Option<u32>,
}

pub async fn look(world: web::Data<World>, app_id: web::Path<String>) -> Answer {
    known(&world, &app_id)?;
    Ok(HttpResponse::Ok().json(world.access_tokens.shown(&app_id, world.clock.now())))
}

pub async fn change(world: web::Data<World>, app_id: web::Path<String>, body: web::Bytes) -> Answer {
    known(&world, &app_id)?;
    let change: Change = read(&body)?;
    let (tokens, now) = (&world.access_tokens, world.clock.now());
    if let Some(seconds) = change.lifetime_seconds {
        if !(1..=7200).contains(&seconds) {
            return Err(Refusal::bad("lifetime_seconds must be 1 to 7200"));
        }
        tokens.set_life(&app_id, seconds);
    }
    if change.expire {
        tokens.expire(&app_id, now);
    }
    if change.refuse {
        tokens.refuse(&app_id);
    }
    if change.replace {
        tokens.replace(&app_id, now);
    }
    if let Some(allowed) = change.allowed_ips {
        tokens.allow(&app_id, (!allowed.is_empty()).then_some(allowed));
    }
    Ok(HttpResponse::Ok().json(tokens.shown(&app_id, now)))
}

fn known(world: &World, app_id: &str) -> Result<(), Refusal> {
    match world.merchants.app_secret(app_id) {
        Some(_) => Ok(()),
        None => Err(Refusal::unknown(format!("no app {app_id}"))),
    }
}

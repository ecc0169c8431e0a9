//! The platform's keys: looking at them, rotating certificates, moving merchants to the public key.

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};
use time::Duration;

use crate::clock::rfc3339;
use crate::control::{Answer, Refusal, read};
use crate::wechat_v3::trust::{PlatformCertificate, Switch, TrustMode};
use crate::world::World;

/// Seconds a new certificate lasts unless told otherwise: five years.
const LASTS_SECONDS: i64 = 5 * 365 * 24 * 3600;

fn failed(error: anyhow::Error) -> Refusal {
    Refusal::failed(format!("a key could not be made: {error:#}"))
}

fn certificate(one: &PlatformCertificate) -> Value {
    json!({
        "serial": one.signer.serial,
        "pem": one.pem,
        "effective_time": rfc3339(one.effective_at.unix_timestamp() * 1000),
        "expire_time": rfc3339(one.expires_at.unix_timestamp() * 1000),
        "listed": one.listed,
        "answers": one.answers,
        "notifies": one.notifies,
    })
}

async fn state(world: web::Data<World>) -> Answer {
    let world = world.into_inner();
    // Keys may have to be made, which takes a while.
    let made = web::block(move || -> anyhow::Result<Value> {
        let certificates = world.v3.trust.certificates(&world.authority)?;
        let mut merchants = Vec::new();
        for registered in world.merchants.all().iter().filter(|merchant| merchant.v3_key().is_some()) {
            let mch_id = registered.mch_id();
            let switch = world.v3.trust.switch(mch_id, registered.merchant.trust);
            let mut shown = json!({ "mch_id": mch_id, "mode": switch.mode, "notify_share": switch.notify_share });
            if switch.mode != TrustMode::Certificate {
                let public = world.v3.trust.public_key(mch_id)?;
                shown["public_key_id"] = json!(public.signer.serial);
                shown["public_key_pem"] = json!(public.pem);
            }
            merchants.push(shown);
        }
        let certificates: Vec<Value> = certificates.iter().map(certificate).collect();
        Ok(json!({ "certificates": certificates, "merchants": merchants }))
    });
    let value = made.await.map_err(|error| Refusal::failed(error.to_string()))?.map_err(failed)?;
    Ok(HttpResponse::Ok().json(value))
}

pub async fn shown(world: web::Data<World>) -> Answer {
    state(world).await
}

fn is_share(share: f64) -> Result<f64, Refusal> {
    match (0.0..=1.0).contains(&share) {
        true => Ok(share),
        false => Err(Refusal::bad("a share must be from 0 to 1")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    mch_id: String,
    mode: TrustMode,
    notify_share: Option<f64>,
}

/// Says how far a merchant is on its way to the public key.
pub async fn change(world: web::Data<World>, body: web::Bytes) -> Answer {
    let how: Move = read(&body)?;
    if world.merchants.get(&how.mch_id).is_none() {
        return Err(Refusal::unknown(format!("no merchant {}", how.mch_id)));
    }
    let notify_share = is_share(how.notify_share.unwrap_or(0.0))?;
    world.v3.trust.set_switch(&how.mch_id, Switch { mode: how.mode, notify_share });
    state(world).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewCertificate {
    #[serde(default)]
    starts_in_seconds: i64,
    lasts_seconds: Option<i64>,
    listed: Option<bool>,
    #[serde(default)]
    share: f64,
}

/// Makes another platform certificate.
pub async fn add_certificate(world: web::Data<World>, body: web::Bytes) -> Answer {
    let how: NewCertificate = read(&body)?;
    let share = is_share(how.share)?;
    let lasts = Duration::seconds(how.lasts_seconds.unwrap_or(LASTS_SECONDS));
    let starts_in = Duration::seconds(how.starts_in_seconds);
    let listed = how.listed.unwrap_or(true);
    let inner = world.into_inner();
    let made = web::block(move || -> anyhow::Result<Value> {
        let trust = &inner.v3.trust;
        let serial = trust.add(&inner.authority, starts_in, lasts, listed)?;
        trust.share(&inner.authority, &serial, share, share)?;
        let one = trust.change(&inner.authority, &serial, |one| certificate(one))?;
        Ok(one.unwrap_or_default())
    });
    let value = made.await.map_err(|error| Refusal::failed(error.to_string()))?.map_err(failed)?;
    Ok(HttpResponse::Ok().json(value))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateChange {
    /// Its share of answers and notifications.
    share: Option<f64>,
    /// Of answers alone.
    answers: Option<f64>,
    /// Of notifications alone.
    notifies: Option<f64>,
    listed: Option<bool>,
    /// Certified again with an end that has passed.
    #[serde(default)]
    expire: bool,
}

/// Changes what a platform certificate signs, whether it is listed, or ends it.
pub async fn change_certificate(world: web::Data<World>, path: web::Path<String>, body: web::Bytes) -> Answer {
    let serial = path.into_inner();
    let how: CertificateChange = read(&body)?;
    let (trust, authority) = (&world.v3.trust, &world.authority);
    let before = trust.change(authority, &serial, |one| (one.answers, one.notifies)).map_err(failed)?;
    let before = before.ok_or_else(|| Refusal::unknown(format!("no platform certificate {serial}")))?;
    let answers = is_share(how.answers.or(how.share).unwrap_or(before.0))?;
    let notifies = is_share(how.notifies.or(how.share).unwrap_or(before.1))?;
    let alone = trust.certificates(authority).map_err(failed)?.len() == 1;
    if alone && (answers < 1.0 || notifies < 1.0) {
        return Err(Refusal::conflict("the only certificate signs everything"));
    }
    trust.share(authority, &serial, answers, notifies).map_err(failed)?;
    if how.expire {
        trust.expire(authority, &serial).map_err(failed)?;
    }
    let listed = how.listed.or(how.expire.then_some(false));
    let one = trust.change(authority, &serial, |one| {
        one.listed = listed.unwrap_or(one.listed);
        certificate(one)
    });
    Ok(HttpResponse::Ok().json(one.map_err(failed)?))
}

//! Webhooks: the address, and messages sent by hand: any event, copies, broken, forged.

use std::sync::Arc;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control::{Answer, Refusal, read};
use crate::douyin::apps::DouyinApp;
use crate::douyin::webhook::{
    ContentForm, Corruption, Event, Parcel, Wanted, Webhooks, check_address, new_msg_id, sample,
};
use crate::world::World;

/// Copies one call may send.
const MAX_COPIES: usize = 10_000;
/// The challenge unless a call names one.
const CHALLENGE: i64 = 12345;

fn find_app(world: &World, client_key: &str) -> Result<Arc<DouyinApp>, Refusal> {
    world.douyin.apps.get(client_key).ok_or_else(|| Refusal::unknown(format!("no app {client_key}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Register {
    url: String,
    challenge: Option<Value>,
    /// False takes the address as it is.
    verify: Option<bool>,
}

/// Enters an app's webhook address as the console does: only if it answers the challenge.
pub async fn register(world: web::Data<World>, path: web::Path<String>, body: web::Bytes) -> Answer {
    let client_key = path.into_inner();
    let how: Register = read(&body)?;
    find_app(&world, &client_key)?;
    let parsed = url::Url::parse(&how.url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    if parsed.is_none() {
        return Err(Refusal::bad("url must be an http or https URL"));
    }
    if how.verify.unwrap_or(true) {
        let challenge = how.challenge.unwrap_or_else(|| CHALLENGE.into());
        if !challenge.is_number() && !challenge.is_string() {
            return Err(Refusal::bad("challenge must be a number or a text"));
        }
        let world = Arc::clone(&world);
        let checked = check_address(&world, &client_key, &how.url, &challenge).await;
        checked.map_err(|why| Refusal::bad(format!("the address did not answer the challenge: {why}")))?;
    }
    world.douyin.apps.set_webhook_url(&client_key, Some(how.url.clone()));
    Ok(HttpResponse::Ok().json(json!({ "client_key": client_key, "webhook_url": how.url })))
}

pub async fn unregister(world: web::Data<World>, path: web::Path<String>) -> Answer {
    let client_key = path.into_inner();
    find_app(&world, &client_key)?;
    world.douyin.apps.set_webhook_url(&client_key, None);
    Ok(HttpResponse::Ok().json(json!({ "client_key": client_key, "webhook_url": null })))
}

/// The queue: what is pending, with attempts and the next due time, and what was taken or given up.
pub async fn queue(world: web::Data<World>) -> Answer {
    Ok(HttpResponse::Ok()
        .json(json!({ "now": world.clock.now(), "webhooks": world.douyin.webhooks.outgoing().jobs() })))
}

/// How copies of one message are sent.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Copies {
    copies: Option<usize>,
    concurrent: bool,
    corrupt: Corruption,
    /// Signs with this instead of the app's secret.
    secret: Option<String>,
    url: Option<String>,
    msg_id: Option<String>,
}

impl Copies {
    async fn send(self, world: Arc<World>, client_key: &str, url: &str, msg_id: &str, body: Vec<u8>) -> Answer {
        let count = self.copies.unwrap_or(1);
        if !(1..=MAX_COPIES).contains(&count) {
            return Err(Refusal::bad(format!("copies must be from 1 to {MAX_COPIES}")));
        }
        let url = self.url.as_deref().unwrap_or(url);
        let msg_id = self.msg_id.as_deref().unwrap_or(msg_id);
        let parcel = Parcel::signed(&world, client_key, url, body, self.secret.as_deref());
        let parcel = parcel.numbered(msg_id).corrupted(self.corrupt);
        let responses = Webhooks::send_now(&world, vec![parcel; count], self.concurrent).await;
        Ok(HttpResponse::Ok().json(json!({ "msg_id": msg_id, "responses": responses })))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Send {
    client_key: String,
    event: String,
    /// A sample of the event's unless given.
    content: Option<Value>,
    content_as: Option<ContentForm>,
    from_user_id: Option<String>,
    to_user_id: Option<String>,
    /// Into the queue, with the platform's repetitions, instead of once and now.
    #[serde(default)]
    queue: bool,
    delay_ms: Option<u32>,
    copies: Option<usize>,
    #[serde(default)]
    concurrent: bool,
    #[serde(default)]
    corrupt: Corruption,
    secret: Option<String>,
    url: Option<String>,
    msg_id: Option<String>,
}

/// Sends any event.
pub async fn send(world: web::Data<World>, body: web::Bytes) -> Answer {
    let how: Send = read(&body)?;
    let app = find_app(&world, &how.client_key)?;
    let world = world.into_inner();
    let sampled = || sample(&how.event, &how.client_key, world.clock.now());
    let content = how.content.clone().or_else(sampled).unwrap_or_else(|| json!({}));
    let event = Event {
        client_key: how.client_key,
        event: how.event,
        from_user_id: how.from_user_id,
        to_user_id: how.to_user_id,
        content,
    };
    let url = how.url.clone().or_else(|| app.webhook_url.clone());
    let url = url.ok_or_else(|| Refusal::bad("the app has no webhook address and url is missing"))?;
    if how.queue {
        let wanted = Wanted { delay_ms: how.delay_ms, msg_id: how.msg_id, content_as: how.content_as, url: how.url };
        let id = world.douyin.webhooks.enqueue(&world, event, &wanted);
        return Ok(HttpResponse::Ok().json(json!({ "id": id })));
    }
    let body = event.write(&world, how.content_as).into_bytes();
    let (copies, concurrent, corrupt) = (how.copies, how.concurrent, how.corrupt);
    let copies = Copies { copies, concurrent, corrupt, secret: how.secret, url: None, msg_id: how.msg_id };
    copies.send(world, &event.client_key, &url, &new_msg_id(), body).await
}

/// Sends a webhook of the queue again, with the same bytes and `Msg-Id` unless told otherwise.
pub async fn repeat(world: web::Data<World>, path: web::Path<u64>, body: web::Bytes) -> Answer {
    let copies: Copies = read(&body)?;
    let job =
        world.douyin.webhooks.outgoing().job(path.into_inner()).ok_or_else(|| Refusal::unknown("no such webhook"))?;
    let message = job.message;
    copies.send(world.into_inner(), &message.client_key, &message.url, &message.msg_id, message.body.into_bytes()).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    client_key: String,
    /// The body, byte for byte.
    body: String,
    url: Option<String>,
    msg_id: Option<String>,
    secret: Option<String>,
    #[serde(default)]
    corrupt: Corruption,
}

/// Signs and sends any body.
pub async fn raw(world: web::Data<World>, body: web::Bytes) -> Answer {
    let raw: Raw = read(&body)?;
    let app = find_app(&world, &raw.client_key)?;
    let url = raw.url.or_else(|| app.webhook_url.clone());
    let url = url.ok_or_else(|| Refusal::bad("the app has no webhook address and url is missing"))?;
    let copies = Copies { corrupt: raw.corrupt, secret: raw.secret, msg_id: raw.msg_id, ..Copies::default() };
    copies.send(world.into_inner(), &raw.client_key, &url, &new_msg_id(), raw.body.into_bytes()).await
}

//! One POST to a receiver, its journal entry, and the check of an address when it is entered.

use std::sync::Arc;

use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::{Message, Parcel, Webhooks, new_msg_id};
use crate::journal::{Direction, Entry};
use crate::outgoing::{self, Delivery};
use crate::world::World;

/// The check's name in the journal.
const CHECK: &str = "verify_webhook";

fn entry(world: &World, client_key: &str, url: &str) -> Entry {
    Entry {
        at: world.clock.now(),
        direction: Direction::Out,
        operation: super::message::WEBHOOK,
        method: "POST".to_owned(),
        url: url.to_owned(),
        client_key: Some(client_key.to_owned()),
        ..Entry::default()
    }
}

/// Enters an attempt that is lost on the way.
pub fn lost(world: &World, message: &Message) {
    world
        .journal
        .push(Entry { note: Some("lost on the way".to_owned()), ..entry(world, &message.client_key, &message.url) });
}

/// Sends one parcel and writes the journal. The status 200 alone ends the repetitions.
pub async fn post(world: Arc<World>, parcel: Parcel) -> Delivery {
    let webhooks = &world.douyin.webhooks;
    let mut request =
        webhooks.client.post(&parcel.url).header(CONTENT_TYPE, "application/json").body(parcel.body.clone());
    if let Some(signature) = &parcel.signature {
        request = request.header("X-Douyin-Signature", signature);
    }
    if let Some(msg_id) = &parcel.msg_id {
        request = request.header("Msg-Id", msg_id);
    }
    let delivery = outgoing::post(request, webhooks.time_limit, |status, _| status == 200).await;
    world.journal.push(Entry {
        operation: parcel.operation,
        request: String::from_utf8_lossy(&parcel.body).into_owned(),
        status: delivery.status,
        response: delivery.body.clone(),
        note: delivery.error.clone(),
        ..entry(&world, &parcel.client_key, &parcel.url)
    });
    delivery
}

/// What the console does when an address is entered (protocol 3.2): sends a challenge that must come back as it is.
/// Its `client_key` is empty, as in the documents.
///
/// # Errors
/// What is wrong with the answer, in words.
pub async fn check_address(world: &Arc<World>, client_key: &str, url: &str, challenge: &Value) -> Result<(), String> {
    let body = json!({ "event": CHECK, "client_key": "", "content": { "challenge": challenge } }).to_string();
    let mut parcel = Parcel::signed(world, client_key, url, body.into_bytes(), None).numbered(&new_msg_id());
    parcel.operation = CHECK;
    let deliveries = Webhooks::send_now(world, vec![parcel], false).await;
    let delivery = deliveries.first().ok_or("the challenge could not be sent")?;
    if let Some(error) = &delivery.error {
        return Err(error.clone());
    }
    if delivery.status != Some(200) {
        return Err(format!("status {}; 200 is expected", delivery.status.unwrap_or_default()));
    }
    let answer: Value = serde_json::from_str(&delivery.body)
        .map_err(|_| format!("the answer is not JSON; {{\"challenge\":{challenge}}} is expected"))?;
    if answer.get("challenge") != Some(challenge) {
        return Err(format!("challenge is {}; {challenge} is expected, of the same JSON type", answer["challenge"]));
    }
    Ok(())
}

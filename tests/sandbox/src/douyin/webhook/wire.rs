//! One POST to a receiver, its journal entry, and the check of an address when it is entered.

use std::sync::Arc;
use std::time::Instant;

use reqwest::header::CONTENT_TYPE;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Message, Parcel, Webhooks, new_msg_id};
use crate::journal::{Direction, Entry};
use crate::world::World;

/// Bytes read of a receiver's answer.
const MAX_ANSWER: usize = 64 * 1024;
/// The check's name in the journal.
const CHECK: &str = "verify_webhook";

/// What came back from one POST.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    /// Absent when no answer came.
    pub status: Option<u16>,
    pub body: String,
    /// Whether the status is 200, which alone ends the repetitions.
    pub success: bool,
    pub millis: u64,
    pub error: Option<String>,
}

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

/// Sends one parcel and writes the journal.
pub async fn post(world: &Arc<World>, parcel: &Parcel) -> Delivery {
    let webhooks = &world.douyin.webhooks;
    let started = Instant::now();
    let answer = tokio::time::timeout(webhooks.time_limit, exchange(&webhooks.client, parcel)).await;
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let failed =
        |error: String| Delivery { status: None, body: String::new(), success: false, millis, error: Some(error) };
    let delivery = match answer {
        Ok(Ok((status, body))) => Delivery {
            status: Some(status),
            body: String::from_utf8_lossy(&body).into_owned(),
            success: status == 200,
            millis,
            error: None,
        },
        Ok(Err(error)) => {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
            failed(format!("{error}{}", source.unwrap_or_default()))
        }
        Err(_) => failed(format!("no answer within {:?}", webhooks.time_limit)),
    };
    world.journal.push(Entry {
        operation: parcel.operation,
        request: String::from_utf8_lossy(&parcel.body).into_owned(),
        status: delivery.status,
        response: delivery.body.clone(),
        note: delivery.error.clone(),
        ..entry(world, &parcel.client_key, &parcel.url)
    });
    delivery
}

async fn exchange(client: &reqwest::Client, parcel: &Parcel) -> reqwest::Result<(u16, Vec<u8>)> {
    let mut request = client.post(&parcel.url).header(CONTENT_TYPE, "application/json").body(parcel.body.clone());
    if let Some(signature) = &parcel.signature {
        request = request.header("X-Douyin-Signature", signature);
    }
    if let Some(msg_id) = &parcel.msg_id {
        request = request.header("Msg-Id", msg_id);
    }
    let mut response = request.send().await?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = MAX_ANSWER - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == MAX_ANSWER {
            break;
        }
    }
    Ok((status, body))
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

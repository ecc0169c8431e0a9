//! What Douyin tells of its own accord: verified over the bytes as they came, kept once, and answered
//! after that (protocol section 3).

use bytes::Bytes;
use dukou_domain::{EventKind, Timestamp};
use dukou_spi::plugin::{
    Batch, CallbackOutcome, CallbackReply, DocumentError, Host, MessageClaim, PluginError, PluginReply, PluginRequest,
};
use serde_json::{Value, json};

use crate::authorization;
use crate::message::{self, Message};
use crate::plugin::DouyinShare;
use crate::share::{self, Item};
use crate::sign;
use crate::text::text;
use crate::whose;

const SIGNATURE: &str = "x-douyin-signature";
const MESSAGE_ID: &str = "msg-id";
/// What a challenge may be long.
const LONGEST_CHALLENGE: usize = 256;
/// How often a message is decided about anew because a document changed meanwhile.
const TRIES: u32 = 4;

pub async fn receive(
    plugin: &DouyinShare,
    host: &dyn Host,
    request: &PluginRequest,
) -> Result<CallbackReply, PluginError> {
    let signature = request.header(SIGNATURE);
    let proof =
        signature.and_then(|signature| sign::verify_webhook(&plugin.settings.webhook_secret, &request.body, signature));
    let message = match (proof, signature) {
        (Some(_), _) => match Message::read(&request.body) {
            Some(message) => message,
            None => return Ok(refused(CallbackOutcome::Malformed, 400, "not a message of douyin's")),
        },
        // The check of the address comes unsigned where the platform has no secret yet; it is answered
        // and changes nothing.
        (None, None) => match Message::read(&request.body).filter(|message| message.event == VERIFY) {
            Some(message) => message,
            None => return Ok(refused(CallbackOutcome::BadSignature, 401, "the signature is missing")),
        },
        (None, Some(_)) => {
            return Ok(refused(CallbackOutcome::BadSignature, 401, "the signature does not hold"));
        }
    };
    if message.event == VERIFY {
        return Ok(challenge(&message));
    }
    if !message.client_key.is_empty() && message.client_key != plugin.settings.client_key {
        return Ok(refused(CallbackOutcome::Malformed, 400, "the client_key is another application's"));
    }
    let message_id = request.header(MESSAGE_ID).filter(|id| !id.is_empty());
    let key = message::key(message_id, &request.body);
    let claim = match host.claim(&key).await {
        MessageClaim::Done => return Ok(taken(CallbackOutcome::Duplicate)),
        MessageClaim::Mine(claim) => claim,
    };
    let answered = take(plugin, host, &message, &key, message_id, request).await;
    host.settle(claim, answered.as_ref().is_ok_and(|answered| answered.reply.status == TAKEN)).await;
    answered
}

const VERIFY: &str = "verify_webhook";
const VIDEO: &str = "create_video";
/// The status that says that a message is on disk.
const TAKEN: u16 = 200;

/// Enters a message here, or has it entered where its share is. Nothing of another tenant's share
/// is kept or told here.
async fn take(
    plugin: &DouyinShare,
    host: &dyn Host,
    message: &Message,
    key: &str,
    message_id: Option<&str>,
    request: &PluginRequest,
) -> Result<CallbackReply, PluginError> {
    let share_id = message.content.get("share_id").and_then(text).filter(|id| share::is_share_id(id));
    if let Some(share_id) = share_id.filter(|_| message.event == VIDEO)
        && let Some(tenant) = whose::another(&plugin.settings, host, &share_id).await?
    {
        let reply = host.pass_on(&tenant, request.clone()).await?;
        return Ok(CallbackReply { outcome: CallbackOutcome::PassedOn, reply });
    }
    enter(plugin, host, message, key, message_id, &request.body).await.map(taken)
}

/// The challenge in its own type, and nothing else.
fn challenge(message: &Message) -> CallbackReply {
    match message.content.get("challenge") {
        Some(challenge @ (Value::Number(_) | Value::String(_))) if challenge.to_string().len() <= LONGEST_CHALLENGE => {
            let reply = PluginReply::json(200, &json!({ "challenge": challenge }));
            CallbackReply { outcome: CallbackOutcome::Applied, reply }
        }
        _ => refused(CallbackOutcome::Malformed, 400, "the challenge is neither a number nor a short text"),
    }
}

/// Writes the message and what follows from it, once.
async fn enter(
    plugin: &DouyinShare,
    host: &dyn Host,
    message: &Message,
    key: &str,
    message_id: Option<&str>,
    body: &Bytes,
) -> Result<CallbackOutcome, PluginError> {
    let documents = host.documents();
    let mut last = None;
    for _ in 0..TRIES {
        if documents.get(message::COLLECTION, key).await?.is_some() {
            return Ok(CallbackOutcome::Duplicate);
        }
        let now = plugin.now();
        let batch = message.kept(key, message_id, body, now);
        let (batch, outcome) = decide(plugin, host, message, batch, now).await?;
        match documents.write(batch).await {
            Ok(()) => return Ok(outcome),
            // A copy of it was quicker, or the share changed under our hands: look again.
            Err(error @ DocumentError::Conflict(_)) => last = Some(error),
            Err(error) => return Err(error.into()),
        }
    }
    let error = last.map_or_else(|| "no try was made".to_owned(), |error| error.to_string());
    Err(DocumentError::Unavailable(error).into())
}

/// What follows from a message, in the same transaction as its record.
async fn decide(
    plugin: &DouyinShare,
    host: &dyn Host,
    message: &Message,
    batch: Batch,
    now: Timestamp,
) -> Result<(Batch, CallbackOutcome), PluginError> {
    match message.event.as_str() {
        VIDEO => Ok((published(host, message, batch, now).await?, CallbackOutcome::Applied)),
        "unauthorize" => {
            let batch = authorization::revoked(host.documents(), message, batch, now).await?;
            Ok((batch, CallbackOutcome::Applied))
        }
        _ if message.is_known() => Ok((message.raise(batch), CallbackOutcome::Applied)),
        event => {
            tracing::info!(tenant = %host.tenant(), event = crate::text::printable(event), client_key = plugin.settings.client_key, "an event of douyin's that is not known was kept");
            Ok((message.raise(batch), CallbackOutcome::Unknown))
        }
    }
}

/// A video: of a share where it names one of this tenant's, otherwise a message like others.
async fn published(host: &dyn Host, message: &Message, batch: Batch, now: Timestamp) -> Result<Batch, PluginError> {
    let word = |name: &str| message.content.get(name).and_then(text);
    let found = match word("share_id") {
        Some(share_id) => share::find_by_share_id(host.documents(), &share_id).await?,
        None => None,
    };
    let (Some((document, mut record)), Some(item_id)) = (found, word("item_id")) else {
        return Ok(message.raise(batch));
    };
    record.publish(Item { item_id, video_id: word("video_id"), open_id: message.from.clone(), at: now.as_millis() });
    let url = host.page_url(&crate::plugin::LANDING, &record.id);
    let shown = record.shown(&url, now);
    Ok(batch.put(record.replace(&document, now)).raise(EventKind::SharePublished, shown))
}

fn taken(outcome: CallbackOutcome) -> CallbackReply {
    CallbackReply { outcome, reply: PluginReply::json(TAKEN, &json!({ "code": 0, "message": "ok" })) }
}

fn refused(outcome: CallbackOutcome, status: u16, words: &str) -> CallbackReply {
    // Strangers send them too; the gateway counts them, and tells of them now and then.
    tracing::debug!(status, reason = words, "a message at douyin's callback address was refused");
    CallbackReply { outcome, reply: PluginReply::json(status, &json!({ "code": status, "message": words })) }
}

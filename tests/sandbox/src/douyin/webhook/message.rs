//! The documents themselves, and what may be done to them on the way.

use rand::Rng;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::douyin::sign;
use crate::ledger::token;
use crate::world::World;

/// Something that happened, as an app hears of it.
#[derive(Clone, Debug)]
pub struct Event {
    pub client_key: String,
    pub event: String,
    pub from_user_id: Option<String>,
    pub to_user_id: Option<String>,
    pub content: Value,
}

/// The form of `content`: the documents and the field show both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContentForm {
    Object,
    Text,
}

/// One webhook; every repetition carries the same bytes and the same `Msg-Id`.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    pub msg_id: String,
    pub client_key: String,
    pub event: String,
    pub url: String,
    pub body: String,
}

/// How an event is to be sent, where not as usual.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub delay_ms: Option<u32>,
    pub msg_id: Option<String>,
    pub content_as: Option<ContentForm>,
    pub url: Option<String>,
}

/// The envelope (protocol 3.3), in its order.
#[derive(Serialize)]
struct Envelope<'a> {
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_user_id: Option<&'a str>,
    client_key: &'a str,
    content: Value,
    log_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox_extra: Option<String>,
}

impl Event {
    pub fn new(client_key: &str, event: &str, content: Value) -> Self {
        Self {
            client_key: client_key.to_owned(),
            event: event.to_owned(),
            from_user_id: None,
            to_user_id: None,
            content,
        }
    }

    /// The body, written once: a repetition carries the same bytes.
    pub fn write(&self, world: &World, form: Option<ContentForm>) -> String {
        let policy = world.douyin.policy();
        let as_text = match form {
            Some(form) => form == ContentForm::Text,
            None => rand::rng().random_bool(policy.text_content_share),
        };
        let extra = rand::rng().random_bool(policy.unknown_field_share);
        let envelope = Envelope {
            event: &self.event,
            from_user_id: self.from_user_id.as_deref(),
            to_user_id: self.to_user_id.as_deref(),
            client_key: &self.client_key,
            content: if as_text { self.content.to_string().into() } else { self.content.clone() },
            log_id: crate::douyin::api::log_id(world.clock.now()),
            sandbox_extra: extra.then(|| token(8)),
        };
        serde_json::to_string(&envelope).expect("an envelope of texts can be written")
    }
}

/// What happens to one copy on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Corruption {
    #[default]
    None,
    /// One character of the signature is another.
    Sign,
    /// One byte of the body is another, after signing.
    Body,
    /// The second half of the body is missing.
    Truncate,
    /// The signature's header is missing.
    NoSign,
    /// The header `Msg-Id` is missing.
    NoMsgId,
}

/// One document on its way to one address.
#[derive(Clone, Debug)]
pub struct Parcel {
    pub client_key: String,
    pub operation: &'static str,
    pub url: String,
    pub msg_id: Option<String>,
    pub signature: Option<String>,
    pub body: Vec<u8>,
}

/// The operation's name in the journal.
pub const WEBHOOK: &str = "douyin_webhook";

impl Parcel {
    /// Signs the body with the app's secret, or with another one to forge it.
    pub fn signed(world: &World, client_key: &str, url: &str, body: Vec<u8>, secret: Option<&str>) -> Self {
        let app = world.douyin.apps.get(client_key);
        let own = app.as_ref().map(|app| app.webhook_key()).unwrap_or_default();
        Self {
            client_key: client_key.to_owned(),
            operation: WEBHOOK,
            url: url.to_owned(),
            msg_id: None,
            signature: Some(sign::webhook(secret.unwrap_or(own), &body)),
            body,
        }
    }

    #[must_use]
    pub fn numbered(mut self, msg_id: &str) -> Self {
        self.msg_id = Some(msg_id.to_owned());
        self
    }

    #[must_use]
    pub fn corrupted(mut self, corruption: Corruption) -> Self {
        match corruption {
            Corruption::None => {}
            Corruption::Sign => {
                if let Some(signature) = &mut self.signature {
                    let last = signature.pop();
                    signature.push(if last == Some('0') { '1' } else { '0' });
                }
            }
            Corruption::Body => {
                // The last letter or digit, so that the body stays a document.
                if let Some(byte) = self.body.iter_mut().rev().find(|byte| byte.is_ascii_alphanumeric()) {
                    *byte = if *byte == b'1' { b'2' } else { b'1' };
                }
            }
            Corruption::Truncate => self.body.truncate(self.body.len() / 2),
            Corruption::NoSign => self.signature = None,
            Corruption::NoMsgId => self.msg_id = None,
        }
        self
    }
}

impl Message {
    /// The message as it goes over the wire, signed with the app's present secret.
    pub fn parcel(&self, world: &World) -> Parcel {
        Parcel::signed(world, &self.client_key, &self.url, self.body.clone().into_bytes(), None).numbered(&self.msg_id)
    }
}

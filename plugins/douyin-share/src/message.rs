//! Messages that Douyin sent: kept for a while, so that none has its effect twice.

use std::time::Duration;

use aws_lc_rs::digest;
use dukou_domain::{EventKind, Timestamp};
use dukou_spi::plugin::{Batch, Document};
use serde_json::{Map, Value, json};

use crate::text::{rfc3339, text};

pub const COLLECTION: &str = "messages";
/// For how long a copy is known to be one.
const KEPT: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Events of the protocol's section 3.3 besides those with a meaning of their own here.
const KNOWN: &[&str] = &[
    "authorize",
    "contract_authorize",
    "contract_unauthorize",
    "dial_phone",
    "enter_group_audit_change",
    "enter_im",
    "group_fans_event",
    "im_authorize",
    "im_enter_direct_msg",
    "im_group_receive_msg",
    "im_group_send_msg",
    "im_receive_msg",
    "im_send_msg",
    "item_comment_reply",
    "new_follow_action",
    "new_video_digg",
    "personal_tab_contact",
    "receive_msg",
    "union_auth_info_for_b",
    "union_auth_info_for_c",
    "website_contact",
];

/// A message, read but for what only its kind knows.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub event: String,
    pub client_key: String,
    /// The open_id of whoever did it.
    pub from: Option<String>,
    pub to: Option<String>,
    /// An object, whether it came as one or as a text.
    pub content: Map<String, Value>,
    pub log_id: Option<String>,
}

impl Message {
    /// `None`: it is not a message of Douyin's.
    pub fn read(body: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(body).ok()?;
        let content = match &value["content"] {
            Value::Object(content) => content.clone(),
            Value::String(text) if !text.trim().is_empty() => match serde_json::from_str(text) {
                Ok(Value::Object(content)) => content,
                Ok(_) | Err(_) => return None,
            },
            Value::Null | Value::String(_) => Map::new(),
            _ => return None,
        };
        Some(Message {
            event: value["event"].as_str().filter(|event| (1..=100).contains(&event.len()))?.to_owned(),
            client_key: text(&value["client_key"]).unwrap_or_default(),
            from: text(&value["from_user_id"]),
            to: text(&value["to_user_id"]),
            content,
            log_id: text(&value["log_id"]),
        })
    }

    pub fn is_known(&self) -> bool {
        KNOWN.contains(&self.event.as_str())
    }

    /// The event of a message without a meaning of its own.
    pub fn raised(&self) -> Value {
        json!({
            "platform": "douyin", "event": self.event, "from_user_id": self.from, "to_user_id": self.to,
            "content": self.content,
        })
    }

    /// The change that keeps it; with what else follows from it.
    pub fn kept(&self, key: &str, message_id: Option<&str>, body: &[u8], now: Timestamp) -> Batch {
        let value = json!({
            "event": self.event, "message_id": message_id, "log_id": self.log_id, "received_at": rfc3339(now),
            "body": String::from_utf8_lossy(body),
        });
        Batch::default().put(Document::new(COLLECTION, key, value).due(now.plus(KEPT)))
    }

    pub fn raise(&self, batch: Batch) -> Batch {
        batch.raise(EventKind::MessageReceived, self.raised())
    }
}

/// What tells a message from others: Douyin's own id, or, where there is none, everything it says.
pub fn key(message_id: Option<&str>, body: &[u8]) -> String {
    let (kind, bytes) = message_id.map_or(("body", body), |id| ("id", id.as_bytes()));
    format!("{kind}-{}", hex::encode(digest::digest(&digest::SHA256, bytes)))
}

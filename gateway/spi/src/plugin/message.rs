//! What reaches a plugin, and what it says to it. Knows no web framework.

use std::collections::BTreeMap;

use bytes::Bytes;
use dukou_domain::{EventId, EventKind, ProviderName, Timestamp};
use serde_json::{Map, Value};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestMethod {
    Get,
    Post,
}

/// A request as it came: nothing in it is believed yet.
#[derive(Debug, Clone)]
pub struct PluginRequest {
    pub method: RequestMethod,
    /// What follows the plugin's own address: of a callback the part after its name, or nothing; of a
    /// page what follows the tenant's id and the dot.
    pub rest: String,
    /// Decoded, in the order received.
    pub query: Vec<(String, String)>,
    /// Header names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl PluginRequest {
    /// The first header of that name (given in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The query parameter of that name, where it is there once.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut values = self.query.iter().filter(|(key, _)| key == name);
        let (_, value) = values.next()?;
        values.next().is_none().then_some(value)
    }
}

/// Who makes a call; the gateway has checked it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// The merchant's backend, by the name of its key.
    Backend { key: String },
    /// A user of the mini-program.
    Buyer { provider: ProviderName, openid: String },
}

/// One of the plugin's own calls.
#[derive(Debug, Clone)]
pub struct PluginCall {
    pub operation: &'static str,
    pub caller: Caller,
    /// The parts of the address that its pattern has in braces, the tenant aside.
    pub path: BTreeMap<String, String>,
    /// Decoded, in the order received.
    pub query: Vec<(String, String)>,
    /// The JSON object of a POST, in which no key is there twice; empty for a GET.
    pub body: Map<String, Value>,
}

/// An answer, ready to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginReply {
    /// 200 to 599.
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Bytes,
}

impl PluginReply {
    /// # Panics
    /// Never: a [`Value`] can always be written.
    pub fn json(status: u16, value: &Value) -> Self {
        let headers = vec![("content-type", "application/json".to_owned())];
        PluginReply { status, headers, body: Bytes::from(value.to_string()) }
    }
}

/// What became of a callback, for the metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallbackOutcome {
    /// Recorded, with its effect.
    Applied,
    /// It was recorded before.
    Duplicate,
    /// Recorded, and of a kind that the plugin does not know.
    Unknown,
    /// It was another tenant's, and was handed to that one.
    PassedOn,
    BadSignature,
    Malformed,
}

impl CallbackOutcome {
    pub const ALL: [CallbackOutcome; 6] = [
        CallbackOutcome::Applied,
        CallbackOutcome::Duplicate,
        CallbackOutcome::Unknown,
        CallbackOutcome::PassedOn,
        CallbackOutcome::BadSignature,
        CallbackOutcome::Malformed,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            CallbackOutcome::Applied => "applied",
            CallbackOutcome::Duplicate => "duplicate",
            CallbackOutcome::Unknown => "unknown",
            CallbackOutcome::PassedOn => "passed_on",
            CallbackOutcome::BadSignature => "bad_signature",
            CallbackOutcome::Malformed => "malformed",
        }
    }
}

/// The answer to a callback, in the sender's own form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallbackReply {
    pub outcome: CallbackOutcome,
    pub reply: PluginReply,
}

/// An entry of the tenant's event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginEvent {
    pub id: EventId,
    pub kind: EventKind,
    pub at: Timestamp,
    /// The object as the API shows it.
    pub data: Value,
}

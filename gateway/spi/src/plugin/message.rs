//! What reaches a plugin, and what it says to it. Knows no web framework.

use std::collections::BTreeMap;

use bytes::Bytes;
use dukou_domain::{EventId, EventKind, ProviderName, Timestamp};
use serde_json::{Map, Value};

/// What a plugin's pages and its callback address are asked with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestMethod {
    /// From a browser, as of OAuth's redirect; pages know no other.
    Get,
    /// From a platform that reports something.
    Post,
}

/// A request as it came: nothing in it is believed yet.
#[derive(Debug, Clone)]
pub struct PluginRequest {
    /// A page's is always [`RequestMethod::Get`].
    pub method: RequestMethod,
    /// What follows the plugin's own address: of a callback the part after its name, or nothing; of a
    /// page what follows the tenant's id and the dot.
    pub rest: String,
    /// Decoded, in the order received.
    pub query: Vec<(String, String)>,
    /// Header names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    /// As it came, for a signature over it; empty for a GET.
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
    Backend {
        /// The `id` of the API key in the tenant's file, not the key itself.
        key: String,
    },
    /// A user of the mini-program.
    Buyer {
        /// Through whose app they logged in.
        provider: ProviderName,
        /// The user under that app.
        openid: String,
    },
}

/// One of the plugin's own calls.
#[derive(Debug, Clone)]
pub struct PluginCall {
    /// The [`super::CallSpec::operation`] that was called.
    pub operation: &'static str,
    /// Only who [`super::CallSpec::access`] lets in.
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
    /// Names in lower case, values in visible ASCII and blanks; none that the listener sets, such as `content-length`.
    /// The answer to a call by POST goes without them.
    pub headers: Vec<(&'static str, String)>,
    /// At most 1 MiB.
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
    /// The signature, or what stands for it, is missing or does not hold: nothing in it was believed.
    BadSignature,
    /// It cannot be read or used, such as one for another app.
    Malformed,
}

impl CallbackOutcome {
    /// Every outcome once, for the counters.
    pub const ALL: [CallbackOutcome; 6] = [
        CallbackOutcome::Applied,
        CallbackOutcome::Duplicate,
        CallbackOutcome::Unknown,
        CallbackOutcome::PassedOn,
        CallbackOutcome::BadSignature,
        CallbackOutcome::Malformed,
    ];

    /// The `outcome` in the metrics.
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
    /// For the metrics and the log alone; the sender does not see it.
    pub outcome: CallbackOutcome,
    /// What the sender gets, whatever the outcome.
    pub reply: PluginReply,
}

/// An entry of the tenant's event log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginEvent {
    /// The same however often it is told.
    pub id: EventId,
    /// One of [`super::PluginInfo::events`].
    pub kind: EventKind,
    /// When it happened, which may be long before it is told.
    pub at: Timestamp,
    /// The object as the API shows it.
    pub data: Value,
}

//! What a plugin offers and wants, as data.

use std::time::Duration;

use dukou_domain::EventKind;

/// A plugin's own description: routes, metrics and the OpenAPI document are made from it.
#[derive(Debug)]
pub struct PluginInfo {
    /// `[plugins.NAME]` and `/callback/{tenant}/NAME`: 1 to 32 of `a-z 0-9 - _`.
    pub name: &'static str,
    /// Calls under `/v1/{tenant}/`.
    pub calls: &'static [CallSpec],
    /// Pages for whoever has their address.
    pub pages: &'static [PageSpec],
    /// Methods of the callback address, in words for people; empty: it has none. The OpenAPI document has the same
    /// callback addresses for all plugins.
    pub callback: &'static str,
    /// Events it is told of.
    pub events: &'static [EventKind],
    /// Events it may raise, all of them [`EventKind::of_plugins`].
    pub raises: &'static [EventKind],
    /// Each tenant's plugin has them for itself.
    pub limits: PluginLimits,
}

/// How much a plugin may take of the gateway, for one tenant.
#[derive(Debug, Clone, Copy)]
pub struct PluginLimits {
    /// The longest a call may take.
    pub call: Duration,
    /// The longest a callback may take; platforms wait some seconds only.
    pub callback: Duration,
    /// The longest a page may take.
    pub page: Duration,
    /// The longest it may take over one event or one due document.
    pub work: Duration,
    /// Calls under way at the same time; likewise callbacks, pages, and events with due documents.
    pub at_once: usize,
    /// The longest body of a call or a callback, in bytes; never more than the gateway's own limit.
    pub body: usize,
}

/// How a call is made, and with that whether it has a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallMethod {
    /// Reads; has no body.
    Get,
    /// Changes; has a JSON object as its body, and may be sent again under its `Idempotency-Key`.
    Post,
}

/// Who may make a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// The merchant's backend, with an API key.
    Key,
    /// The backend, or a user of the mini-program with a session token.
    KeyOrSession,
}

/// One call of the plugin's own. A POST takes a JSON object and honours `Idempotency-Key`.
#[derive(Debug)]
pub struct CallSpec {
    /// What the plugin is told, and the `operationId` of the OpenAPI document; unique in the gateway.
    pub operation: &'static str,
    /// With [`CallSpec::path`] it tells the calls apart.
    pub method: CallMethod,
    /// The whole pattern, beginning with `/v1/{tenant}/`; other parts in braces are handed over.
    pub path: &'static str,
    /// Checked before the plugin is asked.
    pub access: Access,
    /// A line, in the imperative.
    pub summary: &'static str,
    /// More, or nothing.
    pub description: &'static str,
    /// The body of a POST.
    pub request: Option<&'static Schema>,
    /// HTTP's status of success, for the OpenAPI document.
    pub status: u16,
    /// What success means, for the OpenAPI document.
    pub answers: &'static str,
    /// The body of success, for the OpenAPI document.
    pub answer: &'static Schema,
}

/// A page of the plugin's own. The last part of its address says which tenant's it is: the tenant's
/// id, a dot, and what the plugin is asked for ([`super::Host::page_url`]).
#[derive(Debug)]
pub struct PageSpec {
    /// As [`CallSpec::operation`].
    pub operation: &'static str,
    /// The pattern, two parts of which the last is in braces: `/s/{share}`.
    pub path: &'static str,
    /// A line, in the imperative, for the OpenAPI document.
    pub summary: &'static str,
    /// What the page shows, for the OpenAPI document.
    pub answers: &'static str,
}

/// The form of a body.
#[derive(Debug)]
pub struct Schema {
    /// Its name in the OpenAPI document; unique in the gateway.
    pub name: &'static str,
    /// A JSON Schema (draft 2020-12) as text.
    pub json: &'static str,
}

//! What plugins add to the routing table.

use actix_web::web::{self, Data, Payload};
use actix_web::{HttpRequest, Route};
use dukou_spi::plugin::{CallMethod, CallSpec, PageSpec, PluginInfo};

use crate::auth::{Authenticated, BackendOrBuyer};
use crate::endpoints::{Access, Endpoint, Handler};
use crate::errors::ErrorCode;
use crate::gateway::Gateway;
use crate::routes::plugins;

/// Reads of a plugin's own.
const PLUGIN_GET: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::ProviderRefused,
    ErrorCode::NotFound,
    ErrorCode::ProviderUnavailable,
    ErrorCode::Unavailable,
    ErrorCode::ProviderTimeout,
];

/// What a plugin's own calls change.
const PLUGIN_POST: &[ErrorCode] = &[
    ErrorCode::InvalidRequest,
    ErrorCode::ProviderRefused,
    ErrorCode::NotFound,
    ErrorCode::RequestTimeout,
    ErrorCode::IdempotencyKeyConflict,
    ErrorCode::IdempotencyInProgress,
    ErrorCode::InvalidState,
    ErrorCode::BodyTooLarge,
    ErrorCode::UnsupportedMediaType,
    ErrorCode::ProviderUnavailable,
    ErrorCode::Unavailable,
    ErrorCode::ProviderTimeout,
];

/// Pages are for people, and count for their clients as calls of a mini-program do.
const PAGE: &[ErrorCode] =
    &[ErrorCode::InvalidRequest, ErrorCode::NotFound, ErrorCode::RateLimited, ErrorCode::Unavailable];

/// The calls and pages of one plugin.
pub fn of(info: &'static PluginInfo) -> Vec<Endpoint> {
    let calls = info.calls.iter().map(|spec| call(info.name, spec));
    let pages = info.pages.iter().map(|spec| Endpoint {
        method: "GET",
        path: spec.path,
        access: Access::Anyone,
        idempotent: false,
        errors: PAGE,
        handler: Handler::Page(info.name, spec),
    });
    calls.chain(pages).collect()
}

fn call(plugin: &'static str, spec: &'static CallSpec) -> Endpoint {
    let (method, idempotent, errors) = match spec.method {
        CallMethod::Get => ("GET", false, PLUGIN_GET),
        CallMethod::Post => ("POST", true, PLUGIN_POST),
    };
    let access = if plugins::for_buyers(spec) { Access::KeyOrSession } else { Access::Key };
    Endpoint { method, path: spec.path, access, idempotent, errors, handler: Handler::Call(plugin, spec) }
}

pub fn call_route(plugin: &'static str, spec: &'static CallSpec) -> Route {
    let route = match spec.method {
        CallMethod::Get => web::get(),
        CallMethod::Post => web::post(),
    };
    if plugins::for_buyers(spec) {
        route.to(move |gateway: Data<Gateway>, caller: BackendOrBuyer, request: HttpRequest, payload: Payload| {
            plugins::call(plugin, spec, gateway, caller, request, payload)
        })
    } else {
        route.to(move |gateway: Data<Gateway>, caller: Authenticated, request: HttpRequest, payload: Payload| {
            plugins::call_with_key(plugin, spec, gateway, caller, request, payload)
        })
    }
}

pub fn page_route(plugin: &'static str, spec: &'static PageSpec) -> Route {
    web::get().to(move |gateway: Data<Gateway>, request: HttpRequest| plugins::page(plugin, spec, gateway, request))
}

//! What belongs to plugins: their own calls, their callback addresses, their pages. Knows none of
//! them: requests go in as they came, and answers come out as the plugin wrote them.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::web::{Data, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use dukou_engine::plugin::PluginFailure;
use dukou_spi::plugin::{
    Access, CallMethod, CallSpec, Caller, PageSpec, PluginCall, PluginReply, PluginRequest, RequestMethod,
};
use serde_json::{Map, Value};

use super::notify::headers;
use crate::answer::Answer;
use crate::auth::{Authenticated, BackendOrBuyer, Principal};
use crate::gateway::Gateway;
use crate::problem::Problem;
use crate::{body, idempotency, json};

/// A platform or a browser comes to a plugin's callback address.
///
/// Query, body and answer are in the platform's own form.
#[utoipa::path(
    get, path = "/callback/{tenant}/{plugin}", operation_id = "getCallback", tag = "plugins",
    responses(
        (status = "2XX", description = "In the platform's own form, or a page."),
        (status = "default", description = "In the platform's own form, or a page: not taken."),
    )
)]
pub async fn get_callback(gateway: Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    callback(&gateway, &request, RequestMethod::Get, Bytes::new()).await
}

/// A platform reports to a plugin.
///
/// Body and answer are in the platform's own form.
#[utoipa::path(
    post, path = "/callback/{tenant}/{plugin}", operation_id = "postCallback", tag = "plugins",
    request_body(content = String, content_type = "*/*", description = "As the platform sends it."),
    responses(
        (status = "2XX", description = "In the platform's own form: taken."),
        (status = "default", description = "In the platform's own form: not taken."),
    )
)]
pub async fn post_callback(
    gateway: Data<Gateway>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let bytes = body::read_within(&request, payload, &gateway.config, limit(&gateway, &request)).await?;
    callback(&gateway, &request, RequestMethod::Post, bytes).await
}

/// Open one of a plugin's further addresses.
#[utoipa::path(
    get, path = "/callback/{tenant}/{plugin}/{rest}", operation_id = "getCallbackRest", tag = "plugins",
    responses(
        (status = "2XX", description = "In the platform's own form, or a page."),
        (status = "default", description = "In the platform's own form, or a page: not taken."),
    )
)]
pub async fn get_callback_rest(gateway: Data<Gateway>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    callback(&gateway, &request, RequestMethod::Get, Bytes::new()).await
}

/// A platform reports to one of a plugin's further addresses.
///
/// Body and answer are in the platform's own form.
#[utoipa::path(
    post, path = "/callback/{tenant}/{plugin}/{rest}", operation_id = "postCallbackRest", tag = "plugins",
    request_body(content = String, content_type = "*/*", description = "As the platform sends it."),
    responses(
        (status = "2XX", description = "In the platform's own form: taken."),
        (status = "default", description = "In the platform's own form: not taken."),
    )
)]
pub async fn post_callback_rest(
    gateway: Data<Gateway>,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    post_callback(gateway, request, payload).await
}

/// A call with an API key alone.
pub async fn call_with_key(
    plugin: &'static str,
    spec: &'static CallSpec,
    gateway: Data<Gateway>,
    caller: Authenticated,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let Authenticated { tenant, key } = caller;
    let caller = BackendOrBuyer { tenant, principal: Principal::Backend { key } };
    call(plugin, spec, gateway, caller, request, payload).await
}

/// A call of a plugin's own.
pub async fn call(
    plugin: &'static str,
    spec: &'static CallSpec,
    gateway: Data<Gateway>,
    caller: BackendOrBuyer,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let BackendOrBuyer { tenant, principal } = caller;
    let named = |principal: &Principal| match principal {
        Principal::Backend { key } => Caller::Backend { key: key.clone() },
        Principal::Buyer(session) => {
            Caller::Buyer { provider: session.provider.clone(), openid: session.openid.clone() }
        }
    };
    let path = request.match_info().iter().filter(|(name, _)| *name != "tenant");
    let path: BTreeMap<String, String> = path.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let asked = PluginCall {
        operation: spec.operation,
        caller: named(&principal),
        path,
        query: query(&request)?,
        body: Map::new(),
    };
    let host = gateway.plugins.clone();
    match spec.method {
        CallMethod::Get => {
            let shop = Arc::clone(&tenant);
            let running = gateway.spawn(async move { host.call(&shop, plugin, asked).await });
            let answer = running.await.map_err(|_| Problem::internal())?;
            respond(answer.map_err(|failure| problem(failure, plugin))?)
        }
        CallMethod::Post => {
            let limit = limit_of(&gateway, &tenant.id, plugin);
            let bytes = body::read_json_within(&request, payload, &gateway.config, limit).await?;
            let (shop, content) = (Arc::clone(&tenant), bytes.clone());
            let work = move |_| async move {
                let body = match json::parse(&content).map_err(|fault| Problem::invalid(vec![fault]))? {
                    Value::Object(body) => body,
                    _ => return Err(Problem::invalid_field("body", "expected a JSON object")),
                };
                let answer = host.call(&shop, plugin, PluginCall { body, ..asked }).await;
                let reply = answer.map_err(|failure| problem(failure, plugin))?;
                // What is kept under an idempotency key has no headers of its own.
                Ok(Answer { status: reply.status, body: reply.body })
            };
            match &principal {
                Principal::Backend { .. } => idempotency::run(&gateway, &request, &tenant, &bytes, work).await,
                Principal::Buyer(session) => {
                    idempotency::run_for_buyer(&gateway, &request, &tenant, session, &bytes, work).await
                }
            }
        }
    }
}

/// A page of a plugin's own: its last part says whose.
pub async fn page(
    plugin: &'static str,
    spec: &'static PageSpec,
    gateway: Data<Gateway>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let client = gateway.config.trusted_proxies.client(&request);
    gateway.limits.calls.client(&**gateway.engine.coordinator(), client).await?;
    let last = request.path().rsplit('/').next().unwrap_or_default();
    let (tenant, rest) = last.split_once('.').ok_or_else(no_page)?;
    let asked = PluginRequest {
        method: RequestMethod::Get,
        rest: rest.to_owned(),
        query: query(&request)?,
        headers: headers(request.headers()),
        body: Bytes::new(),
    };
    let (tenant, host) = (tenant.to_owned(), gateway.plugins.clone());
    let running = gateway.spawn(async move { host.page(&tenant, plugin, spec.operation, asked).await });
    match running.await.map_err(|_| Problem::internal())? {
        Ok(reply) => respond(reply),
        Err(PluginFailure::NotThere) => Err(no_page()),
        Err(failure) => Err(problem(failure, plugin)),
    }
}

async fn callback(
    gateway: &Data<Gateway>,
    request: &HttpRequest,
    method: RequestMethod,
    body: Bytes,
) -> Result<HttpResponse, Problem> {
    let part = |name: &str| request.match_info().get(name).unwrap_or_default().to_owned();
    let asked =
        PluginRequest { method, rest: part("rest"), query: query(request)?, headers: headers(request.headers()), body };
    let (tenant, plugin, host) = (part("tenant"), part("plugin"), gateway.plugins.clone());
    let named = plugin.clone();
    // Goes on when the platform hangs up.
    let running = gateway.spawn(async move { host.callback(&tenant, &plugin, asked).await });
    match running.await.map_err(|_| Problem::internal())? {
        Ok(reply) => respond(reply),
        Err(PluginFailure::NotThere) => Err(Problem::not_found("callback address")),
        Err(failure) => Err(problem(failure, &named)),
    }
}

fn limit(gateway: &Gateway, request: &HttpRequest) -> usize {
    let part = |name: &str| request.match_info().get(name).unwrap_or_default();
    match gateway.plugins.body_limit(part("tenant"), part("plugin")) {
        // Refused for another reason once it was read.
        0 => gateway.config.body_limit,
        limit => limit,
    }
}

fn limit_of(gateway: &Gateway, tenant: &dukou_domain::TenantId, plugin: &str) -> usize {
    match gateway.plugins.body_limit(tenant.as_str(), plugin) {
        0 => gateway.config.body_limit,
        limit => limit,
    }
}

fn query(request: &HttpRequest) -> Result<Vec<(String, String)>, Problem> {
    Query::<Vec<(String, String)>>::from_query(request.query_string())
        .map(Query::into_inner)
        .map_err(|_| Problem::invalid_field("query", "expected name=value pairs"))
}

fn respond(reply: PluginReply) -> Result<HttpResponse, Problem> {
    let status = StatusCode::from_u16(reply.status).map_err(|_| Problem::internal())?;
    let mut response = HttpResponse::build(status);
    for (name, value) in &reply.headers {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(*name), HeaderValue::from_str(value)) else {
            return Err(Problem::internal());
        };
        response.insert_header((name, value));
    }
    Ok(response.body(reply.body))
}

fn no_page() -> Problem {
    Problem::new(crate::errors::ErrorCode::NotFound, "there is nothing at this address")
}

fn problem(failure: PluginFailure, plugin: &str) -> Problem {
    match failure {
        PluginFailure::NotThere => Problem::new(
            crate::errors::ErrorCode::NotFound,
            format!("this tenant has no [plugins.{plugin}] in its configuration"),
        ),
        PluginFailure::Refused(error) => error.into(),
        PluginFailure::Busy | PluginFailure::TimedOut => {
            let detail = "the plugin has too much to do or did not answer in time; send the same request again later";
            let problem = Problem::new(crate::errors::ErrorCode::Unavailable, detail);
            Problem { retry_after: Some(5), ..problem }
        }
        PluginFailure::Panicked | PluginFailure::Nonsense(_) => Problem::internal(),
    }
}

/// Whether a call lets users of the mini-program in.
pub fn for_buyers(spec: &CallSpec) -> bool {
    match spec.access {
        Access::Key => false,
        Access::KeyOrSession => true,
    }
}

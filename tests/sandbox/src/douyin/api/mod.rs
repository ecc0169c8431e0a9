//! The platform's calls: the frame every one goes through. What a call does is in the modules below.

mod envelope;
mod event;
mod link;
mod login;
mod request;
mod share;
mod token;

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Map, Value};

use crate::faults::Fault;
use crate::journal::Entry;
use crate::platform::answer::Reply;
use crate::world::World;
use envelope::Envelope;

pub use envelope::log_id;
pub use login::withdraw;
use request::{Request, wanted};
pub use token::app;

const JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
const LOG_ID: HeaderName = HeaderName::from_static("x-tt-logid");

/// Why the platform refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub code: i64,
    pub description: String,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.code, self.description)
    }
}

impl Failure {
    pub fn new(code: i64, description: impl Into<String>) -> Self {
        Self { code, description: description.into() }
    }

    /// 10002: a field is missing or wrong.
    pub fn parameter(name: &str) -> Self {
        Self::new(10002, format!("参数错误: {name}"))
    }
}

/// The fields of a call's `data`, or a refusal.
pub type Outcome = Result<Map<String, Value>, Failure>;

fn fields<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The calls by path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    ClientToken,
    GetTicket,
    ShareId,
    GetShare,
    AccessToken,
    RefreshToken,
    RenewRefreshToken,
    UserInfo,
    Revoke,
    SendEvent,
}

const OPERATIONS: [(&str, Operation); 10] = [
    ("/oauth/client_token/", Operation::ClientToken),
    ("/open/getticket/", Operation::GetTicket),
    ("/share-id/", Operation::ShareId),
    ("/api/douyin/v1/schema/get_share/", Operation::GetShare),
    ("/oauth/access_token/", Operation::AccessToken),
    ("/oauth/refresh_token/", Operation::RefreshToken),
    ("/oauth/renew_refresh_token/", Operation::RenewRefreshToken),
    ("/oauth/userinfo/", Operation::UserInfo),
    ("/oauth/revoke/", Operation::Revoke),
    ("/sandbox/webhook/event/send/", Operation::SendEvent),
];

/// Every operation, by which faults find them.
pub fn operations() -> impl Iterator<Item = &'static str> {
    OPERATIONS.into_iter().map(|(_, operation)| operation.name())
}

impl Operation {
    /// The name for faults and the journal.
    fn name(self) -> &'static str {
        match self {
            Self::ClientToken => "client_token",
            Self::GetTicket => "getticket",
            Self::ShareId => "share_id",
            Self::GetShare => "get_share",
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
            Self::RenewRefreshToken => "renew_refresh_token",
            Self::UserInfo => "userinfo",
            Self::Revoke => "revoke",
            Self::SendEvent => "event_send",
        }
    }

    fn envelope(self) -> Envelope {
        match self {
            Self::GetTicket | Self::ShareId | Self::UserInfo | Self::Revoke | Self::SendEvent => Envelope::E1,
            Self::ClientToken | Self::AccessToken | Self::RefreshToken | Self::RenewRefreshToken => Envelope::E2,
            Self::GetShare => Envelope::E3,
        }
    }

    fn takes(self, method: &str) -> bool {
        match self {
            Self::GetTicket => method == "GET",
            // The documents say GET; POST with the same query is in use and works.
            Self::ShareId => matches!(method, "GET" | "POST"),
            _ => method == "POST",
        }
    }

    fn run(self, world: &World, request: &Request) -> Outcome {
        match self {
            Self::ClientToken => token::client_token(world, request),
            Self::GetTicket => share::ticket(world, request),
            Self::ShareId => share::share_id(world, request),
            Self::GetShare => link::get_share(world, request),
            Self::AccessToken => login::access_token(world, request),
            Self::RefreshToken => login::refresh_token(world, request),
            Self::RenewRefreshToken => login::renew_refresh_token(world, request),
            Self::UserInfo => login::user_info(world, request),
            Self::Revoke => login::revoke(world, request),
            Self::SendEvent => event::send(world, request),
        }
    }
}

pub fn routes(config: &mut web::ServiceConfig) {
    for (path, operation) in OPERATIONS {
        let handler = move |world: web::Data<World>, request: HttpRequest, body: web::Bytes| async move {
            let call = Request::new(&request, body);
            // On its own task: a client that hangs up does not undo a call.
            let handled = actix_web::rt::spawn(handle(world.into_inner(), operation, call)).await;
            let (reply, log_id) = handled.unwrap_or((Reply::Close, String::new()));
            respond(reply, &log_id)
        };
        config.service(web::resource(path).route(web::route().to(handler)));
    }
}

fn respond(reply: Reply, log_id: &str) -> HttpResponse {
    let is_page = reply.status() != Some(200);
    let mut response = reply.into_response();
    if !is_page {
        response.headers_mut().insert(CONTENT_TYPE, JSON);
    }
    if let Ok(value) = HeaderValue::from_str(log_id) {
        response.headers_mut().insert(LOG_ID, value);
    }
    response
}

async fn pause(ms: u64) {
    actix_web::rt::time::sleep(Duration::from_millis(ms)).await;
}

async fn handle(world: Arc<World>, operation: Operation, request: Request) -> (Reply, String) {
    let log_id = envelope::log_id(world.clock.now());
    let client_key = request.client_key(&world);
    let fault = world.douyin.faults.take(operation.name(), client_key.as_deref());
    let write = |outcome: &Outcome| Reply::json(operation.envelope().write(&world, outcome, &log_id));
    let run = || {
        if operation.takes(&request.method) {
            write(&operation.run(&world, &request))
        } else {
            Reply::page(405, "405 Method Not Allowed")
        }
    };
    let refused = |code: &str, description: &str| {
        write(&Err(Failure::new(
            code.parse().unwrap_or(-1),
            if description.is_empty() { "系统繁忙" } else { description },
        )))
    };
    let effect = |wanted: bool| {
        if wanted {
            run();
        }
    };
    let mut hang = None;
    let reply = match &fault {
        Some(Fault::Delay { ms }) => {
            pause(*ms).await;
            run()
        }
        Some(Fault::Drop) => Reply::Close,
        Some(Fault::LoseAnswer) => {
            let reply = run();
            // Shown as it would have been; what leaves is nothing.
            journal(&world, operation, &request, client_key, &reply, fault.as_ref());
            return (Reply::Close, log_id);
        }
        Some(Fault::Hang { ms, after_effect }) => {
            effect(*after_effect);
            hang = Some(*ms);
            Reply::Close
        }
        Some(Fault::ErrCode { code, description, after_effect, .. }) => {
            effect(*after_effect);
            refused(code, description)
        }
        Some(Fault::ReturnFail { message }) => refused("-1", message),
        Some(Fault::Http { status, body, after_effect }) => {
            effect(*after_effect);
            Reply::page(*status, body)
        }
        Some(fault @ (Fault::SlowBody { .. } | Fault::CutBody)) => run().dragged(Some(fault)),
        Some(Fault::Truncate) => {
            let mut text = run().text();
            let half = (0..=text.len() / 2).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            text.truncate(half);
            Reply::json(text)
        }
        Some(Fault::DuplicateField) => Reply::json(run().text().replacen('{', "{\"data\":{},", 1)),
        Some(Fault::HugeAnswer { bytes }) => {
            let padding = format!("{{\"sandbox_padding\":\"{}\",", "x".repeat(*bytes));
            Reply::json(run().text().replacen('{', &padding, 1))
        }
        // The faults of signed answers cannot be set.
        Some(_) | None => run(),
    };
    journal(&world, operation, &request, client_key, &reply, fault.as_ref());
    if let Some(ms) = hang {
        pause(ms).await;
    }
    (reply, log_id)
}

/// The entry of a call, written before any answer leaves, so that a checker never misses an effect.
fn journal(
    world: &World,
    operation: Operation,
    request: &Request,
    client_key: Option<String>,
    reply: &Reply,
    fault: Option<&Fault>,
) {
    let query: Vec<String> = request.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    world.journal.push(Entry {
        at: world.clock.now(),
        operation: operation.name(),
        method: request.method.clone(),
        url: format!("{}{query}", request.path),
        client_key,
        request: envelope::without_secrets(&String::from_utf8_lossy(&request.body)),
        status: reply.status(),
        response: envelope::without_secrets(&reply.text()),
        note: fault.map(|fault| format!("fault: {}", fault.name())),
        ..Entry::default()
    });
}

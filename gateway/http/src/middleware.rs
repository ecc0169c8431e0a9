//! What happens around every request: an id, one log line, counting, and an error document
//! whatever went wrong.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Instant;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::Data;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, ResponseError};
use bytes::Bytes;
use futures_util::{FutureExt, Stream};
use tracing::Instrument;
use uuid::Uuid;

use crate::auth::Caller;
use crate::connection::{Activity, BodyToCome};
use crate::endpoints::{self, Endpoint};
use crate::errors::ErrorCode;
use crate::gateway::{Gateway, HttpTelemetry};
use crate::head;
use crate::problem::Problem;
use crate::store_trouble::StoreTrouble;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const MAX_REQUEST_ID: usize = 64;
/// No number is longer, in any tenant or at any platform.
const MAX_TRADE_NUMBER: usize = 64;

/// What the middleware of one listener works with.
pub struct Edge {
    /// Counts requests and writes their log lines; `None` on the admin listener, whose probes
    /// would drown both.
    pub telemetry: Option<Arc<dyn HttpTelemetry>>,
    /// What the listener serves: requests are counted by its addresses.
    pub endpoints: Arc<[Endpoint]>,
    pub(crate) store_trouble: StoreTrouble,
}

#[derive(Clone)]
struct RequestId(String);

/// The payment that a request was about, for its log line.
#[derive(Clone, Default)]
pub struct TradeNumber(Arc<OnceLock<String>>);

impl TradeNumber {
    /// Leaves a place with a request for a number that is not in its address.
    pub fn of(request: &HttpRequest) -> Self {
        let place = TradeNumber::default();
        request.extensions_mut().insert(place.clone());
        place
    }

    /// The first one counts.
    pub fn set(&self, number: &str) {
        let _ = self.0.set(number.to_owned());
    }
}

/// The id that the middleware gave this request.
pub fn request_id(request: &HttpRequest) -> String {
    request.extensions().get::<RequestId>().map_or_else(String::new, |id| id.0.clone())
}

/// Wraps the whole application of a listener. Needs `Data<Edge>` among its data.
///
/// # Errors
/// Only when a handler panicked: a problem document, with the connection kept.
pub async fn around(mut request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let _busy = request.conn_data::<Activity>().map(Activity::begin);
    let id = incoming_id(&request).unwrap_or_else(|| Uuid::now_v7().to_string());
    request.extensions_mut().insert(RequestId(id.clone()));
    let edge = request.app_data::<Data<Edge>>().map(|edge| Arc::clone(edge));
    let route =
        edge.as_ref().and_then(|edge| endpoints::pattern(&edge.endpoints, request.path())).unwrap_or("unmatched");
    let telemetry = edge.as_ref().and_then(|edge| edge.telemetry.as_deref());
    let method = method_label(request.method());
    let is_head = head::take(&mut request);
    let to_come = request.conn_data::<Activity>().map(Activity::expect_body);
    let (request, unread) = watch_payload(request, to_come);

    let span = tracing::info_span!("request", request_id = %id, route, method);
    if let Some(telemetry) = telemetry {
        let traceparent = request.headers().get("traceparent").and_then(|value| value.to_str().ok());
        telemetry.begin(&span, traceparent);
    }
    let handled = AssertUnwindSafe(async { next.call(request).await }).catch_unwind().instrument(span.clone()).await;
    // The request's own line says what the span says, so that it stands outside of it.
    let mut ended = span.in_scope(|| match handled {
        Ok(Ok(response)) => Ok(with_problem(response, &id, edge.as_deref())),
        Ok(Err(error)) => Err(as_problem(&error)),
        Err(_) => {
            tracing::error!(request_id = id, "a handler panicked");
            Err(Problem::internal())
        }
    });

    if let Ok(response) = &mut ended {
        if let Ok(value) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        let request = response.request();
        let caller = request.extensions().get::<Caller>().cloned().or_else(|| addressed(request));
        let left = request.extensions().get::<TradeNumber>().cloned().unwrap_or_default();
        let number = left.0.get().map(String::as_str).or(request.match_info().get("out_trade_no"));
        let status = response.status().as_u16();
        tell(telemetry, &id, route, method, status, caller.as_ref(), number, started);
    } else if let Err(problem) = &ended {
        tell(telemetry, &id, route, method, problem.code.status(), None, None, started);
    }
    match ended {
        Ok(response) if is_head => Ok(close_if_unread(head::without_body(response), unread)),
        Ok(response) => Ok(close_if_unread(response, unread)),
        Err(problem) => Err(Error::from(Rendered { problem, id })),
    }
}

#[allow(clippy::too_many_arguments, reason = "the fields of one line")]
fn tell(
    telemetry: Option<&dyn HttpTelemetry>,
    request_id: &str,
    route: &str,
    method: &'static str,
    status: u16,
    caller: Option<&Caller>,
    out_trade_no: Option<&str>,
    started: Instant,
) {
    let Some(telemetry) = telemetry else { return };
    let took = started.elapsed();
    telemetry.request(route, method, status, took);
    let (tenant, key) = caller.map_or(("", ""), |caller| (&caller.tenant, &caller.key));
    let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    // An address may hold anything; what is longer is no number.
    let out_trade_no = out_trade_no.filter(|number| number.len() <= MAX_TRADE_NUMBER).unwrap_or_default();
    tracing::info!(request_id, tenant, key, out_trade_no, route, method, status, ms, "request");
}

/// Who is called where nobody had to say who they are, such as a platform that notifies. The name comes from the
/// configuration: an address that names no tenant of it stays without one.
fn addressed(request: &HttpRequest) -> Option<Caller> {
    let gateway = request.app_data::<Data<Gateway>>()?;
    let tenant = gateway.engine.tenants().find_even_removed(request.match_info().get("tenant")?)?;
    Some(Caller { tenant: tenant.id.to_string(), key: String::new() })
}

/// The caller's own id, where it is short and plain enough for a log.
fn incoming_id(request: &ServiceRequest) -> Option<String> {
    let id = request.headers().get(REQUEST_ID)?.to_str().ok()?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    ((1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(plain)).then(|| id.to_owned())
}

/// Methods come from the wire; a label must come from a closed list.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        _ => "OTHER",
    }
}

/// Puts the request's id into an error answer; errors that are not ours get a document too.
fn with_problem(response: ServiceResponse<BoxBody>, id: &str, edge: Option<&Edge>) -> ServiceResponse<BoxBody> {
    let Some(mut problem) = response.response().error().map(as_problem) else { return response };
    if let Some((edge, why)) = edge.zip(problem.store.take()) {
        edge.store_trouble.note(why);
    }
    response.into_response(problem.response(id))
}

fn as_problem(error: &Error) -> Problem {
    if let Some(problem) = error.as_error::<Problem>() {
        return problem.clone();
    }
    let status = error.as_response_error().status_code();
    match status {
        StatusCode::NOT_FOUND => Problem::new(ErrorCode::NotFound, "there is nothing at this address"),
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(ErrorCode::BodyTooLarge, "the body is too large").closing(),
        status if status.is_client_error() => Problem::new(ErrorCode::InvalidRequest, "the request cannot be read"),
        _ => {
            tracing::error!(%error, "an error without a code of its own");
            Problem::internal()
        }
    }
}

/// A problem as an error of the whole application, where there is no request left to answer.
#[derive(Debug)]
struct Rendered {
    problem: Problem,
    id: String,
}

impl std::fmt::Display for Rendered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.problem.fmt(f)
    }
}

impl ResponseError for Rendered {
    fn status_code(&self) -> StatusCode {
        self.problem.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = self.problem.response(&self.id);
        if let Ok(value) = HeaderValue::from_str(&self.id) {
            response.headers_mut().insert(REQUEST_ID, value);
        }
        response
    }
}

/// A request body that remembers whether it was read to its end.
struct Watched {
    payload: Payload,
    ended: bool,
    to_come: Option<BodyToCome>,
}

type BoxedPayloadStream = Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>>;
type SharedPayload = Rc<RefCell<Watched>>;

struct Reader(SharedPayload);

impl Stream for Reader {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut watched = self.0.borrow_mut();
        let polled = Pin::new(&mut watched.payload).poll_next(context);
        if matches!(polled, Poll::Ready(None)) {
            watched.ended = true;
            watched.to_come = None;
        }
        polled
    }
}

fn watch_payload(request: ServiceRequest, to_come: Option<BodyToCome>) -> (ServiceRequest, Option<SharedPayload>) {
    let (request, payload) = request.into_parts();
    if matches!(payload, Payload::None) {
        return (ServiceRequest::from_parts(request, payload), None);
    }
    let shared = Rc::new(RefCell::new(Watched { payload, ended: false, to_come }));
    let reader: BoxedPayloadStream = Box::pin(Reader(Rc::clone(&shared)));
    let payload = Payload::Stream { payload: reader };
    (ServiceRequest::from_parts(request, payload), Some(shared))
}

/// Ends the connection after the answer when the request's body was not read to its end. Holding
/// the unread body until the answer is out matters: the server drains a body that was
/// dropped, for as long as its sender likes.
fn close_if_unread(response: ServiceResponse<BoxBody>, unread: Option<SharedPayload>) -> ServiceResponse<BoxBody> {
    let Some(unread) = unread.filter(|unread| !unread.borrow().ended) else { return response };
    let mut response = response.map_body(|_, body| BoxBody::new(Holding { body, _unread: unread }));
    response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    response
}

struct Holding {
    body: BoxBody,
    _unread: SharedPayload,
}

impl MessageBody for Holding {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(context)
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::gateway::HttpConfig;
    use crate::testing_engine::gateway;

    #[actix_web::test]
    async fn only_a_tenant_of_the_configuration_is_named() {
        let gateway = Data::new(gateway(HttpConfig::default()).0);
        for (named, tenant) in
            [("bookshop", Some("bookshop")), ("nobody", None), ("Bookshop", None), ("book shop", None), ("", None)]
        {
            let request = TestRequest::post().app_data(gateway.clone()).param("tenant", named).to_http_request();
            let found = addressed(&request).map(|caller| (caller.tenant, caller.key));
            assert_eq!(found, tenant.map(|tenant| (tenant.to_owned(), String::new())), "{named:?}");
        }
        let elsewhere = TestRequest::get().app_data(gateway).to_http_request();
        assert!(addressed(&elsewhere).is_none());
    }
}

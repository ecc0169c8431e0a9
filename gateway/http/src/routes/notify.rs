//! Where the platforms report. Knows no platform's format: bytes and headers go in as they came,
//! and the reply comes out as the provider wrote it.

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use dukou_spi::{NotifyKind, NotifyReply, RawNotify};

use crate::body;
use crate::gateway::Gateway;
use crate::middleware::TradeNumber;
use crate::problem::Problem;

/// A platform reports a payment.
///
/// Body and answer are in the platform's own form.
#[utoipa::path(
    post, path = "/notify/{tenant}/{provider}/payment", operation_id = "notifyPayment", tag = "notify",
    request_body(content = String, content_type = "*/*", description = "As the platform sends it."),
    responses(
        (status = "2XX", description = "In the platform's own form: taken, or with some platforms also not taken."),
        (status = "default", description = "In the platform's own form: not taken, to be sent again."),
    )
)]
pub async fn payment(gateway: Data<Gateway>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Problem> {
    receive(&gateway, &request, payload, NotifyKind::Payment).await
}

/// A platform reports a refund.
///
/// Body and answer are in the platform's own form.
#[utoipa::path(
    post, path = "/notify/{tenant}/{provider}/refund", operation_id = "notifyRefund", tag = "notify",
    request_body(content = String, content_type = "*/*", description = "As the platform sends it."),
    responses(
        (status = "2XX", description = "In the platform's own form: taken, or with some platforms also not taken."),
        (status = "default", description = "In the platform's own form: not taken, to be sent again."),
    )
)]
pub async fn refund(gateway: Data<Gateway>, request: HttpRequest, payload: Payload) -> Result<HttpResponse, Problem> {
    receive(&gateway, &request, payload, NotifyKind::Refund).await
}

async fn receive(
    gateway: &Gateway,
    request: &HttpRequest,
    payload: Payload,
    kind: NotifyKind,
) -> Result<HttpResponse, Problem> {
    if request.uri().query().is_some() {
        return Err(Problem::invalid_field("query", "expected an address without a query string"));
    }
    let path = request.match_info();
    let tenant = path.get("tenant").unwrap_or_default();
    let provider = path.get("provider").unwrap_or_default();
    let bytes = match body::read_message(request, payload, &gateway.config).await {
        Ok(bytes) => bytes,
        Err(problem) => {
            // The status says what is wrong; as an answer the platform reads its own form alone.
            let Some(reply) = gateway.engine.refuse_notify(tenant, provider, kind, &problem.detail) else {
                return Err(problem);
            };
            return answer(NotifyReply { status: problem.code.status(), ..reply }, problem.close);
        }
    };
    let raw = RawNotify { kind, headers: headers(request.headers()), body: bytes };
    let notified =
        gateway.engine.notify(tenant, provider, raw).await.ok_or_else(|| Problem::not_found("notify address"))?;
    if let Some(number) = &notified.number {
        TradeNumber::of(request).set(number);
    }
    answer(notified.reply, false)
}

fn answer(reply: NotifyReply, close: bool) -> Result<HttpResponse, Problem> {
    let status = StatusCode::from_u16(reply.status).map_err(|error| {
        tracing::error!(%error, status = reply.status, "a provider's reply has a status that is none");
        Problem::internal()
    })?;
    let mut response = HttpResponse::build(status);
    if close {
        response.force_close();
    }
    if reply.body.is_empty() {
        return Ok(response.finish());
    }
    Ok(response.content_type(reply.content_type).body(reply.body))
}

/// All headers, names in lower case. A value that is not ASCII cannot be part of any signature we
/// check and is left out.
pub(super) fn headers(headers: &HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect()
}

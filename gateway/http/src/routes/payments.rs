//! Payments: create, read, list, invoke, close.

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use dukou_domain::{PaymentState, ProviderName};
use dukou_engine::records::PaymentFilter;
use dukou_engine::unknown_provider;

use super::out_trade_no;
use crate::answer::Answer;
use crate::auth::{Authenticated, BackendOrBuyer, Principal};
use crate::cursor::List;
use crate::dto::{
    CreatePaymentBody, InvokePaymentBody, PaymentBody, PaymentList, read_buyers_invoke, read_create, read_invoke,
};
use crate::fields::parse_moment;
use crate::gateway::Gateway;
use crate::middleware::TradeNumber;
use crate::problem::Problem;
use crate::query::Parameters;
use crate::{body, idempotency, json};

/// Create a payment.
///
/// The same `out_trade_no` with the same content again is the same payment, with a freshly signed
/// `invoke`. Then `client_ip` may differ, `payer` and `expires_at` may be left out, and a login code is not used again.
#[utoipa::path(
    post, path = "/v1/{tenant}/payments", operation_id = "createPayment", tag = "payments", request_body = CreatePaymentBody,
    responses(
        (status = 201, description = "It was created.", body = PaymentBody),
        (status = 200, description = "It was there, with the same content.", body = PaymentBody),
    )
)]
pub async fn create(
    gateway: Data<Gateway>,
    caller: Authenticated,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    Parameters::read(request.query_string(), &[])?.finish()?;
    let bytes = body::read_json(&request, payload, &gateway.config).await?;
    let tenant = caller.tenant;
    let engine = Arc::clone(&gateway.engine);
    let peer = gateway.config.trusted_proxies.client(&request);
    let (shop, content) = (Arc::clone(&tenant), bytes.clone());
    let number = TradeNumber::of(&request);
    idempotency::run(&gateway, &request, &tenant, &bytes, move |made_number| async move {
        let content = json::parse(&content).map_err(|fault| Problem::invalid(vec![fault]))?;
        let unknown = |name: &ProviderName| (!shop.providers.contains_key(name)).then(|| unknown_provider(&shop, name));
        let command =
            read_create(content, made_number, peer, engine.clock().now(), unknown).map_err(Problem::invalid)?;
        number.set(command.out_trade_no.as_str());
        let answer = engine.create_payment(&shop, command).await?;
        let status = if answer.created { 201 } else { 200 };
        Answer::json(status, &PaymentBody::from(answer))
    })
    .await
}

/// Read a payment. With a session token: only the payer's own.
#[utoipa::path(
    get, path = "/v1/{tenant}/payments/{out_trade_no}", operation_id = "getPayment", tag = "payments",
    params(("refresh" = Option<bool>, Query, description = "Ask the provider first.")),
    responses((status = 200, description = "The payment.", body = PaymentBody))
)]
pub async fn read(
    gateway: Data<Gateway>,
    caller: BackendOrBuyer,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let number = out_trade_no(&request)?;
    let mut parameters = Parameters::read(request.query_string(), &["refresh"])?;
    let refresh = parameters.flag("refresh");
    parameters.finish()?;
    let (engine, tenant) = (&gateway.engine, &caller.tenant);
    let shown = match &caller.principal {
        Principal::Backend { .. } => PaymentBody::from(engine.payment(tenant, &number, refresh).await?),
        Principal::Buyer(session) => {
            let answer = engine.payment_of_buyer(tenant, &number, &session.openid, refresh).await?;
            PaymentBody::from(answer).for_buyer()
        }
    };
    Ok(Answer::json(200, &shown)?.response())
}

/// List payments, newest first.
#[utoipa::path(
    get, path = "/v1/{tenant}/payments", operation_id = "listPayments", tag = "payments",
    params(
        ("status" = Option<String>, Query, description = "Only those in this state, one of the words of `status`."),
        ("created_after" = Option<String>, Query, description = "Only those created after this moment (RFC 3339)."),
        ("cursor" = Option<String>, Query, description = "Where the page begins: `next_cursor` of the page before."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Length of the page; left out: 20."),
    ),
    responses((status = 200, description = "A page of payments.", body = PaymentList))
)]
pub async fn list(
    gateway: Data<Gateway>,
    caller: Authenticated,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let mut parameters = Parameters::read(request.query_string(), &["status", "created_after", "cursor", "limit"])?;
    let filter = PaymentFilter {
        tenant: caller.tenant.id.clone(),
        state: parameters.one_of("status", &PaymentState::ALL.map(PaymentState::as_str), PaymentState::parse),
        created_after: parameters.get("created_after", "a time as in 2026-11-23T10:00:00Z (RFC 3339)", parse_moment),
        cursor: parameters.cursor(List::Payments),
        limit: parameters.page_length(),
    };
    parameters.finish()?;
    let page = gateway.engine.payments(filter).await?;
    let list = PaymentList {
        data: page.items.iter().map(PaymentBody::from).collect(),
        next_cursor: page.next.map(|next| List::Payments.encode(next)),
    };
    Ok(Answer::json(200, &list)?.response())
}

/// Have an unpaid payment paid this way, or another way than before.
///
/// With an API key `provider` and `method` are required. With a session token the payer is
/// the session's user, and the body may be left out; it pays what is theirs, or a `jsapi` payment that was created
/// without a payer and that nobody pays yet, which is theirs from then on. An attempt through another channel is closed
/// at its platform first. A payment has 20 attempts at most, of which a session makes none beyond the tenth.
#[utoipa::path(
    post, path = "/v1/{tenant}/payments/{out_trade_no}/invoke", operation_id = "invokePayment", tag = "payments",
    request_body(content = Option<InvokePaymentBody>),
    responses((status = 200, description = "The payment, with `invoke`.", body = PaymentBody))
)]
pub async fn invoke(
    gateway: Data<Gateway>,
    caller: BackendOrBuyer,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let number = out_trade_no(&request)?;
    Parameters::read(request.query_string(), &[])?.finish()?;
    let bytes = body::read(&request, payload, &gateway.config).await?;
    if !bytes.is_empty() {
        body::require_json(request.headers())?;
    }
    let BackendOrBuyer { tenant, principal } = caller;
    let engine = Arc::clone(&gateway.engine);
    let (shop, content) = (Arc::clone(&tenant), bytes.clone());
    let buyer = match principal {
        Principal::Backend { .. } => None,
        Principal::Buyer(session) => Some(session),
    };
    let session = buyer.clone();
    let peer = gateway.config.trusted_proxies.client(&request);
    let work = move |_| async move {
        let content = if content.is_empty() { Bytes::from_static(b"{}") } else { content };
        let content = json::parse(&content).map_err(|fault| Problem::invalid(vec![fault]))?;
        let command = match &session {
            None => read_invoke(content),
            Some(session) => read_buyers_invoke(content, session, peer),
        };
        let answer = engine.invoke_payment(&shop, &number, command.map_err(Problem::invalid)?).await?;
        let shown = PaymentBody::from(answer);
        Answer::json(200, &if session.is_some() { shown.for_buyer() } else { shown })
    };
    match &buyer {
        None => idempotency::run(&gateway, &request, &tenant, &bytes, work).await,
        Some(buyer) => idempotency::run_for_buyer(&gateway, &request, &tenant, buyer, &bytes, work).await,
    }
}

/// Close an unpaid payment, at the provider first.
///
/// 409 `invalid_state` where the provider says that it is paid, also while it does not show the success yet.
#[utoipa::path(
    post, path = "/v1/{tenant}/payments/{out_trade_no}/close", operation_id = "closePayment", tag = "payments",
    responses((status = 200, description = "The payment, closed; also when it was closed before.", body = PaymentBody))
)]
pub async fn close(
    gateway: Data<Gateway>,
    caller: Authenticated,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let number = out_trade_no(&request)?;
    Parameters::read(request.query_string(), &[])?.finish()?;
    let bytes = body::read_nothing(&request, payload, &gateway.config).await?;
    let tenant = caller.tenant;
    let engine = Arc::clone(&gateway.engine);
    let shop = Arc::clone(&tenant);
    idempotency::run(&gateway, &request, &tenant, &bytes, move |_| async move {
        let payment = engine.close_payment(&shop, &number).await?;
        Answer::json(200, &PaymentBody::from(&payment))
    })
    .await
}

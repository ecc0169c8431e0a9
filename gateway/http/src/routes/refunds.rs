//! Refunds: create, read, list.

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use dukou_engine::EngineError;
use futures_util::future::try_join_all;

use super::{out_refund_no, out_trade_no};
use crate::answer::Answer;
use crate::auth::Authenticated;
use crate::dto::{CreateRefundBody, RefundBody, RefundList, read_refund};
use crate::gateway::Gateway;
use crate::problem::Problem;
use crate::query::Parameters;
use crate::{body, idempotency, json};

/// Questions to a provider under way for one list.
const ASKED_AT_ONCE: usize = 8;

/// Refund all or part of a payment.
///
/// The same `out_refund_no` is refunded once, however often it is sent. One that the provider could not be given now
/// is `processing` all the same: it is recorded and will be made, so give the money back under no other number.
#[utoipa::path(
    post, path = "/v1/{tenant}/payments/{out_trade_no}/refunds", operation_id = "createRefund", tag = "refunds", request_body = CreateRefundBody,
    responses(
        (status = 201, description = "It is recorded, and will be made.", body = RefundBody),
        (status = 200, description = "It was there, with the same content.", body = RefundBody),
    )
)]
pub async fn create(
    gateway: Data<Gateway>,
    caller: Authenticated,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let number = out_trade_no(&request)?;
    Parameters::read(request.query_string(), &[])?.finish()?;
    let bytes = body::read_json(&request, payload, &gateway.config).await?;
    let tenant = caller.tenant;
    let engine = Arc::clone(&gateway.engine);
    let (shop, content) = (Arc::clone(&tenant), bytes.clone());
    idempotency::run(&gateway, &request, &tenant, &bytes, move |_| async move {
        let content = json::parse(&content).map_err(|fault| Problem::invalid(vec![fault]))?;
        let command = read_refund(content).map_err(Problem::invalid)?;
        let answer = engine.create_refund(&shop, &number, command).await?;
        let status = if answer.created { 201 } else { 200 };
        Answer::json(status, &RefundBody::from(&answer.refund))
    })
    .await
}

/// List a payment's refunds, oldest first.
#[utoipa::path(
    get, path = "/v1/{tenant}/payments/{out_trade_no}/refunds", operation_id = "listRefunds", tag = "refunds",
    params(("refresh" = Option<bool>, Query, description = "Ask the provider first, about each that is under way.")),
    responses((status = 200, description = "All of them.", body = RefundList))
)]
pub async fn list(
    gateway: Data<Gateway>,
    caller: Authenticated,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let number = out_trade_no(&request)?;
    let mut parameters = Parameters::read(request.query_string(), &["refresh"])?;
    let refresh = parameters.flag("refresh");
    parameters.finish()?;
    let refunds = gateway.engine.refunds(&caller.tenant, &number).await?;
    let mut data = Vec::with_capacity(refunds.len());
    let (engine, tenant) = (&gateway.engine, &caller.tenant);
    for some in refunds.chunks(ASKED_AT_ONCE) {
        let shown = some.iter().map(|refund| async move {
            if refresh && refund.state.is_open() {
                let asked = engine.refund(tenant, &refund.out_refund_no, true).await?;
                return Ok(RefundBody::from(&asked));
            }
            Ok::<_, EngineError>(RefundBody::from(refund))
        });
        data.extend(try_join_all(shown).await?);
    }
    Ok(Answer::json(200, &RefundList { data, next_cursor: None })?.response())
}

/// Read a refund.
#[utoipa::path(
    get, path = "/v1/{tenant}/refunds/{out_refund_no}", operation_id = "getRefund", tag = "refunds",
    params(("refresh" = Option<bool>, Query, description = "Ask the provider first.")),
    responses((status = 200, description = "The refund.", body = RefundBody))
)]
pub async fn read(
    gateway: Data<Gateway>,
    caller: Authenticated,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let number = out_refund_no(&request)?;
    let mut parameters = Parameters::read(request.query_string(), &["refresh"])?;
    let refresh = parameters.flag("refresh");
    parameters.finish()?;
    let refund = gateway.engine.refund(&caller.tenant, &number, refresh).await?;
    Ok(Answer::json(200, &RefundBody::from(&refund))?.response())
}

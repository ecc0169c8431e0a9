//! What buyers ask for, and what the merchant says to it.

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use dukou_domain::{RefundRequestId, RefundRequestState};
use dukou_engine::records::RefundRequestFilter;
use dukou_engine::{CreateRefundRequest, Decision};

use super::out_trade_no;
use crate::answer::Answer;
use crate::auth::{Authenticated, Buyer};
use crate::cursor::List;
use crate::dto::{CreateRefundRequestBody, RefundRequestBody, RefundRequestList, read_refund_request};
use crate::gateway::Gateway;
use crate::problem::Problem;
use crate::query::Parameters;
use crate::{body, idempotency, json};

/// Ask for a refund, as the buyer.
///
/// No money moves until the merchant approves. A payment has at most one pending request.
#[utoipa::path(
    post, path = "/v1/{tenant}/payments/{out_trade_no}/refund-requests", operation_id = "createRefundRequest", tag = "refund requests",
    request_body = CreateRefundRequestBody,
    responses((status = 201, description = "The merchant was told.", body = RefundRequestBody))
)]
pub async fn create(
    gateway: Data<Gateway>,
    caller: Buyer,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let number = out_trade_no(&request)?;
    Parameters::read(request.query_string(), &[])?.finish()?;
    let bytes = body::read_json(&request, payload, &gateway.config).await?;
    let Buyer { tenant, session } = caller;
    let engine = Arc::clone(&gateway.engine);
    let (shop, content, openid) = (Arc::clone(&tenant), bytes.clone(), session.openid.clone());
    idempotency::run_for_buyer(&gateway, &request, &tenant, &session, &bytes, move |_| async move {
        let content = json::parse(&content).map_err(|fault| Problem::invalid(vec![fault]))?;
        let (amount, reason) = read_refund_request(content).map_err(Problem::invalid)?;
        let command = CreateRefundRequest { openid, amount, reason };
        let entered = engine.request_refund(&shop, &number, command).await?;
        Answer::json(201, &RefundRequestBody::from(&entered))
    })
    .await
}

/// List refund requests, newest first.
#[utoipa::path(
    get, path = "/v1/{tenant}/refund-requests", operation_id = "listRefundRequests", tag = "refund requests",
    params(
        ("status" = Option<String>, Query, description = "Only those in this state: `pending`, `approved` or `rejected`."),
        ("cursor" = Option<String>, Query, description = "Where the page begins: `next_cursor` of the page before."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Length of the page; left out: 20."),
    ),
    responses((status = 200, description = "A page of refund requests.", body = RefundRequestList))
)]
pub async fn list(
    gateway: Data<Gateway>,
    caller: Authenticated,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let mut parameters = Parameters::read(request.query_string(), &["status", "cursor", "limit"])?;
    let filter = RefundRequestFilter {
        tenant: caller.tenant.id.clone(),
        state: parameters.one_of(
            "status",
            &RefundRequestState::ALL.map(RefundRequestState::as_str),
            RefundRequestState::parse,
        ),
        cursor: parameters.cursor(List::RefundRequests),
        limit: parameters.page_length(),
    };
    parameters.finish()?;
    let page = gateway.engine.refund_requests(filter).await?;
    let list = RefundRequestList {
        data: page.items.iter().map(RefundRequestBody::from).collect(),
        next_cursor: page.next.map(|next| List::RefundRequests.encode(next)),
    };
    Ok(Answer::json(200, &list)?.response())
}

/// Approve a refund request.
///
/// Makes the refund, whose number the answer names; what becomes of it is told by the refund.
#[utoipa::path(
    post, path = "/v1/{tenant}/refund-requests/{id}/approve", operation_id = "approveRefundRequest", tag = "refund requests",
    responses((status = 200, description = "Approved, now or before.", body = RefundRequestBody))
)]
pub async fn approve(
    gateway: Data<Gateway>,
    caller: Authenticated,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    decide(&gateway, caller, &request, payload, Decision::Approve).await
}

/// Reject a refund request.
#[utoipa::path(
    post, path = "/v1/{tenant}/refund-requests/{id}/reject", operation_id = "rejectRefundRequest", tag = "refund requests",
    responses((status = 200, description = "Rejected, now or before.", body = RefundRequestBody))
)]
pub async fn reject(
    gateway: Data<Gateway>,
    caller: Authenticated,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    decide(&gateway, caller, &request, payload, Decision::Reject).await
}

async fn decide(
    gateway: &Data<Gateway>,
    caller: Authenticated,
    request: &HttpRequest,
    payload: Payload,
    decision: Decision,
) -> Result<HttpResponse, Problem> {
    let id = request.match_info().get("id").unwrap_or_default();
    let id = RefundRequestId::parse(id).map_err(|_| Problem::not_found("refund request"))?;
    Parameters::read(request.query_string(), &[])?.finish()?;
    let bytes = body::read_nothing(request, payload, &gateway.config).await?;
    let Authenticated { tenant, key } = caller;
    let engine = Arc::clone(&gateway.engine);
    let shop = Arc::clone(&tenant);
    idempotency::run(gateway, request, &tenant, &bytes, move |_| async move {
        let decided = engine.decide_refund_request(&shop, id, decision, &key).await?;
        Answer::json(200, &RefundRequestBody::from(&decided))
    })
    .await
}

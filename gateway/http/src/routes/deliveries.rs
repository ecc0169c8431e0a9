//! Deliveries of events to the tenant's webhook.

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use dukou_domain::{DeliveryId, DeliveryState};
use dukou_engine::EngineError;
use dukou_engine::delivery::DeliveryFilter;

use crate::answer::Answer;
use crate::auth::Authenticated;
use crate::cursor::List;
use crate::dto::{DeliveryBody, DeliveryList, WebhookBody};
use crate::gateway::Gateway;
use crate::problem::Problem;
use crate::query::Parameters;
use crate::{body, idempotency};

/// List deliveries to the webhook and their attempts, newest first.
#[utoipa::path(
    get, path = "/v1/{tenant}/deliveries", operation_id = "listDeliveries", tag = "webhooks",
    params(
        ("status" = Option<String>, Query, description = "Only those in this state: `pending`, `delivered` or `exhausted`."),
        ("cursor" = Option<String>, Query, description = "Where the page begins: `next_cursor` of the page before."),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 100, description = "Length of the page; left out: 20."),
    ),
    responses((status = 200, description = "A page of deliveries.", body = DeliveryList))
)]
pub async fn list(
    gateway: Data<Gateway>,
    caller: Authenticated,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let mut parameters = Parameters::read(request.query_string(), &["status", "cursor", "limit"])?;
    let filter = DeliveryFilter {
        tenant: caller.tenant.id.clone(),
        state: parameters.one_of("status", &DeliveryState::ALL.map(DeliveryState::as_str), DeliveryState::parse),
        cursor: parameters.cursor(List::Deliveries),
        limit: parameters.page_length(),
    };
    parameters.finish()?;
    let page = gateway.engine.deliveries(filter).await?;
    let list = DeliveryList {
        data: page.items.iter().map(DeliveryBody::from).collect(),
        next_cursor: page.next.map(|next| List::Deliveries.encode(next)),
    };
    Ok(Answer::json(200, &list)?.response())
}

/// Deliver again now.
///
/// One that was delivered is sent once more, under the same `webhook-id`, as is an exhausted one, each with its
/// schedule from the beginning; a pending one is tried at once.
#[utoipa::path(
    post, path = "/v1/{tenant}/deliveries/{id}/retry", operation_id = "retryDelivery", tag = "webhooks",
    responses((status = 200, description = "It will be tried within a second.", body = DeliveryBody))
)]
pub async fn retry(
    gateway: Data<Gateway>,
    caller: Authenticated,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    let id = request.match_info().get("id").unwrap_or_default();
    let id = DeliveryId::parse(id).map_err(|_| Problem::not_found("delivery"))?;
    Parameters::read(request.query_string(), &[])?.finish()?;
    let bytes = body::read_nothing(&request, payload, &gateway.config).await?;
    let tenant = caller.tenant;
    let (engine, shop) = (Arc::clone(&gateway.engine), Arc::clone(&tenant));
    idempotency::run(&gateway, &request, &tenant, &bytes, move |_| async move {
        let delivery = engine.retry_delivery(&shop, id).await.map_err(|error| match error {
            EngineError::NotFound => Problem::not_found("delivery"),
            other => other.into(),
        })?;
        Answer::json(200, &DeliveryBody::from(&delivery))
    })
    .await
}

/// Switch the webhook on again.
///
/// An endpoint that took nothing for five days is switched off, with the event `endpoint.disabled`;
/// events go on to wait for it. Switched on, it gets them.
#[utoipa::path(
    post, path = "/v1/{tenant}/webhook/enable", operation_id = "enableWebhook", tag = "webhooks",
    responses((status = 200, description = "It is on, now or before.", body = WebhookBody))
)]
pub async fn enable(
    gateway: Data<Gateway>,
    caller: Authenticated,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    Parameters::read(request.query_string(), &[])?.finish()?;
    let bytes = body::read_nothing(&request, payload, &gateway.config).await?;
    let tenant = caller.tenant;
    let (engine, shop) = (Arc::clone(&gateway.engine), Arc::clone(&tenant));
    idempotency::run(&gateway, &request, &tenant, &bytes, move |_| async move {
        Answer::json(200, &WebhookBody::from(&engine.enable_webhook(&shop).await?))
    })
    .await
}

//! An app's access token, for the tenant's other software: one that fetched its own would end ours.

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use dukou_engine::EngineError;
use dukou_spi::Reason;
use serde_json::json;

use crate::answer::{Answer, mark_replayed, replay};
use crate::auth::Authenticated;
use crate::dto::{AccessTokenBody, CreateAccessTokenBody, read_token_request};
use crate::errors::ErrorCode;
use crate::gateway::Gateway;
use crate::idempotency::Outcome;
use crate::problem::Problem;
use crate::query::Parameters;
use crate::{body, idempotency, json};

const CREATED: u16 = 201;
/// A token is looked into once in so many seconds.
const REPAIR_SECONDS: u32 = 60;

/// Get the access token of the app.
///
/// One token for all who share the app, renewed early. Needs `share_access_token = true` in the
/// provider's section. Your other software must not fetch tokens of its own with the same kind of call.
/// Keep it in memory only, and ask again when it ends or is not accepted.
#[utoipa::path(
    post, path = "/v1/{tenant}/access-tokens", operation_id = "createAccessToken", tag = "access-tokens",
    request_body = CreateAccessTokenBody,
    responses((status = 201, description = "The token.", body = AccessTokenBody))
)]
pub async fn create(
    gateway: Data<Gateway>,
    caller: Authenticated,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    Parameters::read(request.query_string(), &[])?.finish()?;
    let bytes = body::read_json(&request, payload, &gateway.config).await?;
    let content = json::parse(&bytes).map_err(|fault| Problem::invalid(vec![fault]))?;
    let (provider, stale) = read_token_request(content).map_err(Problem::invalid)?;
    let (engine, tenant, of) = (Arc::clone(&gateway.engine), Arc::clone(&caller.tenant), provider.clone());
    // What is kept under an idempotency key is that it was done, never the token.
    let fetching = async move |_| {
        engine.access_token(&tenant, &of, stale.as_ref()).await.map_err(told)?;
        Answer::json(CREATED, &json!({}))
    };
    let replayed = match idempotency::run_keeping(&gateway, &request, &caller.tenant, &bytes, fetching).await? {
        Outcome::Fresh(_) => false,
        Outcome::Replayed(answer) if answer.status == CREATED => true,
        Outcome::Replayed(refusal) => return Ok(replay(refusal)),
    };
    let lent = gateway.engine.access_token(&caller.tenant, &provider, None).await.map_err(told)?;
    let mut response = Answer::json(CREATED, &AccessTokenBody::new(&provider, &lent))?.response();
    super::no_store(&mut response);
    Ok(if replayed { mark_replayed(response) } else { response })
}

/// The platform's own measure is its refusal; ours is the caller's.
fn told(error: EngineError) -> Problem {
    match error {
        EngineError::Provider(error) if error.reason == Reason::RateLimited && error.code.is_none() => {
            let problem = Problem::new(ErrorCode::RateLimited, error.message);
            Problem { retry_after: Some(REPAIR_SECONDS), ..problem }
        }
        other => other.into(),
    }
}

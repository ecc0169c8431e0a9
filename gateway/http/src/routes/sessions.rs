//! Logins of a mini-program's users.

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use dukou_domain::ProviderName;
use dukou_engine::tenant::Tenant;

use crate::answer::{Answer, mark_replayed, replay};
use crate::auth::Addressed;
use crate::dto::{CreateSessionBody, KeptSession, SessionBody, read_login};
use crate::gateway::Gateway;
use crate::idempotency::Outcome;
use crate::problem::Problem;
use crate::query::Parameters;
use crate::{body, idempotency, json};

const CREATED: u16 = 201;

/// Log a user of the mini-program in.
///
/// Needs no API key. The same code again within five minutes is the same session where it comes to the same
/// instance of the gateway; under the same `Idempotency-Key` it is, wherever it comes. The platform's session
/// key never leaves the gateway.
#[utoipa::path(
    post, path = "/v1/{tenant}/sessions", operation_id = "createSession", tag = "sessions", request_body = CreateSessionBody,
    responses((status = 201, description = "The user is logged in.", body = SessionBody))
)]
pub async fn create(
    gateway: Data<Gateway>,
    tenant: Addressed,
    request: HttpRequest,
    payload: Payload,
) -> Result<HttpResponse, Problem> {
    Parameters::read(request.query_string(), &[])?.finish()?;
    let bytes = body::read_json(&request, payload, &gateway.config).await?;
    let content = json::parse(&bytes).map_err(|fault| Problem::invalid(vec![fault]))?;
    let (provider, code) = read_login(content).map_err(Problem::invalid)?;
    let (engine, shop, of) = (Arc::clone(&gateway.engine), Arc::clone(&tenant.0), provider.clone());
    // Goes on when the phone hangs up, so that it finds its session when it asks again.
    let opening = async move |_| {
        let opened = engine.open_session(&shop, &of, code).await;
        Answer::json(CREATED, &KeptSession::from(opened.map_err(|error| about_code(error.into()))?))
    };
    match idempotency::run_for_visitor(&gateway, &request, &tenant.0, &bytes, opening).await? {
        Outcome::Fresh(answer) => respond(&gateway, &tenant.0, provider, &answer.body).await,
        Outcome::Replayed(answer) if answer.status == CREATED => {
            respond(&gateway, &tenant.0, provider, &answer.body).await.map(mark_replayed)
        }
        Outcome::Replayed(refusal) => Ok(replay(refusal)),
    }
}

/// Makes the token of what was kept.
async fn respond(
    gateway: &Gateway,
    tenant: &Tenant,
    provider: ProviderName,
    kept: &[u8],
) -> Result<HttpResponse, Problem> {
    let kept: KeptSession = serde_json::from_slice(kept).map_err(|error| {
        tracing::error!(%error, "a session kept under an idempotency key cannot be read back");
        Problem::internal()
    })?;
    let (claims, unionid) = kept.claims(provider);
    let session = gateway.engine.session_again(tenant, claims, unionid).await?;
    let mut response = Answer::json(CREATED, &SessionBody::from(&session))?.response();
    super::no_store(&mut response);
    Ok(response)
}

/// The code has another place in this body than in a payment's.
fn about_code(mut problem: Problem) -> Problem {
    for error in problem.errors.iter_mut().filter(|error| error.field == "payer.code") {
        error.field = "code".to_owned();
        problem.detail = problem.detail.replace("payer.code", "code");
    }
    problem
}

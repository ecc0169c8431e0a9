//! Logins of a mini-program's users.

use std::sync::Arc;

use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};

use crate::answer::Answer;
use crate::auth::Addressed;
use crate::dto::{CreateSessionBody, SessionBody, read_login};
use crate::gateway::Gateway;
use crate::problem::Problem;
use crate::query::Parameters;
use crate::{body, json};

/// Log a user of the mini-program in.
///
/// Needs no key. The same code again within five minutes is the same session. The platform's session
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
    body::require_json(request.headers())?;
    let bytes = body::read(&request, payload, &gateway.config).await?;
    let content = json::parse(&bytes).map_err(|fault| Problem::invalid(vec![fault]))?;
    let (provider, code) = read_login(content).map_err(Problem::invalid)?;
    let engine = Arc::clone(&gateway.engine);
    // Goes on when the phone hangs up, so that it finds its session when it asks again.
    let opening = gateway.spawn(async move { engine.open_session(&tenant.0, &provider, code).await });
    let opened = opening.await.map_err(|error| {
        tracing::error!(%error, "a login did not come to its end");
        Problem::internal()
    })?;
    let session = opened.map_err(|error| about_code(error.into()))?;
    let mut response = Answer::json(201, &SessionBody::from(&session))?.response();
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

//! A finished answer, before it is put on the wire or kept under an idempotency key.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use bytes::Bytes;
use dukou_engine::records::StoredAnswer;
use serde::Serialize;

use crate::problem::Problem;

pub const JSON: &str = "application/json";

/// Status, kind and body of a success.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
}

impl Answer {
    /// # Errors
    /// `internal_error` when the value cannot be written as JSON.
    pub fn json(status: u16, value: &impl Serialize) -> Result<Self, Problem> {
        let body = serde_json::to_vec(value).map_err(|error| {
            tracing::error!(%error, "an answer cannot be written as JSON");
            Problem::internal()
        })?;
        Ok(Answer { status, body: Bytes::from(body) })
    }

    pub fn response(self) -> HttpResponse {
        respond(self.status, JSON, self.body)
    }
}

/// Whatever was kept, as it was.
pub fn replay(answer: StoredAnswer) -> HttpResponse {
    mark_replayed(respond(answer.status, &answer.content_type, answer.body))
}

/// Says that an answer was given before.
pub fn mark_replayed(mut response: HttpResponse) -> HttpResponse {
    response.headers_mut().insert(
        actix_web::http::header::HeaderName::from_static("idempotent-replayed"),
        actix_web::http::header::HeaderValue::from_static("true"),
    );
    response
}

fn respond(status: u16, content_type: &str, body: Bytes) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    HttpResponse::build(status).content_type(content_type).body(body)
}

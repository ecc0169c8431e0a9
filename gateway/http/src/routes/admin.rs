//! The operator's side: metrics, probes. Never on the public listener.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use async_trait::async_trait;
use dukou_engine::Engine;
use serde::Serialize;
use utoipa::ToSchema;

use super::{no_store, out_trade_no};
use crate::admin_auth::{AdminToken, Operator};
use crate::answer::Answer;
use crate::dto::{AppTokenList, TimelineBody};
use crate::openapi::Document;
use crate::problem::Problem;

/// How one thing that the gateway needs is doing, or all of them together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ReadyStatus {
    Ready,
    /// It works, slower or for less long than it should.
    Degraded,
    /// Requests would fail.
    Unready,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ReadyCheck {
    /// A fixed name (`store`).
    pub name: String,
    pub status: ReadyStatus,
    /// What is wrong, for people; empty when nothing is.
    pub detail: String,
    /// The same in Chinese, for the console.
    #[serde(skip)]
    pub detail_zh: String,
}

/// Looks at everything the gateway needs. Must answer within a probe's patience, a second or two.
#[async_trait]
pub trait Readiness: Send + Sync {
    async fn checks(&self) -> Vec<ReadyCheck>;
}

/// What the admin listener works with.
pub struct AdminState {
    /// The metrics in Prometheus' text format.
    pub render_metrics: Arc<dyn Fn() -> String + Send + Sync>,
    pub readiness: Arc<dyn Readiness>,
    /// Set when a stop was asked for: from then on the gateway is unready, so that no new traffic
    /// is sent its way.
    pub draining: Arc<AtomicBool>,
    /// The interface, described; the same as on the public listener.
    pub document: Document,
    pub engine: Arc<Engine>,
    /// Opens what the probes and the metrics do not need.
    pub token: AdminToken,
}

/// The answer to a readiness probe.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadyReport {
    /// The worst of the checks.
    pub status: ReadyStatus,
    pub checks: Vec<ReadyCheck>,
}

impl ReadyReport {
    pub(crate) fn new(mut checks: Vec<ReadyCheck>, draining: bool) -> Self {
        if draining {
            checks.push(ReadyCheck {
                name: "shutdown".to_owned(),
                status: ReadyStatus::Unready,
                detail: "shutting down: finishing what is in flight".to_owned(),
                detail_zh: "正在停止：处理完在途的请求".to_owned(),
            });
        }
        let status = checks.iter().map(|check| check.status).max().unwrap_or(ReadyStatus::Ready);
        ReadyReport { status, checks }
    }

    pub(crate) fn http_status(&self) -> u16 {
        match self.status {
            ReadyStatus::Ready | ReadyStatus::Degraded => 200,
            ReadyStatus::Unready => 503,
        }
    }
}

/// Metrics in Prometheus' text format.
#[utoipa::path(
    get, path = "/metrics", operation_id = "getMetrics", tag = "admin",
    responses((status = 200, description = "The metrics.", body = String, content_type = "text/plain"))
)]
pub async fn metrics(state: Data<AdminState>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body((state.render_metrics)())
}

/// Whether the process answers at all.
#[utoipa::path(
    get, path = "/healthz", operation_id = "getHealth", tag = "admin",
    responses((status = 200, description = "It does.", body = String, content_type = "text/plain"))
)]
pub async fn health() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok")
}

/// Whether requests would be served, and what is wrong where they would not be served well.
#[utoipa::path(
    get, path = "/readyz", operation_id = "getReadiness", tag = "admin",
    responses(
        (status = 200, description = "Ready, or degraded: still to be sent traffic.", body = ReadyReport),
        (status = 503, description = "Unready.", body = ReadyReport),
    )
)]
pub async fn ready(state: Data<AdminState>) -> Result<HttpResponse, Problem> {
    let report = ReadyReport::new(state.readiness.checks().await, state.draining.load(Ordering::Relaxed));
    Ok(Answer::json(report.http_status(), &report)?.response())
}

/// Where a payment is: everything that happened to it, in order, and what it waits for.
#[utoipa::path(
    get, path = "/timeline/{tenant}/{out_trade_no}", operation_id = "getTimeline", tag = "admin",
    responses((status = 200, description = "Its history.", body = TimelineBody))
)]
pub async fn timeline(state: Data<AdminState>, _: Operator, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let number = out_trade_no(&request)?;
    let named = request.match_info().get("tenant").unwrap_or_default();
    // A tenant whose file is gone still has payments.
    let tenant = state.engine.tenants().find_even_removed(named).ok_or_else(|| Problem::not_found("tenant"))?;
    let timeline = state.engine.timeline(&tenant, &number).await?;
    let mut response = Answer::json(200, &TimelineBody::from(&timeline))?.response();
    no_store(&mut response);
    Ok(response)
}

/// The access tokens of the apps: how old they are, who shares them, and what is wrong. Never a token.
#[utoipa::path(
    get, path = "/access-tokens", operation_id = "listAccessTokens", tag = "admin",
    responses((status = 200, description = "One entry for each app.", body = AppTokenList))
)]
pub async fn access_tokens(state: Data<AdminState>, _: Operator) -> Result<HttpResponse, Problem> {
    let tokens = state.engine.app_tokens().await?;
    let list = AppTokenList::new(&tokens, state.engine.clock().now());
    let mut response = Answer::json(200, &list)?.response();
    no_store(&mut response);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: ReadyStatus) -> ReadyCheck {
        ReadyCheck { name: "store".into(), status, detail: String::new(), detail_zh: String::new() }
    }

    #[test]
    fn the_worst_check_decides() {
        use ReadyStatus::{Degraded, Ready, Unready};
        for (checks, draining, status, http) in [
            (vec![], false, Ready, 200),
            (vec![Ready, Degraded], false, Degraded, 200),
            (vec![Degraded, Unready, Ready], false, Unready, 503),
            (vec![Ready], true, Unready, 503),
        ] {
            let report = ReadyReport::new(checks.into_iter().map(check).collect(), draining);
            assert_eq!((report.status, report.http_status()), (status, http));
        }
    }
}

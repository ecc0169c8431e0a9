//! The merchant's side: what was sold, and who wants money back.

use actix_web::web::{Data, Path, ServiceConfig, get, post};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::{Backend, Refusal, own, passed_on, safe};
use crate::commands::demo::client::Answer;

/// Orders and requests shown at most.
const SHOWN: u32 = 12;

pub fn routes(config: &mut ServiceConfig) {
    config
        .route("/merchant/desk", get().to(desk))
        .route("/merchant/refund-requests/{id}/{decision}", post().to(decide));
}

/// Everything that the desk shows, read from the gateway with the shop's key.
async fn desk(backend: Data<Backend>) -> Result<HttpResponse, Refusal> {
    let (payments, requests) = (format!("/payments?limit={SHOWN}"), format!("/refund-requests?limit={SHOWN}"));
    let (payments, requests) = tokio::join!(backend.client.get(&payments), backend.client.get(&requests));
    let (payments, requests) = (list(payments)?, list(requests)?);
    let orders = payments.iter().map(|payment| {
        json!({
            "number": payment["out_trade_no"], "title": payment["description"], "amount": payment["amount"],
            "status": payment["status"], "refunded": payment["refunded_amount"],
        })
    });
    let requests = requests.iter().map(|request| {
        json!({
            "id": request["id"], "number": request["out_trade_no"], "amount": request["amount"],
            "reason": request["reason"], "status": request["status"],
        })
    });
    Ok(HttpResponse::Ok().json(json!({
        "orders": orders.collect::<Vec<_>>(), "requests": requests.collect::<Vec<_>>(),
        "events": backend.live.latest(),
    })))
}

fn list(page: anyhow::Result<Answer>) -> Result<Vec<Value>, Refusal> {
    let data = page.ok().filter(|page| page.status == 200).and_then(|page| page.body["data"].as_array().cloned());
    data.ok_or_else(|| Refusal::new(502, "暂时读不到网关的记录"))
}

async fn decide(
    request: HttpRequest,
    path: Path<(String, String)>,
    backend: Data<Backend>,
) -> Result<HttpResponse, Refusal> {
    own(&request)?;
    let (id, decision) = (safe(&path.0)?, path.1.as_str());
    if !matches!(decision, "approve" | "reject") {
        return Err(Refusal::new(404, "没有找到"));
    }
    passed_on(backend.client.post_nothing(&format!("/refund-requests/{id}/{decision}")).await)
}

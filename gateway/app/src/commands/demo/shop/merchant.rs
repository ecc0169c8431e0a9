//! The merchant's side: what was sold, and who wants money back.

use actix_web::web::{Data, Path, ServiceConfig, get, post};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::{Backend, Refusal, own, passed_on, safe};
use crate::commands::demo::client::Client;

/// Read at a time.
const PAGE: usize = 100;
/// Counted at most, so that a desk is answered in the end.
const MOST: usize = 2_000;

pub fn routes(config: &mut ServiceConfig) {
    config
        .route("/merchant/desk", get().to(desk))
        .route("/merchant/refund-requests/{id}/{decision}", post().to(decide));
}

/// Everything that the desk shows, read from the gateway with the shop's key.
async fn desk(backend: Data<Backend>) -> Result<HttpResponse, Refusal> {
    let (payments, requests) =
        tokio::join!(all(&backend.client, "/payments?"), all(&backend.client, "/refund-requests?status=pending&"));
    let (payments, requests) = (payments?, requests?);
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

/// Every entry of one of the gateway's lists, the newest first.
pub(super) async fn all(client: &Client, list: &str) -> Result<Vec<Value>, Refusal> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = client.get(&format!("{list}limit={PAGE}{cursor}")).await;
        let page = page.ok().filter(|page| page.status == 200).map(|page| page.body);
        let data = page.as_ref().and_then(|page| page["data"].as_array());
        found.extend(data.ok_or_else(|| Refusal::new(502, "暂时读不到网关的记录"))?.iter().cloned());
        match page.as_ref().and_then(|page| page["next_cursor"].as_str()) {
            Some(next) if found.len() < MOST => cursor = format!("&cursor={next}"),
            _ => return Ok(found),
        }
    }
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

//! The merchant's side: what was sold, and who wants money back.

use actix_web::web::{Data, Path, ServiceConfig, get, post};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::{Backend, own, passed_on, refusal, safe};

/// Orders and requests shown at most.
const SHOWN: u32 = 12;

pub fn routes(config: &mut ServiceConfig) {
    config
        .route("/merchant/desk", get().to(desk))
        .route("/merchant/refund-requests/{id}/{decision}", post().to(decide));
}

/// Everything that the desk shows, read from the gateway with the shop's key.
async fn desk(backend: Data<Backend>) -> HttpResponse {
    let (payments, requests) = (format!("/payments?limit={SHOWN}"), format!("/refund-requests?limit={SHOWN}"));
    let (payments, requests) = tokio::join!(backend.client.get(&payments), backend.client.get(&requests));
    match (payments, requests) {
        (Ok(payments), Ok(requests)) if payments.status == 200 && requests.status == 200 => {
            let orders = list(&payments.body).map(|payment| {
                json!({
                    "number": payment["out_trade_no"], "title": payment["description"], "amount": payment["amount"],
                    "status": payment["status"], "refunded": payment["refunded_amount"],
                })
            });
            let requests = list(&requests.body).map(|request| {
                json!({
                    "id": request["id"], "number": request["out_trade_no"], "amount": request["amount"],
                    "reason": request["reason"], "status": request["status"],
                })
            });
            HttpResponse::Ok().json(json!({
                "orders": orders.collect::<Vec<_>>(), "requests": requests.collect::<Vec<_>>(),
                "events": backend.live.latest(),
            }))
        }
        (Err(error), _) | (_, Err(error)) => passed_on(Err(error)),
        _ => refusal(502, "网关拒绝了请求"),
    }
}

fn list(page: &Value) -> impl Iterator<Item = &Value> {
    page["data"].as_array().into_iter().flatten()
}

async fn decide(request: HttpRequest, path: Path<(String, String)>, backend: Data<Backend>) -> HttpResponse {
    let (id, decision) = &*path;
    if let Err(refused) = own(&request) {
        return refused;
    }
    let id = match safe(id) {
        Ok(id) if matches!(decision.as_str(), "approve" | "reject") => id,
        Ok(_) => return refusal(404, "没有找到"),
        Err(refused) => return refused,
    };
    passed_on(backend.client.post_nothing(&format!("/refund-requests/{id}/{decision}")).await)
}

//! The phone (手机): a page that shows the orders waiting to be paid, and pays them.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use crate::control::{Answer, Pay, Refusal, pay};
use crate::ledger::RefundStatus;
use crate::lock;
use crate::world::World;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Orders shown at most.
const SHOWN: usize = 60;

/// Routes under `/_sandbox`.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/phone", web::get().to(page))
        .route("/phone/style.css", web::get().to(style))
        .route("/phone/script.js", web::get().to(script))
        .route("/phone/orders", web::get().to(orders))
        .route("/phone/pay/{mch_id}/{out_trade_no}", web::post().to(pay_button));
}

/// The same page at the root, for people who only know the port.
pub fn pages(config: &mut web::ServiceConfig) {
    config.service(web::resource("/").route(web::get().to(page)).route(web::head().to(page)));
}

fn asset(content_type: &str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(text)
}

async fn page() -> HttpResponse {
    asset("text/html; charset=utf-8", PAGE)
}

async fn style() -> HttpResponse {
    asset("text/css; charset=utf-8", STYLE)
}

async fn script() -> HttpResponse {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

/// The latest orders, the newest first, with what the page shows of them.
async fn orders(world: web::Data<World>) -> Answer {
    let now = world.clock.now();
    let ledger = lock(&world.ledger);
    let found = ledger.recent.iter().rev().filter_map(|(mch_id, number)| ledger.order(mch_id, number)).take(SHOWN);
    let orders: Vec<Value> = found
        .map(|order| {
            let refunds: Vec<_> = match ledger.books.get(&order.mch_id) {
                Some(book) => order.refunds.iter().filter_map(|number| book.refunds.get(number)).collect(),
                None => Vec::new(),
            };
            let back: i64 = refunds.iter().filter(|r| r.status == RefundStatus::Success).map(|r| r.refund_fee).sum();
            let body = order.parameter("body").unwrap_or_default();
            json!({
                "mch_id": order.mch_id,
                "out_trade_no": order.out_trade_no,
                "body": body,
                "total_fee": order.total_fee,
                "refunded_fee": back,
                "trade_type": order.trade_type(),
                "api": if order.is_v3() { "v3" } else { "v2" },
                "trade_state": order.trade_state,
                "expired": order.is_expired(now),
                "created_at": crate::clock::dashed(order.created_at),
                "paid_at": order.paid_at.map(crate::clock::dashed),
                "transaction_id": order.transaction_id,
            })
        })
        .collect();
    Ok(HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(json!({ "orders": orders })))
}

async fn pay_button(world: web::Data<World>, path: web::Path<(String, String)>) -> Result<HttpResponse, Refusal> {
    let (mch_id, out_trade_no) = path.into_inner();
    let order = pay(&world, &mch_id, &out_trade_no, &Pay::default())?;
    Ok(HttpResponse::Ok().json(order))
}

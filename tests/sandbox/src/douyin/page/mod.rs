//! Douyin on a phone (抖音): the page that opens a share schema and publishes, and the authorize page.

mod connect;

use actix_web::http::header;
use actix_web::{HttpResponse, web};

pub use connect::routes as connect_routes;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Routes under `/_sandbox/douyin`.
pub fn routes(config: &mut web::ServiceConfig) {
    config
        .route("", web::get().to(page))
        .route("/open", web::get().to(page))
        .route("/style.css", web::get().to(async || asset("text/css; charset=utf-8", POLICY, STYLE)))
        .route("/script.js", web::get().to(async || asset("text/javascript; charset=utf-8", POLICY, SCRIPT)));
}

async fn page() -> HttpResponse {
    asset("text/html; charset=utf-8", POLICY, PAGE)
}

fn asset(content_type: &str, policy: &str, text: impl Into<String>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CONTENT_SECURITY_POLICY, policy))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .body(text.into())
}

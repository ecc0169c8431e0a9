//! What a browser loads.

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{ServiceConfig, get};

/// Nothing but what this server itself serves, and no inline script or style.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

pub fn routes(config: &mut ServiceConfig) {
    config
        .route("/", get().to(|| asset(HTML, include_str!("page.html"))))
        .route("/style.css", get().to(|| asset(CSS, include_str!("style.css"))))
        .route("/phone.css", get().to(|| asset(CSS, include_str!("phone.css"))))
        .route("/shared.js", get().to(|| asset(SCRIPT, include_str!("shared.js"))))
        .route("/buyer.js", get().to(|| asset(SCRIPT, include_str!("buyer.js"))))
        .route("/merchant.js", get().to(|| asset(SCRIPT, include_str!("merchant.js"))))
        .route("/icon.svg", get().to(|| asset("image/svg+xml", include_str!("icon.svg"))));
}

async fn asset(content_type: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(text)
}

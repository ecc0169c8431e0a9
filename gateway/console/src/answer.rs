//! Answers and the headers that keep them to themselves.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, SET_COOKIE};
use askama::Template;

/// Nothing but what this listener serves; no frame, no other target of a form.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// A page.
pub fn page(status: StatusCode, template: &impl Template) -> HttpResponse {
    match template.render() {
        Ok(text) => guarded(status).insert_header((CONTENT_TYPE, "text/html; charset=utf-8")).body(text),
        Err(error) => {
            tracing::error!(%error, "a page of the console cannot be written");
            HttpResponse::InternalServerError().finish()
        }
    }
}

fn guarded(status: StatusCode) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response
        .insert_header(("content-security-policy", POLICY))
        .insert_header(("referrer-policy", "no-referrer"))
        .insert_header(("x-content-type-options", "nosniff"))
        .insert_header((CACHE_CONTROL, "no-store"));
    response
}

/// To another page, by GET.
pub fn see(location: &str) -> HttpResponse {
    guarded(StatusCode::SEE_OTHER).insert_header((LOCATION, location)).finish()
}

/// The same with a cookie for the console alone.
pub fn see_with_cookie(location: &str, cookie: &str) -> HttpResponse {
    guarded(StatusCode::SEE_OTHER).insert_header((LOCATION, location)).insert_header((SET_COOKIE, cookie)).finish()
}

pub async fn style() -> HttpResponse {
    asset("text/css; charset=utf-8", include_str!("../assets/style.css"))
}

pub async fn script() -> HttpResponse {
    asset("text/javascript; charset=utf-8", include_str!("../assets/console.js"))
}

pub async fn icon() -> HttpResponse {
    asset("image/svg+xml", include_str!("../assets/icon.svg"))
}

fn asset(kind: &'static str, text: &'static str) -> HttpResponse {
    // Another version of the program may bring another one.
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, kind))
        .insert_header((CACHE_CONTROL, "no-cache"))
        .insert_header(("x-content-type-options", "nosniff"))
        .body(text)
}

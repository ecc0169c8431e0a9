//! In, out, and in which language.

use std::collections::HashMap;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Form};
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;

use crate::session::{COOKIE, LASTS, Refused};
use crate::texts::{Language, Texts};
use crate::visitor::{self, LANGUAGE, Visitor, let_in};
use crate::{Console, answer};

#[derive(Template)]
#[template(path = "login.html")]
struct Login {
    language: Language,
    texts: &'static Texts,
    open: bool,
    problem: &'static str,
}

fn form(
    console: &Console,
    request: &HttpRequest,
    status: StatusCode,
    problem: fn(&Texts) -> &'static str,
) -> HttpResponse {
    let language = visitor::language(request);
    let texts = language.texts();
    let page = Login { language, texts, open: console.sessions.is_open(), problem: problem(texts) };
    answer::page(status, &page)
}

pub async fn show(console: Data<Console>, request: HttpRequest) -> HttpResponse {
    form(&console, &request, StatusCode::OK, |_| "")
}

pub async fn enter(
    console: Data<Console>,
    request: HttpRequest,
    fields: Form<HashMap<String, String>>,
) -> HttpResponse {
    if !visitor::is_own_site(&request) {
        return form(&console, &request, StatusCode::FORBIDDEN, |texts| texts.foreign_form);
    }
    let token = fields.get("token").map(|token| token.trim()).unwrap_or_default();
    let from = console.sessions.client(&request);
    match console.sessions.enter(token, from, console.engine.clock().now()) {
        Ok(value) => {
            tracing::info!("somebody logged in to the console");
            answer::see_with_cookie("/console", &cookie(COOKIE, &value, LASTS.as_secs()))
        }
        Err(refused) => {
            tracing::warn!(?refused, "somebody was not let in to the console");
            let (status, problem): (_, fn(&Texts) -> &'static str) = match refused {
                Refused::Closed => (StatusCode::FORBIDDEN, |_| ""),
                Refused::Wrong => (StatusCode::UNAUTHORIZED, |texts| texts.wrong_token),
                Refused::TooMany => (StatusCode::TOO_MANY_REQUESTS, |texts| texts.too_many),
            };
            form(&console, &request, status, problem)
        }
    }
}

pub async fn leave(
    console: Data<Console>,
    request: HttpRequest,
    fields: Form<HashMap<String, String>>,
) -> HttpResponse {
    let visitor = let_in!(console, request, fields);
    let (session, now) = (&visitor.session, console.engine.clock().now());
    // Whoever kept the cookie is not let in with it any more.
    match console.ended.end(&**console.engine.store(), &session.name, session.until, now).await {
        Ok(()) => answer::see_with_cookie("/console/login", &cookie(COOKIE, "", 0)),
        Err(error) => visitor.failed(&error.into()),
    }
}

/// Changes nothing but what the reader reads, so that it needs no form token; back to where it was chosen.
pub async fn language(fields: Form<HashMap<String, String>>) -> HttpResponse {
    let wanted = if fields.get("language").is_some_and(|word| word == "en") { "en" } else { "zh" };
    let back = fields.get("back").map(String::as_str).unwrap_or_default();
    // Nowhere but in the console.
    let inside = back == "/console" || ["/console/", "/console?"].iter().any(|start| back.starts_with(start));
    // What is no address would not be taken into a header.
    let inside = inside && back.bytes().all(|byte| byte.is_ascii_graphic());
    answer::see_with_cookie(if inside { back } else { "/console" }, &cookie(LANGUAGE, wanted, 365 * 24 * 60 * 60))
}

/// The listener speaks plain HTTP, so that a browser would not send a `Secure` one back.
fn cookie(name: &str, value: &str, seconds: u64) -> String {
    format!("{name}={value}; Path=/console; HttpOnly; SameSite=Strict; Max-Age={seconds}")
}

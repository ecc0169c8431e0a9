//! Who looks at a page: let in or not, in which language, and whether a form is really theirs.

use std::collections::HashMap;

use actix_web::cookie::Cookie;
use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use dukou_engine::EngineError;

use crate::session::{COOKIE, Session};
use crate::texts::{Language, Texts};
use crate::{Console, answer};

/// The language's cookie.
pub const LANGUAGE: &str = "dukou_language";

/// Somebody who was let in.
pub struct Visitor {
    pub language: Language,
    pub texts: &'static Texts,
    /// Goes into every form.
    pub form_token: String,
    /// The address that was asked for, to come back to.
    pub here: String,
    pub session: Session,
    cookie: String,
}

impl Visitor {
    /// # Errors
    /// The way to the login, for who was not let in.
    pub async fn of(console: &Console, request: &HttpRequest) -> Result<Self, Box<HttpResponse>> {
        let cookie = cookie(request, COOKIE).unwrap_or_default();
        let stranger = || Box::new(answer::see("/console/login"));
        let session = console.sessions.of(&cookie, console.engine.clock().now()).ok_or_else(stranger)?;
        if console.ended.holds(&**console.engine.store(), &session.name).await {
            return Err(stranger());
        }
        let language = language(request);
        let form_token = console.sessions.form_token(&cookie);
        let here = request.uri().path_and_query().map_or("/console", |path| path.as_str()).to_owned();
        Ok(Visitor { language, texts: language.texts(), form_token, here, session, cookie })
    }

    /// Whether a form was sent from a page of this session, and not by another site in its name.
    ///
    /// # Errors
    /// A page that says so.
    pub fn sent(
        &self,
        console: &Console,
        request: &HttpRequest,
        form: &HashMap<String, String>,
    ) -> Result<(), Box<HttpResponse>> {
        let token = form.get("token").map(String::as_str).unwrap_or_default();
        if is_own_site(request) && console.sessions.is_form_token(&self.cookie, token) {
            return Ok(());
        }
        Err(Box::new(self.note(StatusCode::FORBIDDEN, self.texts.foreign_form)))
    }

    /// A page with a few words.
    pub fn note(&self, status: StatusCode, words: &str) -> HttpResponse {
        answer::page(status, &Note { v: self, tab: "", words })
    }

    /// What cannot be done as things are, and why.
    pub fn refused(&self, why: &str) -> HttpResponse {
        self.note(StatusCode::CONFLICT, &format!("{} {why}", self.texts.not_possible))
    }

    /// What went wrong. Pages say themselves what they know better than the engine's words, which are English.
    pub fn failed(&self, error: &EngineError) -> HttpResponse {
        let texts = self.texts;
        let why = match error {
            EngineError::NotFound => return self.note(StatusCode::NOT_FOUND, texts.not_found),
            EngineError::InvalidState(why) => return self.refused(why),
            EngineError::RefundExceedsPayment(_) => return self.refused(texts.exceeds),
            EngineError::Store(error) => format!("{} ({error})", texts.store_away),
            other => other.to_string(),
        };
        self.note(StatusCode::SERVICE_UNAVAILABLE, &format!("{} {why}", texts.not_now))
    }
}

/// Who looks at a page, or what a stranger is answered; with a form, only one of the session's own.
macro_rules! let_in {
    ($console:expr, $request:expr) => {
        match Visitor::of(&$console, &$request).await {
            Ok(visitor) => visitor,
            Err(login) => return *login,
        }
    };
    ($console:expr, $request:expr, $form:expr) => {{
        let visitor = let_in!($console, $request);
        match visitor.sent(&$console, &$request, &$form) {
            Ok(()) => visitor,
            Err(refused) => return *refused,
        }
    }};
}
pub(crate) use let_in;

/// Browsers say where a request comes from; what says nothing has the form's token alone.
pub fn is_own_site(request: &HttpRequest) -> bool {
    let site = request.headers().get("sec-fetch-site").and_then(|value| value.to_str().ok());
    site.is_none_or(|site| matches!(site, "same-origin" | "none"))
}

pub fn cookie(request: &HttpRequest, name: &str) -> Option<String> {
    request.cookie(name).map(|cookie: Cookie<'_>| cookie.value().to_owned())
}

pub fn language(request: &HttpRequest) -> Language {
    match cookie(request, LANGUAGE).as_deref() {
        Some("en") => Language::En,
        _ => Language::Zh,
    }
}

#[derive(Template)]
#[template(path = "note.html")]
struct Note<'a> {
    v: &'a Visitor,
    tab: &'static str,
    words: &'a str,
}

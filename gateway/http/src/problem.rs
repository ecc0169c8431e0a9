//! Problem documents (RFC 9457): the one form of every error answer.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use dukou_engine::EngineError;
use dukou_engine::ports::StoreError;
use dukou_spi::plugin::{DocumentError, PluginError, WrongField};
use dukou_spi::{ErrorKind, FieldProblem, ProviderError, Reason};
use serde::Serialize;
use utoipa::ToSchema;

use crate::errors::ErrorCode;

/// The media type of a problem document.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// At most this many wrong fields are listed in one answer.
const MAX_FIELD_ERRORS: usize = 50;

/// One wrong field of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The field, with dots for what lies inside another (`payer.openid`); a query parameter or a
    /// header by its name; `body` for the whole body.
    pub field: String,
    /// What is wrong and what is expected.
    pub message: String,
}

impl FieldError {
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        FieldError { field: field.into(), message: message.into() }
    }
}

/// A provider's own error code and words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderWords {
    pub code: String,
    pub message: String,
}

/// An error on its way to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub code: ErrorCode,
    /// What happened this time, and what to change.
    pub detail: String,
    /// The wrong fields of an `invalid_request`.
    pub errors: Vec<FieldError>,
    /// What the provider said, where it gave a code.
    pub provider: Option<Box<ProviderWords>>,
    /// Seconds until another try makes sense (`Retry-After`).
    pub retry_after: Option<u32>,
    /// The same request may be answered otherwise later, by what others do meanwhile: not kept under an
    /// `Idempotency-Key`.
    pub passing: bool,
    /// The methods the address does take (`Allow`).
    pub allow: Option<String>,
    /// The rest of the request is not read: the connection ends with this answer.
    pub close: bool,
    /// Why the store could not do it: for the log alone.
    pub store: Option<String>,
}

impl Problem {
    pub fn new(code: ErrorCode, detail: impl Into<String>) -> Self {
        Problem {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            provider: None,
            retry_after: None,
            passing: code.status() >= 500 || matches!(code, ErrorCode::RateLimited | ErrorCode::InvalidState),
            allow: None,
            close: false,
            store: None,
        }
    }

    /// `invalid_request` with its fields.
    pub fn invalid(mut errors: Vec<FieldError>) -> Self {
        errors.truncate(MAX_FIELD_ERRORS);
        let named: Vec<&str> = errors.iter().map(|error| error.field.as_str()).collect();
        let detail = format!("correct these and send the request again: {}", named.join(", "));
        Problem { errors, ..Problem::new(ErrorCode::InvalidRequest, detail) }
    }

    /// `invalid_request` with a single field.
    pub fn invalid_field(field: &str, message: impl Into<String>) -> Self {
        Problem::invalid(vec![FieldError::new(field, message)])
    }

    pub fn not_found(what: &str) -> Self {
        Problem::new(ErrorCode::NotFound, format!("there is no such {what} in this tenant"))
    }

    /// A broken promise of our own. The cause goes to the log, with the request's id.
    pub fn internal() -> Self {
        Problem::new(ErrorCode::InternalError, "the gateway failed; report the request_id to its operator")
    }

    pub fn unavailable() -> Self {
        let detail = "the gateway cannot keep records at this moment; send the same request again later";
        Problem { retry_after: Some(5), ..Problem::new(ErrorCode::Unavailable, detail) }
    }

    #[must_use]
    pub fn closing(mut self) -> Self {
        self.close = true;
        self
    }

    /// The document itself.
    pub fn document<'a>(&'a self, request_id: &'a str) -> ProblemDocument<'a> {
        ProblemDocument {
            kind: self.code.type_uri(),
            title: self.code.title(),
            status: self.code.status(),
            detail: &self.detail,
            code: self.code.as_str(),
            request_id,
            errors: &self.errors,
            provider_code: self.provider.as_deref().map(|words| words.code.as_str()),
            provider_message: self.provider.as_deref().map(|words| words.message.as_str()),
        }
    }

    /// The document as it is sent.
    pub fn body(&self, request_id: &str) -> Vec<u8> {
        serde_json::to_vec(&self.document(request_id)).unwrap_or_default()
    }

    /// The whole answer.
    pub fn response(&self, request_id: &str) -> HttpResponse {
        let mut response = HttpResponse::build(self.status());
        response.content_type(PROBLEM_JSON);
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        }
        if let Some(allow) = self.allow.as_deref().and_then(|allow| HeaderValue::from_str(allow).ok()) {
            response.insert_header((header::ALLOW, allow));
        }
        if self.code == ErrorCode::Unauthorized {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if self.close {
            response.force_close();
        }
        response.body(self.body(request_id))
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

/// An error answer (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument<'a> {
    /// `urn:dukou:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: &'a str,
    /// What the code means, the same for every occurrence.
    pub title: &'a str,
    /// The HTTP status.
    pub status: u16,
    /// What happened this time, and what to change.
    pub detail: &'a str,
    /// The stable code to match on.
    pub code: &'a str,
    /// Names this request in the gateway's log.
    pub request_id: &'a str,
    /// The wrong fields, where the code is `invalid_request`.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    #[schema(required = false)]
    pub errors: &'a [FieldError],
    /// The provider's own error code, where it refused with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_code: Option<&'a str>,
    /// The provider's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider_message: Option<&'a str>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    /// Without a request id; the middleware replaces it by [`Problem::response`].
    fn error_response(&self) -> HttpResponse {
        self.response("")
    }
}

impl From<EngineError> for Problem {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::NotFound => Problem::not_found("payment or refund"),
            EngineError::Invalid(problems) => Problem::invalid(problems.into_iter().map(FieldError::from).collect()),
            EngineError::Forbidden(why) => Problem::new(ErrorCode::Forbidden, why),
            EngineError::OutTradeNoConflict(what) => Problem::new(
                ErrorCode::OutTradeNoConflict,
                format!("{what}; send the same content again, or use another out_trade_no"),
            ),
            EngineError::OutRefundNoConflict(what) => Problem::new(
                ErrorCode::OutRefundNoConflict,
                format!("{what}; send the same content again, or use another out_refund_no"),
            ),
            EngineError::InvalidState(why) => Problem::new(ErrorCode::InvalidState, why),
            EngineError::RefundExceedsPayment(why) => Problem::new(ErrorCode::RefundExceedsPayment, why),
            EngineError::Provider(error) => error.into(),
            EngineError::Store(error) => error.into(),
        }
    }
}

impl From<FieldProblem> for FieldError {
    fn from(problem: FieldProblem) -> Self {
        FieldError::new(problem.field, problem.message)
    }
}

impl From<PluginError> for Problem {
    fn from(error: PluginError) -> Self {
        match error {
            PluginError::Invalid(problems) => {
                let wrong = |problem: WrongField| FieldError::new(problem.field, problem.message);
                Problem::invalid(problems.into_iter().map(wrong).collect())
            }
            PluginError::NotFound(what) => Problem::not_found(&what),
            PluginError::InvalidState(why) => Problem::new(ErrorCode::InvalidState, why),
            PluginError::Provider(error) => error.into(),
            PluginError::Documents(DocumentError::Unavailable(_) | DocumentError::Conflict(_)) => {
                Problem::unavailable()
            }
            PluginError::Documents(DocumentError::Corrupt(_) | DocumentError::Refused(_))
            | PluginError::Internal(_) => Problem::internal(),
        }
    }
}

impl From<ProviderError> for Problem {
    fn from(error: ProviderError) -> Self {
        // What whoever logs in is to do about it, where it is they or their code that is refused.
        let wrong = match (error.kind, error.reason) {
            (ErrorKind::Refused, Reason::InvalidCode) => {
                Some("the provider does not accept this login code; get a new one")
            }
            (ErrorKind::Refused, Reason::UserBlocked) => {
                Some("the provider does not let this user log in; show that, and try no other code")
            }
            _ => None,
        };
        // An answer that nobody signed ends nothing, and says all the same what somebody has to change.
        let to_change = matches!(error.reason, Reason::Configuration | Reason::PayerMismatch) && error.code.is_some();
        let code = match error.kind {
            ErrorKind::Refused if wrong.is_some() => ErrorCode::InvalidRequest,
            ErrorKind::Refused => ErrorCode::ProviderRefused,
            ErrorKind::NotSent if to_change => ErrorCode::ProviderRefused,
            ErrorKind::NotSent => ErrorCode::ProviderUnavailable,
            ErrorKind::Unknown => ErrorCode::ProviderTimeout,
        };
        let errors = wrong.map(|wrong| FieldError::new("payer.code", wrong)).into_iter().collect();
        let retry_after = (code == ErrorCode::ProviderUnavailable).then_some(5);
        let passing = error.kind == ErrorKind::NotSent || error.reason == Reason::InsufficientBalance;
        let provider = error.code.map(|code| Box::new(ProviderWords { code, message: error.message.clone() }));
        let problem = Problem::new(code, error.message);
        Problem { errors, provider, retry_after, passing: problem.passing || passing, ..problem }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Problem { store: Some(error.to_string()), ..Problem::unavailable() },
            StoreError::Unknown(_) | StoreError::Conflict(_) => {
                tracing::error!(%error, "the store failed");
                Problem::unavailable()
            }
            StoreError::Corrupt(_) => {
                tracing::error!(%error, "the store failed");
                Problem::internal()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::body::to_bytes;

    fn refused(kind: ErrorKind, reason: Reason) -> Problem {
        EngineError::Provider(ProviderError::new(kind, reason, "not this way").with_code("NOAUTH")).into()
    }

    #[test]
    fn every_engine_error_has_its_code() {
        let cases: Vec<(Problem, ErrorCode)> = vec![
            (EngineError::NotFound.into(), ErrorCode::NotFound),
            (EngineError::Invalid(vec![]).into(), ErrorCode::InvalidRequest),
            (EngineError::Forbidden("set it".into()).into(), ErrorCode::Forbidden),
            (EngineError::OutTradeNoConflict("amount".into()).into(), ErrorCode::OutTradeNoConflict),
            (EngineError::OutRefundNoConflict("amount".into()).into(), ErrorCode::OutRefundNoConflict),
            (EngineError::InvalidState("closed".into()).into(), ErrorCode::InvalidState),
            (EngineError::RefundExceedsPayment("1 left".into()).into(), ErrorCode::RefundExceedsPayment),
            (EngineError::Store(StoreError::Unavailable("full".into())).into(), ErrorCode::Unavailable),
            (EngineError::Store(StoreError::Corrupt("row".into())).into(), ErrorCode::InternalError),
            (refused(ErrorKind::Refused, Reason::Configuration), ErrorCode::ProviderRefused),
            (refused(ErrorKind::Refused, Reason::InvalidCode), ErrorCode::InvalidRequest),
            (refused(ErrorKind::Refused, Reason::UserBlocked), ErrorCode::InvalidRequest),
            (refused(ErrorKind::NotSent, Reason::Configuration), ErrorCode::ProviderRefused),
            (refused(ErrorKind::NotSent, Reason::PayerMismatch), ErrorCode::ProviderRefused),
            (refused(ErrorKind::NotSent, Reason::Platform), ErrorCode::ProviderUnavailable),
            (refused(ErrorKind::NotSent, Reason::Transport), ErrorCode::ProviderUnavailable),
            (refused(ErrorKind::Unknown, Reason::Timeout), ErrorCode::ProviderTimeout),
        ];
        for (problem, code) in cases {
            assert_eq!(problem.code, code, "{problem}");
        }
    }

    /// A set-up that the provider does not take is no network's trouble, and is mended by nobody who tries again.
    #[test]
    fn what_is_refused_without_a_signature_is_told_in_the_providers_words() {
        for reason in [Reason::Configuration, Reason::PayerMismatch] {
            let problem = refused(ErrorKind::NotSent, reason);
            let words = problem.provider.as_deref().unwrap();
            assert_eq!((words.code.as_str(), words.message.as_str()), ("NOAUTH", "not this way"), "{reason:?}");
            assert_eq!(problem.retry_after, None, "{reason:?}");
            assert!(problem.passing, "{reason:?}: the payment can still be paid, with the same Idempotency-Key");
        }
        // Without words of the provider's it is the gateway that did not send.
        let ours = ProviderError::new(ErrorKind::NotSent, Reason::Configuration, "no certificate is in force");
        let problem = Problem::from(ours);
        assert_eq!((problem.code, problem.retry_after), (ErrorCode::ProviderUnavailable, Some(5)));
    }

    /// A phone that is told to get a new code tries for ever where it is the user who is refused.
    #[test]
    fn a_new_code_is_asked_for_only_where_it_may_help() {
        for (reason, helps) in [(Reason::InvalidCode, true), (Reason::UserBlocked, false)] {
            let problem = refused(ErrorKind::Refused, reason);
            assert_eq!(problem.provider.as_ref().map(|words| words.code.as_str()), Some("NOAUTH"));
            let [error] = &problem.errors[..] else { panic!("{reason:?}: {:?}", problem.errors) };
            assert_eq!(error.message.contains("get a new one"), helps, "{reason:?}: {}", error.message);
        }
    }

    #[test]
    fn a_store_failure_keeps_its_reasons_to_itself() {
        let problem = Problem::from(StoreError::Unavailable("disk /var/lib full".into()));
        assert!(!String::from_utf8(problem.body("req-1")).unwrap().contains("/var/lib"));
        assert_eq!(problem.store.as_deref(), Some("the store is unavailable: disk /var/lib full"), "for the log");
        assert!(problem.retry_after.is_some());
    }

    #[actix_web::test]
    async fn the_document_has_the_members_of_the_contract() {
        let problem = refused(ErrorKind::Refused, Reason::Configuration);
        let response = problem.response("req-1");
        assert_eq!(response.status(), 402);
        assert_eq!(response.headers().get("content-type").unwrap(), PROBLEM_JSON);
        let body = to_bytes(response.into_body()).await.unwrap();
        let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            document,
            serde_json::json!({
                "type": "urn:dukou:problem:provider_refused", "title": "The provider refused", "status": 402,
                "detail": "not this way", "code": "provider_refused", "request_id": "req-1",
                "provider_code": "NOAUTH", "provider_message": "not this way"
            })
        );
    }
}

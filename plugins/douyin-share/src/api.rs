//! Calls to Douyin's open platform, and what its answers mean (protocol sections 0, 1.2 to 1.4, 2, 7).

use std::time::Duration;

use bytes::Bytes;
use dukou_domain::Secret;
use dukou_spi::transport::{HttpAnswer, HttpMethod, HttpRequest, TransportError};
use dukou_spi::{ErrorKind, ProviderError, Reason};
use serde_json::{Value, json};

use crate::config::Settings;
use crate::sign;
use crate::text::{integer, printable, text};

/// Before a call is repeated that the platform was too busy for. All of them are safe to repeat, but
/// those that spend a code.
const PAUSE: Duration = Duration::from_millis(200);
/// A token that names no end counts for so long.
const USUAL_LIFE: i64 = 7200;

/// Something that the platform lends for a while.
#[derive(Debug, Clone)]
pub struct Lent {
    pub value: Secret,
    pub lasts: Duration,
}

/// What an authorization gives.
#[derive(Debug, Clone)]
pub struct UserTokens {
    pub open_id: String,
    pub access: Lent,
    pub refresh: Lent,
    pub scopes: Vec<String>,
}

/// The application's own token (`clt.…`).
///
/// # Errors
/// [`ProviderError`], as for every call here.
pub async fn client_token(settings: &Settings) -> Result<Lent, ProviderError> {
    let body = json!({
        "grant_type": "client_credential", "client_key": settings.client_key,
        "client_secret": settings.client_secret.expose(),
    });
    let request = || HttpRequest {
        method: HttpMethod::Post,
        url: format!("{}/oauth/client_token/", settings.base_url),
        headers: vec![("content-type", "application/json".to_owned())],
        body: Bytes::from(body.to_string()),
    };
    lent(&ask(settings, request).await?, "access_token")
}

/// The ticket that signs schemas.
pub async fn open_ticket(settings: &Settings, token: &Secret) -> Result<Lent, ProviderError> {
    lent(&ask(settings, || with_token(settings, "/open/getticket/", token)).await?, "ticket")
}

/// A new id by which the share's outcome is told apart.
pub async fn share_id(settings: &Settings, token: &Secret) -> Result<String, ProviderError> {
    let data = ask(settings, || with_token(settings, "/share-id/?need_callback=true", token)).await?;
    let id = text(&data["share_id"]).filter(|id| id.len() <= 64 && id.bytes().all(|b| b.is_ascii_graphic()));
    id.ok_or_else(|| incomplete("share_id"))
}

/// Exchanges the code of an authorization, which works once.
pub async fn exchange_code(settings: &Settings, code: &Secret) -> Result<UserTokens, ProviderError> {
    let form = [
        ("client_key", settings.client_key.as_str()),
        ("client_secret", settings.client_secret.expose()),
        ("code", code.expose()),
        ("grant_type", "authorization_code"),
    ];
    user_tokens(&once(settings, form_request(settings, "/oauth/access_token/", &form)).await?)
}

pub async fn refresh(settings: &Settings, refresh_token: &Secret) -> Result<UserTokens, ProviderError> {
    let form = [
        ("client_key", settings.client_key.as_str()),
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token.expose()),
    ];
    user_tokens(&ask(settings, || form_request(settings, "/oauth/refresh_token/", &form)).await?)
}

/// A new refresh token; at most five times for one authorization.
pub async fn renew_refresh_token(settings: &Settings, refresh_token: &Secret) -> Result<Lent, ProviderError> {
    let form = [("client_key", settings.client_key.as_str()), ("refresh_token", refresh_token.expose())];
    lent(&once(settings, form_request(settings, "/oauth/renew_refresh_token/", &form)).await?, "refresh_token")
}

/// Whether the call failed because its token has ended or was never valid: another one may help.
pub fn token_is_gone(error: &ProviderError) -> bool {
    matches!(error.code.as_deref(), Some("10008" | "2190008" | "28001008" | "28001003" | "2190002"))
}

/// Whether the user has to authorize again.
pub fn authorization_is_over(error: &ProviderError) -> bool {
    token_is_gone(error) || matches!(error.code.as_deref(), Some("10010" | "10007"))
}

fn with_token(settings: &Settings, path: &str, token: &Secret) -> HttpRequest {
    HttpRequest {
        method: HttpMethod::Get,
        url: format!("{}{path}", settings.base_url),
        headers: vec![("access-token", token.expose().to_owned()), ("content-type", "application/json".to_owned())],
        body: Bytes::new(),
    }
}

fn form_request(settings: &Settings, path: &str, form: &[(&str, &str)]) -> HttpRequest {
    HttpRequest {
        method: HttpMethod::Post,
        url: format!("{}{path}", settings.base_url),
        headers: vec![("content-type", "application/x-www-form-urlencoded".to_owned())],
        body: Bytes::from(sign::query(form.iter().copied())),
    }
}

/// Calls, and once more when nothing was done because the platform was busy or out of reach.
async fn ask(settings: &Settings, request: impl Fn() -> HttpRequest) -> Result<Value, ProviderError> {
    match once(settings, request()).await {
        Err(error) if error.kind == ErrorKind::NotSent && error.reason != Reason::RateLimited => {
            tokio::time::sleep(PAUSE).await;
            once(settings, request()).await
        }
        other => other,
    }
}

/// One call; the answer's `data`.
async fn once(settings: &Settings, request: HttpRequest) -> Result<Value, ProviderError> {
    let answer = settings.transport.send(request).await.map_err(from_transport)?;
    read(&answer)
}

fn read(answer: &HttpAnswer) -> Result<Value, ProviderError> {
    // The parser's own error could quote the answer, and a token in it.
    let body: Value = serde_json::from_slice(&answer.body).map_err(|_| {
        let message = format!("douyin answered with status {} and something that is not json", answer.status);
        ProviderError::new(ErrorKind::Unknown, Reason::Platform, message)
    })?;
    let log_id = text(&body["extra"]["logid"])
        .or_else(|| text(&body["log_id"]))
        .or_else(|| answer.header("x-tt-logid").map(str::to_owned));
    // Nearly every answer has status 200; the body decides.
    let codes = [
        (&body["extra"]["error_code"], &body["extra"]["description"]),
        (&body["err_no"], &body["err_msg"]),
        (&body["data"]["error_code"], &body["data"]["description"]),
        (&body["error_code"], &body["description"]),
    ];
    for (code, words) in codes {
        if let Some(code) = integer(code).filter(|code| *code != 0) {
            let words = text(words).or_else(|| text(&body["data"]["description"])).unwrap_or_default();
            return Err(refusal(code, &printable(&words), log_id.as_deref()));
        }
    }
    if answer.status != 200 {
        let message = format!("douyin answered with status {}", answer.status);
        return Err(ProviderError::new(ErrorKind::NotSent, Reason::Platform, message));
    }
    Ok(body["data"].clone())
}

/// What an error code means (protocol section 7).
fn refusal(code: i64, words: &str, log_id: Option<&str>) -> ProviderError {
    let (kind, reason) = match code {
        -1 | 2_100_004 | 28_001_005 | 28_001_006 | 28_005_002 => (ErrorKind::NotSent, Reason::Platform),
        10_020 | 28_003_017 => (ErrorKind::NotSent, Reason::RateLimited),
        10_003 | 10_004 | 10_013 | 2_190_004 | 28_001_014 | 28_001_016 | 28_001_018 | 28_001_019 | 28_005_015 => {
            (ErrorKind::Refused, Reason::Configuration)
        }
        10_007 => (ErrorKind::Refused, Reason::InvalidCode),
        _ => (ErrorKind::Refused, Reason::Other),
    };
    let words = if words.is_empty() { "douyin refused" } else { words };
    let message = match log_id {
        Some(id) => format!("{words}; douyin's log id is {}", printable(id)),
        None => words.to_owned(),
    };
    ProviderError::new(kind, reason, message).with_code(code.to_string())
}

fn from_transport(error: TransportError) -> ProviderError {
    let (kind, reason) = match &error {
        TransportError::NotSent { .. } => (ErrorKind::NotSent, Reason::Transport),
        TransportError::Timeout { .. } => (ErrorKind::Unknown, Reason::Timeout),
        TransportError::Broken { .. } | TransportError::TooLong { .. } => (ErrorKind::Unknown, Reason::Transport),
    };
    ProviderError::new(kind, reason, error.to_string()).with_source(error)
}

fn lent(data: &Value, name: &str) -> Result<Lent, ProviderError> {
    let value = data[name].as_str().filter(|value| !value.is_empty()).ok_or_else(|| incomplete(name))?;
    let seconds = integer(&data["expires_in"]).unwrap_or(USUAL_LIFE);
    let lasts = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    Ok(Lent { value: Secret::new(value), lasts })
}

fn user_tokens(data: &Value) -> Result<UserTokens, ProviderError> {
    let refresh = json!({ "refresh_token": data["refresh_token"], "expires_in": data["refresh_expires_in"] });
    Ok(UserTokens {
        open_id: text(&data["open_id"]).ok_or_else(|| incomplete("open_id"))?,
        access: lent(data, "access_token")?,
        refresh: lent(&refresh, "refresh_token")?,
        scopes: scopes(&data["scope"]),
    })
}

/// Scopes, as a list or parted by commas.
pub fn scopes(value: &Value) -> Vec<String> {
    match value {
        Value::Array(values) => values.iter().filter_map(text).collect(),
        Value::String(text) => {
            text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

fn incomplete(name: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Unknown, Reason::Platform, format!("douyin's answer has no {name}"))
}

#[cfg(test)]
mod tests;

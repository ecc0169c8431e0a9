//! The calls: `stable_token` for a token, and a question that changes nothing to see whether one is
//! accepted. Neither a URL with a token nor an answer is ever put into an error.

use std::time::Duration;

use dukou_domain::Secret;
use dukou_spi::transport::{HttpAnswer, HttpMethod, HttpRequest, Transport};
use dukou_spi::{ErrorKind, ProviderError, Reason};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::json;

use super::code;
use crate::hosts::{from_transport, unreadable};

/// A token is no longer, in characters.
const LONGEST_TOKEN: usize = 512;
/// WeChat promises 7200 seconds at most; what is longer is not believed.
const LONGEST_LIFE: u64 = 7200;
/// Of WeChat's words, so many characters are kept.
const LONGEST_MESSAGE: usize = 200;

/// Whose token.
pub struct App<'a> {
    pub platform_url: &'a str,
    pub app_id: &'a str,
    pub app_secret: &'a Secret,
}

/// A token as it came.
pub struct Lent {
    pub value: Secret,
    pub lasts: Duration,
}

#[derive(Deserialize)]
struct Answer {
    errcode: Option<i64>,
    errmsg: Option<String>,
    access_token: Option<Token>,
    expires_in: Option<u64>,
}

/// Read straight into a secret.
struct Token(Secret);

impl<'de> Deserialize<'de> for Token {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Token(Secret::new(text)))
    }
}

/// Asks for the app's token. `force` ends the one before.
///
/// # Errors
/// What WeChat said, or that it said nothing that can be relied on.
pub async fn stable_token(transport: &dyn Transport, app: &App<'_>, force: bool) -> Result<Lent, ProviderError> {
    let body = json!({
        "grant_type": "client_credential",
        "appid": app.app_id,
        "secret": app.app_secret.expose(),
        "force_refresh": force,
    });
    let request = HttpRequest {
        method: HttpMethod::Post,
        url: format!("{}/cgi-bin/stable_token", app.platform_url),
        headers: vec![("content-type", "application/json".to_owned())],
        body: body.to_string().into(),
    };
    let answer = read(&transport.send(request).await.map_err(from_transport)?)?;
    if let Some(code) = answer.errcode.filter(|code| *code != 0) {
        return Err(refusal(code, answer.errmsg));
    }
    let value = answer.access_token.map(|token| token.0);
    let value = value.filter(|token| (1..=LONGEST_TOKEN).contains(&token.expose().len()));
    let lasts = answer.expires_in.filter(|seconds| (1..=LONGEST_LIFE).contains(seconds));
    match (value, lasts) {
        (Some(value), Some(seconds)) => Ok(Lent { value, lasts: Duration::from_secs(seconds) }),
        (None, _) => Err(unreadable("the answer to stable_token has no access_token of 1 to 512 characters")),
        (_, None) => Err(unreadable("the answer to stable_token has no expires_in of 1 to 7200 seconds")),
    }
}

/// Whether WeChat takes the token, by a question that changes nothing: which addresses it has.
///
/// # Errors
/// When the answer does not tell.
pub async fn is_accepted(transport: &dyn Transport, platform_url: &str, token: &Secret) -> Result<bool, ProviderError> {
    let token = utf8_percent_encode(token.expose(), NON_ALPHANUMERIC);
    let request = HttpRequest {
        method: HttpMethod::Get,
        url: format!("{platform_url}/cgi-bin/get_api_domain_ip?access_token={token}"),
        headers: Vec::new(),
        body: Default::default(),
    };
    let answer = read(&transport.send(request).await.map_err(from_transport)?)?;
    match answer.errcode {
        // Who is not granted the call was known by the token.
        None | Some(0 | 48001) => Ok(true),
        Some(code) if code::is_stale(code) => Ok(false),
        Some(code) => Err(refusal(code, answer.errmsg)),
    }
}

fn read(answer: &HttpAnswer) -> Result<Answer, ProviderError> {
    if answer.status != 200 {
        let message = format!("the platform's http status is {}, expected 200", answer.status);
        return Err(ProviderError::new(ErrorKind::Unknown, Reason::Platform, message));
    }
    // The parser's own error could quote the answer, and a token in it.
    serde_json::from_slice(&answer.body).map_err(|_| unreadable("the platform's answer is not the expected json"))
}

fn refusal(code: i64, words: Option<String>) -> ProviderError {
    let (kind, reason, _) = code::meaning(code);
    let words = words.unwrap_or_default().chars().filter(|c| !c.is_control()).take(LONGEST_MESSAGE).collect::<String>();
    let message = if words.is_empty() { "no access token was given".to_owned() } else { words };
    ProviderError::new(kind, reason, message).with_code(code.to_string())
}

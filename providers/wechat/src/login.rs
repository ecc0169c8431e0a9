//! `jscode2session`: a mini-program's login code for the user's identity (小程序登录).

use dukou_domain::Secret;
use dukou_spi::transport::{HttpAnswer, HttpMethod, HttpRequest, Transport, TransportError};
use dukou_spi::{ErrorKind, Login, ProviderError, Reason};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use crate::account::backup_of;

use ErrorKind::{NotSent, Refused, Unknown};

/// `errcode` for "busy": the only one after which the same code may be tried again.
const BUSY: i64 = -1;

/// Exchanges `code`. The session key in WeChat's answer is not even read.
pub async fn exchange(
    transport: &dyn Transport,
    platform_url: &str,
    app_id: &str,
    app_secret: &Secret,
    code: &Secret,
    from_transport: fn(TransportError) -> ProviderError,
) -> Result<Login, ProviderError> {
    let query = format!(
        "/sns/jscode2session?appid={}&secret={}&js_code={}&grant_type=authorization_code",
        encode(app_id),
        encode(app_secret.expose()),
        encode(code.expose())
    );
    let ask = async || match (send(transport, platform_url, &query).await, backup_of(platform_url)) {
        // The code works once: only what certainly was not sent is sent elsewhere.
        (Err(TransportError::NotSent { .. }), Some(backup)) => send(transport, backup, &query).await,
        (answer, _) => answer,
    };
    let first = read(&ask().await.map_err(from_transport)?)?;
    let answer = match first {
        Answer { errcode: Some(BUSY), .. } => read(&ask().await.map_err(from_transport)?)?,
        other => other,
    };
    judge(answer)
}

async fn send(transport: &dyn Transport, host: &str, query: &str) -> Result<HttpAnswer, TransportError> {
    let url = format!("{host}{query}");
    transport.send(HttpRequest { method: HttpMethod::Get, url, headers: Vec::new(), body: Default::default() }).await
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[derive(Debug, Deserialize)]
struct Answer {
    errcode: Option<i64>,
    errmsg: Option<String>,
    openid: Option<String>,
    unionid: Option<String>,
}

fn read(answer: &HttpAnswer) -> Result<Answer, ProviderError> {
    if answer.status != 200 {
        let message = format!("the login's http status is {}, expected 200", answer.status);
        return Err(ProviderError::new(Unknown, Reason::Platform, message));
    }
    // The parser's own error could quote the answer, and a session key in it.
    serde_json::from_slice(&answer.body)
        .map_err(|_| ProviderError::new(Unknown, Reason::Transport, "the login's answer is not the expected json"))
}

fn judge(answer: Answer) -> Result<Login, ProviderError> {
    match answer.errcode {
        None | Some(0) => {
            let openid = answer
                .openid
                .filter(|openid| !openid.is_empty())
                .ok_or_else(|| ProviderError::new(Unknown, Reason::Transport, "the login's answer has no openid"))?;
            Ok(Login { openid, unionid: answer.unionid.filter(|unionid| !unionid.is_empty()) })
        }
        Some(code) => {
            let (kind, reason) = error_code(code);
            let message =
                answer.errmsg.unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect::<String>();
            let message = if message.is_empty() { "the login was refused".to_owned() } else { message };
            Err(ProviderError::new(kind, reason, message).with_code(code.to_string()))
        }
    }
}

/// What an `errcode` of the login means. WeChat answered, so that nothing is unknown.
fn error_code(code: i64) -> (ErrorKind, Reason) {
    match code {
        BUSY => (NotSent, Reason::Platform),
        45011 | 45009 => (NotSent, Reason::RateLimited),
        // An address that WeChat finds risky: it waits for the administrator, or was refused for a while.
        89503 | 89506 | 89507 => (NotSent, Reason::Configuration),
        // Wrong id or secret, an address that is not allowed, a frozen secret or account, no permission.
        40001 | 40002 | 40013 | 40125 | 40164 | 40243 | 41002 | 41004 | 48001 | 50004 | 50007 | 61003 | 61004
        | 61011 => (Refused, Reason::Configuration),
        // A user of high risk.
        40226 => (Refused, Reason::UserBlocked),
        // Wrong, used or expired (40029, 40163), missing (41008): what speaks neither of the app, nor of the moment,
        // nor of the user speaks of the code.
        _ => (Refused, Reason::InvalidCode),
    }
}

#[cfg(test)]
mod tests;

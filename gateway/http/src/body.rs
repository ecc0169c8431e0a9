//! Reads request bodies within a limit of bytes and of time.

use std::pin::pin;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap};
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use serde_json::Value;
use tokio::time::timeout;

use crate::connection::Activity;
use crate::errors::ErrorCode;
use crate::gateway::HttpConfig;
use crate::json;
use crate::problem::Problem;

/// Bytes that no message of a platform has; most have one or two thousand.
const LARGEST_MESSAGE: usize = 64 * 1024;

/// Reads the whole body as it came. What counts is what arrives, not what was announced; nothing
/// is ever decompressed.
///
/// # Errors
/// `body_too_large`, `request_timeout` when it is not complete in time, `unsupported_media_type`
/// for a content coding, `invalid_request` when it breaks off.
pub async fn read(request: &HttpRequest, payload: Payload, config: &HttpConfig) -> Result<Bytes, Problem> {
    read_within(request, payload, config, config.body_limit).await
}

/// As [`read`], for an address that takes less.
///
/// # Errors
/// As [`read`].
pub async fn read_within(
    request: &HttpRequest,
    payload: Payload,
    config: &HttpConfig,
    limit: usize,
) -> Result<Bytes, Problem> {
    read_to(request, payload, config, limit.min(config.body_limit)).await
}

/// As [`read`], for a platform's message: a limit that is meant for the merchant's own requests does not shut it out.
///
/// # Errors
/// As [`read`].
pub async fn read_message(request: &HttpRequest, payload: Payload, config: &HttpConfig) -> Result<Bytes, Problem> {
    read_to(request, payload, config, config.body_limit.max(LARGEST_MESSAGE)).await
}

async fn read_to(request: &HttpRequest, payload: Payload, config: &HttpConfig, limit: usize) -> Result<Bytes, Problem> {
    refuse_coding(request.headers())?;
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit as u64) {
        return Err(too_large(limit));
    }
    let (patience, mut body) = (config.body_read_timeout, pin!(collect(payload, limit)));
    if let Ok(body) = timeout(patience, body.as_mut()).await {
        return body;
    }
    // What has come and was not read is not late: then it is this thread that had other things to do. Whoever goes on
    // sending without end has no more than the same time again.
    if request.conn_data::<Activity>().is_some_and(Activity::is_behind)
        && let Ok(body) = timeout(patience, body).await
    {
        return body;
    }
    Err(too_slow(patience))
}

/// As [`read`], where the body has to be JSON.
///
/// # Errors
/// As [`read`]; `invalid_request` where there is no body, `unsupported_media_type` where it is announced as anything
/// but JSON in UTF-8.
pub async fn read_json(request: &HttpRequest, payload: Payload, config: &HttpConfig) -> Result<Bytes, Problem> {
    read_json_within(request, payload, config, config.body_limit).await
}

/// As [`read_json`], for an address that takes less.
///
/// # Errors
/// As [`read_json`].
pub async fn read_json_within(
    request: &HttpRequest,
    payload: Payload,
    config: &HttpConfig,
    limit: usize,
) -> Result<Bytes, Problem> {
    let bytes = read_within(request, payload, config, limit).await?;
    // Before its type: who sent nothing had no type to name.
    if bytes.is_empty() {
        return Err(Problem::invalid_field("body", "missing; expected a JSON object"));
    }
    require_json(request.headers())?;
    Ok(bytes)
}

/// Reads the body of a call that takes none: nothing, or an empty object. Returns it as it came, for what is kept
/// of the call.
///
/// # Errors
/// As [`read`]; `unsupported_media_type`, `invalid_request` for anything in it.
pub async fn read_nothing(request: &HttpRequest, payload: Payload, config: &HttpConfig) -> Result<Bytes, Problem> {
    let bytes = read(request, payload, config).await?;
    expect_nothing(request.headers(), &bytes)?;
    Ok(bytes)
}

async fn collect(mut payload: Payload, limit: usize) -> Result<Bytes, Problem> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| {
            tracing::debug!(%error, "a request body broke off");
            Problem::invalid_field("body", "it broke off or its framing is wrong").closing()
        })?;
        if body.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn too_large(limit: usize) -> Problem {
    Problem::new(ErrorCode::BodyTooLarge, format!("the body is larger than {limit} bytes")).closing()
}

fn too_slow(limit: Duration) -> Problem {
    let detail = format!("the body was not complete after {} s", limit.as_secs());
    Problem::new(ErrorCode::RequestTimeout, detail).closing()
}

fn refuse_coding(headers: &HeaderMap) -> Result<(), Problem> {
    let plain = headers
        .get_all(header::CONTENT_ENCODING)
        .all(|coding| coding.to_str().is_ok_and(|coding| coding.trim().eq_ignore_ascii_case("identity")));
    if plain {
        Ok(())
    } else {
        Err(Problem::new(ErrorCode::UnsupportedMediaType, "send the body without Content-Encoding").closing())
    }
}

/// Looks at the Content-Type. A body without one is JSON, as everything here is, unless a browser sends it for a page:
/// without a type it needs no leave of ours (no preflight), and a page of another site is never to get that far.
///
/// # Errors
/// `unsupported_media_type` for anything but JSON in UTF-8.
pub fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let json = match headers.get(header::CONTENT_TYPE) {
        Some(named) => named.to_str().is_ok_and(is_json),
        None => !headers.contains_key(header::ORIGIN),
    };
    if json {
        return Ok(());
    }
    let detail = "send the body as JSON, with Content-Type: application/json";
    Err(Problem::new(ErrorCode::UnsupportedMediaType, detail))
}

fn expect_nothing(headers: &HeaderMap, body: &Bytes) -> Result<(), Problem> {
    if body.is_empty() {
        return Ok(());
    }
    require_json(headers)?;
    match json::parse(body) {
        Ok(Value::Object(fields)) if fields.is_empty() => Ok(()),
        Ok(_) => Err(Problem::invalid_field("body", "expected no body, or an empty JSON object")),
        Err(fault) => Err(Problem::invalid(vec![fault])),
    }
}

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"))
        && parts.all(|parameter| {
            let charset = parameter.replace('"', "");
            charset.is_empty() || charset.eq_ignore_ascii_case("charset=utf-8")
        })
}

#[cfg(test)]
mod tests {
    use actix_web::FromRequest as _;
    use actix_web::test::TestRequest;

    use super::*;

    #[actix_web::test]
    async fn a_low_limit_for_requests_leaves_room_for_a_platforms_message() {
        let config = HttpConfig { body_limit: 1024, ..HttpConfig::default() };
        for (bytes, as_request, as_message) in [(1024, true, true), (1025, false, true), (65_537, false, false)] {
            let sent = || async {
                let request = TestRequest::post().set_payload(vec![b'x'; bytes]);
                let (request, mut payload) = request.to_http_parts();
                let payload = Payload::from_request(&request, &mut payload).await.unwrap();
                (request, payload)
            };
            let (request, payload) = sent().await;
            assert_eq!(read(&request, payload, &config).await.is_ok(), as_request, "{bytes}");
            let (request, payload) = sent().await;
            assert_eq!(read_message(&request, payload, &config).await.is_ok(), as_message, "{bytes}");
        }
    }

    #[test]
    fn only_json_in_utf_8_is_json() {
        for (content_type, json) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json;charset=\"utf-8\"", true),
            ("application/json; charset=gbk", false),
            ("application/problem+json", false),
            ("text/plain", false),
            ("", false),
        ] {
            assert_eq!(is_json(content_type), json, "{content_type}");
        }
    }

    #[test]
    fn a_body_where_none_is_expected_is_refused() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
        for (body, good) in [("", true), ("{}", true), ("{\"a\":1}", false), ("[]", false), ("x", false)] {
            assert_eq!(expect_nothing(&headers, &Bytes::from(body)).is_ok(), good, "{body}");
        }
        assert!(expect_nothing(&HeaderMap::new(), &Bytes::new()).is_ok());
        assert!(expect_nothing(&HeaderMap::new(), &Bytes::from("{}")).is_ok());
    }

    #[test]
    fn what_names_no_type_is_json_unless_a_page_sends_it() {
        const PAGE: (&str, &str) = ("origin", "https://example.com");
        for (named, json) in [
            (&[] as &[(&'static str, &'static str)], true),
            (&[PAGE], false),
            (&[("origin", "null")], false),
            (&[("content-type", "application/json"), PAGE], true),
            (&[("content-type", "")], false),
            (&[("content-type", "text/plain")], false),
            (&[("content-type", "\u{ff}")], false),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in named {
                let value = header::HeaderValue::from_bytes(value.as_bytes()).unwrap();
                headers.insert(header::HeaderName::from_static(name), value);
            }
            assert_eq!(require_json(&headers).is_ok(), json, "{named:?}");
        }
    }
}

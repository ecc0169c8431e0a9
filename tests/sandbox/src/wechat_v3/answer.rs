//! How answers are written: JSON or nothing, signed; files and some refusals unsigned.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use rand::Rng;
use serde_json::{Value, json};

use super::error::ApiError;
use super::stamp::{self, Damage, Headers};
use super::trust::Purpose;
use super::word::Word;
use crate::faults::{Fault, SignatureFault};
use crate::ledger::token;
use crate::merchants::Registered;
use crate::platform::answer::Reply;
use crate::world::World;

const JSON: &str = "application/json; charset=utf-8";

/// What a call comes to when it is not refused.
#[derive(Debug)]
pub enum Outcome {
    /// 200 with a body.
    Body(Value),
    /// 204.
    Empty,
    /// A file, which alone carries no signature.
    File { bytes: Vec<u8>, gzip: bool },
}

/// What goes back over the wire.
#[derive(Debug)]
pub struct Answer {
    pub reply: Reply,
    pub headers: Headers,
    /// The key that signed.
    pub serial: Option<String>,
}

impl Answer {
    /// The connection is closed without a byte.
    pub fn close() -> Self {
        Self::bare(Reply::Close)
    }

    /// No headers but those every page has.
    pub fn bare(reply: Reply) -> Self {
        Self { reply, headers: Headers::new(), serial: None }
    }

    /// A refusal without a signature.
    pub fn unsigned(world: &World, error: &ApiError) -> Self {
        let body = error.body(world.policy().v3_legacy_codes).to_string().into_bytes();
        Self {
            reply: Reply::Answer { status: error.status, content_type: JSON, body },
            headers: vec![request_id()],
            serial: None,
        }
    }

    /// Writes the answer and signs it with the key that the merchant is given.
    pub fn signed(
        world: &World,
        merchant: &Registered,
        wanted: Option<&str>,
        outcome: Result<Outcome, ApiError>,
        fault: Option<&Fault>,
    ) -> Self {
        let (status, mut body) = match outcome {
            Ok(Outcome::Body(value)) => (200, Some(value)),
            Ok(Outcome::Empty) => (204, None),
            Ok(Outcome::File { bytes, gzip }) => return Self::file(bytes, gzip, fault),
            Err(error) => (error.status, Some(error.body(world.policy().v3_legacy_codes))),
        };
        if let Some(Value::Object(fields)) = &mut body {
            if rand::rng().random_bool(world.unknown_field_share()) {
                fields.insert("sandbox_extra".to_owned(), json!(token(8)));
            }
            if let Some(Fault::HugeAnswer { bytes }) = fault {
                fields.insert("sandbox_padding".to_owned(), json!("x".repeat(*bytes)));
            }
        }
        let mut text = body.map(|body| body.to_string()).unwrap_or_default();
        if fault == Some(&Fault::DuplicateField)
            && let Some(first) = text.strip_prefix('{').and_then(|rest| rest.split(',').next())
        {
            text = format!("{{{},{}", first.trim_end_matches('}'), &text[1..]);
        }
        let damage = damage(world, fault);
        let signer = match stamp::signer(world, merchant, Purpose::Answer, wanted, &damage) {
            Ok(signer) => signer,
            Err(error) => return Self::unsigned(world, &ApiError::new("SYSTEM_ERROR", format!("{error:#}"))),
        };
        let mut headers = stamp::headers(world, &signer, text.as_bytes(), &damage);
        headers.push(request_id());
        if fault == Some(&Fault::Truncate) {
            let half = (0..=text.len() / 2).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
            text.truncate(half);
        }
        let content_type = if status == 204 { "" } else { JSON };
        Self {
            reply: Reply::Answer { status, content_type, body: text.into_bytes() },
            headers,
            serial: Some(signer.serial),
        }
    }

    fn file(mut bytes: Vec<u8>, gzip: bool, fault: Option<&Fault>) -> Self {
        match fault {
            Some(Fault::Truncate) => bytes.truncate(bytes.len() / 2),
            // Unsigned as it is, the file's content is what can be wrong: one fen more.
            Some(Fault::BadSignature) => {
                if let Some(last) = bytes.iter_mut().rev().find(|byte| byte.is_ascii_digit()) {
                    *last = if *last == b'9' { b'8' } else { *last + 1 };
                }
            }
            _ => {}
        }
        let content_type = if gzip { "application/x-gzip" } else { "text/plain; charset=utf-8" };
        Self {
            reply: Reply::Answer { status: 200, content_type, body: bytes },
            headers: vec![request_id()],
            serial: None,
        }
    }

    /// The same for the journal where it does not leave: what nobody hears vouches for nothing.
    pub fn kept_back(self) -> Self {
        Self { headers: Headers::new(), ..self }
    }

    /// What it is worth to this merchant.
    pub fn word(&self, world: &World, mch_id: &str) -> Word {
        match &self.reply {
            Reply::Answer { body, .. } | Reply::Slow { body, .. } => Word::answered(world, mch_id, &self.headers, body),
            Reply::Cut { .. } | Reply::Close => Word::default(),
        }
    }

    pub fn into_response(self) -> HttpResponse {
        let (status, content_type) = match &self.reply {
            Reply::Answer { status, content_type, .. } => (Some(*status), *content_type),
            Reply::Slow { .. } | Reply::Cut { .. } => (None, JSON),
            Reply::Close => return self.reply.into_response(),
        };
        let mut response = self.reply.into_response();
        if let Some(status) = status.and_then(|status| StatusCode::from_u16(status).ok()) {
            *response.status_mut() = status;
        }
        let headers = response.headers_mut();
        if content_type.is_empty() {
            headers.remove(CONTENT_TYPE);
        } else {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        for (name, value) in &self.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
                headers.append(name, value);
            }
        }
        response
    }
}

fn request_id() -> (String, String) {
    ("Request-ID".to_owned(), format!("08{}", token(30).to_ascii_uppercase()))
}

/// What a fault does to the signature.
fn damage(world: &World, fault: Option<&Fault>) -> Damage {
    let mut damage = Damage { probe: rand::rng().random_bool(world.policy().v3_probe_share), ..Damage::default() };
    match fault {
        Some(Fault::BadSignature) => damage.flip = true,
        Some(Fault::Signature { damage: how }) => match how {
            SignatureFault::Probe => damage.probe = true,
            SignatureFault::Missing => {
                damage.omit = [stamp::TIMESTAMP, stamp::NONCE, stamp::SERIAL, stamp::SIGNATURE, stamp::SIGNATURE_TYPE]
                    .map(str::to_owned)
                    .to_vec();
            }
            SignatureFault::Doubled => damage.double = vec![stamp::SIGNATURE.to_owned()],
            SignatureFault::UnknownSerial => damage.serial = Some("unknown".to_owned()),
            SignatureFault::Late { seconds } => damage.timestamp_offset = -seconds,
        },
        _ => {}
    }
    damage
}

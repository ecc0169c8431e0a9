//! How answers are written: signed XML, unsigned refusals, pages, or nothing at all.

use std::io;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::rt::time::sleep;
use actix_web::web::Bytes;
use futures_util::{StreamExt, stream};
use rand::Rng;

use super::{Outcome, Request};
use crate::faults::Fault;
use crate::ledger::token;
use crate::sign::{Fields, sign};
use crate::world::World;
use crate::xml;

/// What goes back over the wire.
#[derive(Debug)]
pub enum Reply {
    Answer {
        status: u16,
        content_type: &'static str,
        body: Vec<u8>,
    },
    /// The answer's bytes one by one, spread over this time.
    Slow {
        ms: u64,
        body: Vec<u8>,
    },
    /// The answer's head and half of its body; then the connection is closed.
    Cut {
        body: Vec<u8>,
    },
    /// The connection is closed without a byte.
    Close,
}

const XML: &str = "text/xml; charset=utf-8";
/// Pieces a slow body comes in.
const PIECES: usize = 20;
/// Long enough for the first half of a cut body to be on its way.
const FLUSH: Duration = Duration::from_millis(20);

impl Reply {
    fn xml(text: String) -> Self {
        Self::Answer { status: 200, content_type: XML, body: text.into_bytes() }
    }

    pub fn json(text: String) -> Self {
        Self::Answer { status: 200, content_type: "text/plain; charset=utf-8", body: text.into_bytes() }
    }

    pub fn page(status: u16, body: &str) -> Self {
        Self::Answer { status, content_type: "text/html; charset=utf-8", body: body.as_bytes().to_vec() }
    }

    /// The page of the server in front of the platform, which checks client certificates.
    pub fn certificate_page(reason: &str) -> Self {
        Self::page(
            400,
            &format!(
                "<html>\r\n<head><title>400 {reason}</title></head>\r\n<body bgcolor=\"white\">\r\n\
                 <center><h1>400 Bad Request</h1></center>\r\n<center>{reason}</center>\r\n<hr><center>nginx</center>\r\n\
                 </body>\r\n</html>\r\n"
            ),
        )
    }

    /// A refusal that carries no signature.
    pub fn unsigned(outcome: &Outcome) -> Self {
        let Outcome::ReturnFail { message, error_code } = outcome else { return Self::Close };
        let mut fields = Fields::new();
        fields.insert("return_code".to_owned(), "FAIL".to_owned());
        fields.insert("return_msg".to_owned(), message.clone());
        if let Some(code) = error_code {
            fields.insert("error_code".to_owned(), code.clone());
        }
        Self::xml(xml::write("xml", &fields))
    }

    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } => Some(*status),
            Self::Slow { .. } | Self::Cut { .. } => Some(200),
            Self::Close => None,
        }
    }

    /// For the journal.
    pub fn text(&self) -> String {
        match self {
            Self::Answer { body, .. } | Self::Slow { body, .. } | Self::Cut { body } => {
                String::from_utf8_lossy(body).into_owned()
            }
            Self::Close => String::new(),
        }
    }

    /// This answer, but its body comes as the fault says.
    pub fn dragged(self, fault: Option<&Fault>) -> Self {
        match (self, fault) {
            (Self::Answer { body, .. }, Some(Fault::SlowBody { ms })) => Self::Slow { ms: *ms, body },
            (Self::Answer { body, .. }, Some(Fault::CutBody)) => Self::Cut { body },
            (reply, _) => reply,
        }
    }

    pub fn into_response(self) -> HttpResponse {
        match self {
            Self::Answer { status, content_type, body } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                HttpResponse::build(status).content_type(content_type).body(body)
            }
            Self::Slow { ms, body } => {
                let length = body.len() as u64;
                let pieces: Vec<Bytes> =
                    body.chunks(body.len().div_ceil(PIECES).max(1)).map(Bytes::copy_from_slice).collect();
                let pause = Duration::from_millis(ms / PIECES as u64);
                let stream = stream::iter(pieces).then(move |piece| async move {
                    sleep(pause).await;
                    Ok::<_, io::Error>(piece)
                });
                HttpResponse::Ok().content_type(XML).body(SizedStream::new(length, stream))
            }
            Self::Cut { body } => {
                let length = body.len() as u64;
                let half = Bytes::copy_from_slice(&body[..body.len() / 2]);
                let end = stream::once(async {
                    sleep(FLUSH).await;
                    Err(closed())
                });
                HttpResponse::Ok().content_type(XML).body(SizedStream::new(length, stream::iter([Ok(half)]).chain(end)))
            }
            // A body that fails at once makes the server close the connection before the head is flushed.
            Self::Close => HttpResponse::Ok().streaming(stream::once(async { Err::<Bytes, _>(closed()) })),
        }
    }
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "closed on purpose")
}

/// Writes the answer to an accepted request, with the request's own digest and without a `sign_type` field.
pub struct Signed<'a> {
    pub world: &'a World,
    pub request: &'a Request,
    pub fault: Option<&'a Fault>,
}

impl Signed<'_> {
    pub fn reply(&self, outcome: Outcome) -> Reply {
        let mut fields = match outcome {
            Outcome::Success(fields) => {
                let mut fields = fields;
                fields.insert("result_code".to_owned(), "SUCCESS".to_owned());
                fields
            }
            Outcome::Fail { code, description } => {
                [("result_code", "FAIL".to_owned()), ("err_code", code), ("err_code_des", description)]
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect()
            }
            Outcome::ReturnFail { .. } => return Reply::unsigned(&outcome),
            Outcome::File(body) => return Reply::Answer { status: 200, content_type: "text/plain", body },
        };
        fields.insert("return_code".to_owned(), "SUCCESS".to_owned());
        fields.insert("return_msg".to_owned(), "OK".to_owned());
        for name in ["appid", "mch_id"] {
            if let Some(value) = self.request.given(name) {
                fields.insert(name.to_owned(), value.to_owned());
            }
        }
        fields.insert("nonce_str".to_owned(), token(16));
        if rand::rng().random_bool(self.world.unknown_field_share()) {
            fields.insert("sandbox_extra".to_owned(), token(8));
        }
        if let Some(Fault::HugeAnswer { bytes }) = self.fault {
            fields.insert("sandbox_padding".to_owned(), "x".repeat(*bytes));
        }
        let mut signature = sign(&fields, self.request.merchant.key(), self.request.sign_type);
        if self.fault == Some(&Fault::BadSignature) {
            let last = signature.pop();
            signature.push(if last == Some('0') { '1' } else { '0' });
        }
        fields.insert("sign".to_owned(), signature);
        let mut text = xml::write("xml", &fields);
        match self.fault {
            Some(Fault::Truncate) => {
                let half = (0..=text.len() / 2).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
                text.truncate(half);
            }
            Some(Fault::DuplicateField) => {
                text = text.replacen("</xml>", "<result_code><![CDATA[SUCCESS]]></result_code></xml>", 1);
            }
            _ => {}
        }
        Reply::xml(text)
    }
}

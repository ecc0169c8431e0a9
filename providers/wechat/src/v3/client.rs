//! Sends signed requests, and believes an answer only when WeChat signed it: the exact bytes both
//! ways.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use dukou_domain::Timestamp;
use dukou_spi::transport::{HttpAnswer, HttpMethod, HttpRequest, InvalidTransport, Transport};
use dukou_spi::{Clock, Context, ErrorKind, PlatformTime, Proof, ProviderError, Random, Reason, note_request_id};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::certificates::Answer as CertificatesAnswer;
use super::config::Settings;
use super::map::{self, Call};
use super::sign::{MerchantKey, Signature, Unsigned};
use super::trust::{Fetch, Trust};
use crate::account::Account;
use crate::hosts::{self, Answered, Route, from_transport, honest, options, unreadable};
use crate::text::{FOREIGN_PAYER, nonce, quote};

/// Longest answer of a call, in bytes.
const ANSWER_LIMIT: usize = 128 * 1024;
/// Longest bill as it crosses the wire, in bytes.
const BILL_LIMIT: usize = 32 * 1024 * 1024;
/// How far a signature's time may be from ours, in seconds: at this it is refused.
pub const TOLERANCE: i64 = 300;

/// One merchant's connections, own key, and WeChat's keys.
pub struct Client {
    pub account: Account,
    pub key: MerchantKey,
    pub trust: Trust,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    time: Arc<dyn PlatformTime>,
    plain: Arc<dyn Transport>,
    bills: Arc<dyn Transport>,
}

/// A request, but for what is signed anew at every try.
pub struct Request {
    pub call: Call,
    /// Path and query, exactly as they are signed and sent.
    pub target: String,
    /// `None` for a GET.
    pub body: Option<Bytes>,
}

/// An answer that is WeChat's word, whether yes or no.
pub struct Signed {
    pub status: u16,
    pub body: Bytes,
    pub proof: Proof,
    call: Call,
    maybe_done: bool,
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    #[error("it is not signed")]
    Absent,
    #[error("{0}")]
    Malformed(String),
    #[error("it was signed {} s away from this machine's time", .0.unsigned_abs())]
    OtherTime(i64),
    #[error("it is signed with a key that is not known: {0}")]
    UnknownKey(String),
    #[error("its signature does not hold")]
    Wrong,
    #[error("its signature is wrong on purpose")]
    Probe,
}

impl Client {
    pub fn new(settings: Settings, context: &Context) -> Result<Self, InvalidTransport> {
        let Settings { account, key, api_v3_key, platform, .. } = settings;
        let name = format!("wechat-v3:{}", account.mch_id);
        Ok(Client {
            plain: context.transports.build(options(&account, None, ANSWER_LIMIT))?,
            bills: context.transports.build(options(&account, None, BILL_LIMIT))?,
            trust: Trust::new(name, api_v3_key, platform, Arc::clone(&context.shelf), Arc::clone(&context.clock)),
            account,
            key,
            clock: Arc::clone(&context.clock),
            random: Arc::clone(&context.random),
            time: Arc::clone(&context.time),
        })
    }

    /// The connection for calls beside the payment hosts.
    pub fn plain(&self) -> &Arc<dyn Transport> {
        &self.plain
    }

    /// Sends, and takes the answer as far as its signature.
    ///
    /// # Errors
    /// `NotSent` too when there is no key yet that could verify the answer.
    pub async fn send(&self, request: Request) -> Result<Signed, ProviderError> {
        self.send_on(self.account.route(), request).await
    }

    /// As [`Client::send`], on a way of its own.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn send_on(&self, route: Route<'_>, request: Request) -> Result<Signed, ProviderError> {
        if self.trust.own(self.clock.now()).is_none() {
            self.renew_trust().await.map_err(|error| {
                let message = format!("the answer could not be verified: {}", error.message);
                let code = error.code.clone();
                ProviderError {
                    code,
                    ..ProviderError::new(ErrorKind::NotSent, error.reason, message).with_source(error)
                }
            })?;
        }
        if self.trust.own(self.clock.now()).is_none() {
            let message = "no platform certificate is in force, so that no answer could be verified";
            return Err(ProviderError::new(ErrorKind::NotSent, Reason::Configuration, message));
        }
        let mut answer = self.exchange(route, &request).await?;
        let mut doubt = self.believe(&answer.http.headers, &answer.http.body).await;
        if doubt.as_ref().is_err_and(|doubt| *doubt == Doubt::Probe) {
            // The platform tests us, and may have done what was asked: the same numbers again.
            answer =
                self.exchange(route, &request).await.map_err(|error| honest(true, request.call.effect(), error))?;
            answer.maybe_done = true;
            doubt = self.believe(&answer.http.headers, &answer.http.body).await;
        }
        let (call, Answered { http, maybe_done }) = (request.call, answer);
        match doubt {
            Ok(proof) => Ok(Signed { status: http.status, body: http.body, proof, call, maybe_done }),
            Err(Doubt::Absent) if !is_success(http.status) => {
                Err(honest(maybe_done, call.effect(), unsigned(call, &http)))
            }
            Err(doubt) => {
                let message = format!("the answer cannot be believed: {doubt}");
                Err(ProviderError::new(ErrorKind::Unknown, Reason::BadSignature, message).with_source(doubt))
            }
        }
    }

    /// Fetches a bill's file. Its answer carries no signature; its hash came in one that does.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn download(&self, base: &str, target: &str) -> Result<HttpAnswer, ProviderError> {
        let request = self.signed(base, HttpMethod::Get, target, &Bytes::new())?;
        self.bills.send(request).await.map_err(from_transport)
    }

    /// Fetches certificates that are due.
    ///
    /// # Errors
    /// What kept them from being fetched.
    pub async fn renew_trust(&self) -> Result<(), ProviderError> {
        self.trust.renew(self).await
    }

    /// Checks WeChat's signature over bytes that it sent.
    pub async fn believe(&self, headers: &[(String, String)], body: &[u8]) -> Result<Proof, Doubt> {
        let signature = read(headers)?;
        if signature.is_probe() {
            return Err(Doubt::Probe);
        }
        let now = self.clock.now();
        let apart = apart(&signature, now)?;
        let key = self
            .trust
            .find_or_fetch(signature.serial, self)
            .await
            .ok_or_else(|| Doubt::UnknownKey(quote(signature.serial)))?;
        let proof = signature.verify(&key.key, body).ok_or(Doubt::Wrong)?;
        if let Some(seconds) = signature.seconds() {
            // It is genuine, so that its time is the platform's, if an old one perhaps.
            self.time.signed(self.account.host(), Timestamp::from_millis(seconds.saturating_mul(1000)));
        }
        if apart.abs() >= TOLERANCE { Err(Doubt::OtherTime(apart)) } else { Ok(proof) }
    }

    async fn exchange(&self, route: Route<'_>, request: &Request) -> Result<Answered, ProviderError> {
        let (method, body) = match &request.body {
            Some(body) => (HttpMethod::Post, body.clone()),
            None => (HttpMethod::Get, Bytes::new()),
        };
        let is_final = |answer: &HttpAnswer| is_final(request.call, answer);
        hosts::send(route, &*self.plain, is_final, |base| self.signed(base, method, &request.target, &body))
            .await
            .inspect(|answer| note_request_id(answer.http.header("request-id").unwrap_or_default()))
    }

    fn signed(&self, base: &str, method: HttpMethod, target: &str, body: &Bytes) -> Result<HttpRequest, ProviderError> {
        let now = self.clock.now();
        let word = match method {
            HttpMethod::Get => "GET",
            HttpMethod::Head => "HEAD",
            HttpMethod::Post => "POST",
        };
        // What a path before the interface's own (a proxy's) adds is signed too: it is sent.
        let prefix = base.splitn(4, '/').nth(3).map_or(String::new(), |path| format!("/{path}"));
        let authorization = self.key.authorization(
            &self.account.mch_id,
            word,
            &format!("{prefix}{target}"),
            body,
            now.as_seconds(),
            &nonce(&*self.random),
        )?;
        let mut headers = vec![("accept", "application/json".to_owned()), ("authorization", authorization)];
        if method == HttpMethod::Post {
            headers.push(("content-type", "application/json".to_owned()));
        }
        if let Some(key) = self.trust.own(now) {
            headers.push(("wechatpay-serial", key.serial.clone()));
        }
        Ok(HttpRequest { method, url: format!("{base}{target}"), headers, body: body.clone() })
    }
}

#[async_trait]
impl Fetch for Client {
    async fn certificates(&self) -> Result<CertificatesAnswer, ProviderError> {
        let target = "/v3/certificates".to_owned();
        let request = Request { call: Call::Certificates, target, body: None };
        let mut answer = self.exchange(self.account.route(), &request).await?.http;
        if read(&answer.headers).is_ok_and(|signature| signature.is_probe()) {
            // As in every answer: the same call again.
            tracing::debug!(merchant = self.account.mch_id, "the platform tests whether we look at its signature");
            answer = self.exchange(self.account.route(), &request).await?.http;
        }
        if answer.status != 200 {
            return Err(unsigned(request.call, &answer));
        }
        let signature = read(&answer.headers).map_err(|doubt| unreadable(doubt.to_string()).with_source(doubt))?;
        let apart = apart(&signature, self.clock.now()).map_err(|doubt| unreadable(doubt.to_string()))?;
        if apart.abs() >= TOLERANCE {
            return Err(unreadable(format!("the certificates' answer: {}", Doubt::OtherTime(apart))));
        }
        CertificatesAnswer::new(&signature, &answer.body).ok_or_else(|| unreadable("the answer is not UTF-8"))
    }
}

fn read(headers: &[(String, String)]) -> Result<Signature<'_>, Doubt> {
    Signature::read(headers).map_err(|unsigned| match unsigned {
        Unsigned::Absent => Doubt::Absent,
        Unsigned::Malformed(message) => Doubt::Malformed(message),
    })
}

/// The signature's time less ours, in seconds.
fn apart(signature: &Signature<'_>, now: Timestamp) -> Result<i64, Doubt> {
    let seconds = signature
        .seconds()
        .ok_or_else(|| Doubt::Malformed("the header wechatpay-timestamp is not a number of seconds".to_owned()))?;
    Ok(seconds.saturating_sub(now.as_seconds()))
}

const fn is_success(status: u16) -> bool {
    matches!(status, 200..=299)
}

/// Whether it is WeChat's word about the call: of the 5xx, one whose code says something definite (OPENID_MISMATCH).
fn is_final(call: Call, answer: &HttpAnswer) -> bool {
    if answer.status < 500 {
        return true;
    }
    let Ok(body) = serde_json::from_slice::<ErrorBody>(&answer.body) else { return false };
    map::error_code(call, answer.status, &body.code, &body.message).0 != ErrorKind::Unknown
}

/// An error as WeChat writes it.
#[derive(Debug, Default, Deserialize)]
struct ErrorBody {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// An error that nobody signed.
fn unsigned(call: Call, answer: &HttpAnswer) -> ProviderError {
    let Ok(body) = serde_json::from_slice::<ErrorBody>(&answer.body) else {
        let message = format!("the answer's http status is {}, and it is not WeChat Pay's json", answer.status);
        return ProviderError::new(ErrorKind::Unknown, Reason::Platform, message);
    };
    let (kind, reason) = map::unsigned_error(call, answer.status, &body.code, &body.message);
    described(kind, reason, answer.status, &body)
}

fn described(kind: ErrorKind, reason: Reason, status: u16, body: &ErrorBody) -> ProviderError {
    let message = if reason == Reason::PayerMismatch {
        FOREIGN_PAYER.to_owned()
    } else if body.message.is_empty() {
        format!("refused with http status {status} and without a message")
    } else {
        quote(&body.message)
    };
    let error = ProviderError::new(kind, reason, message);
    if body.code.is_empty() { error } else { error.with_code(quote(&body.code)) }
}

impl Signed {
    /// WeChat's error code in its normal form, where it refused.
    pub fn code(&self) -> Option<String> {
        match self.status {
            // Accepted, unless it carries a code (USER_PAYING).
            202 => Some(map::normal(&self.error_body().code)).filter(|code| !code.is_empty()),
            status if is_success(status) => None,
            _ => Some(map::normal(&self.error_body().code)),
        }
    }

    /// Whether WeChat did what was asked.
    pub fn accepted(&self) -> Result<(), ProviderError> {
        if self.code().is_none() {
            return Ok(());
        }
        let body = self.error_body();
        let (kind, reason) = map::error_code(self.call, self.status, &body.code, &body.message);
        Err(honest(self.maybe_done, self.call.effect(), described(kind, reason, self.status, &body)))
    }

    /// Reads an accepted answer.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ProviderError> {
        self.accepted()?;
        serde_json::from_slice(&self.body)
            .map_err(|error| unreadable(format!("the answer is not the expected json: {}", place(&error))))
    }

    fn error_body(&self) -> ErrorBody {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Where a document is wrong, without quoting it.
pub fn place(error: &serde_json::Error) -> String {
    format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column())
}

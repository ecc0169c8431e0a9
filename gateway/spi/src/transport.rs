//! HTTP as a provider sees it: bytes out, bytes in, and an error that says whether they went.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dukou_domain::Secret;

/// How one merchant identity connects.
#[derive(Debug, Clone)]
pub struct TransportOptions {
    /// PEM of the client certificate chain and its private key, for mutual TLS. A connection made
    /// with one identity is never used for another.
    pub identity_pem: Option<Secret>,
    /// PEM of further root certificates to trust.
    pub extra_roots_pem: Option<String>,
    /// From the first byte to the last, connecting included.
    pub timeout: Duration,
    /// In bytes; a longer body is an error.
    pub answer_limit: usize,
}

/// Makes transports; TLS is always verified.
pub trait TransportFactory: Send + Sync {
    /// # Errors
    /// [`InvalidTransport`] when a certificate or key cannot be used.
    fn build(&self, options: TransportOptions) -> Result<Arc<dyn Transport>, InvalidTransport>;
}

/// TLS material that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidTransport(pub String);

/// Those that providers and plugins need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpMethod {
    /// Has no body.
    Get,
    /// Has no body, and its answer has none: to see whether an address answers.
    Head,
    /// Has the body of the request, which may be empty.
    Post,
}

/// One call, sent as it stands.
#[derive(Debug, Clone)]
pub struct HttpRequest {
    /// Part of what some platforms sign.
    pub method: HttpMethod,
    /// Absolute, with its query exactly as it goes over the wire.
    pub url: String,
    /// Beside those of HTTP itself (`host`, `content-length`) and the gateway's `user-agent`.
    pub headers: Vec<(&'static str, String)>,
    /// Exactly the bytes that go out; empty where there is none.
    pub body: Bytes,
}

/// A whole answer, whatever its status.
#[derive(Debug, Clone)]
pub struct HttpAnswer {
    /// HTTP's. One that tells of a failure is an answer too, not an error.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As it came, at most [`TransportOptions::answer_limit`] bytes; nothing is unpacked.
    pub body: Bytes,
}

impl HttpAnswer {
    /// The first header of that name (given in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// A call that got no whole answer. No variant holds the URL's query or any body.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// No connection, so nothing was sent: the call did not happen.
    #[error("cannot connect to {host}: {reason}")]
    NotSent {
        /// With the port where the address names one; empty where the address cannot be read or may not be called.
        host: String,
        /// Why, in few words.
        reason: String,
    },
    /// Sent, or partly, and no answer in time.
    #[error("no answer from {host} in time")]
    Timeout {
        /// As in `NotSent`.
        host: String,
    },
    /// Sent, or partly, and the connection broke.
    #[error("the connection to {host} broke before its answer was whole: {reason}")]
    Broken {
        /// As in `NotSent`.
        host: String,
        /// As in `NotSent`.
        reason: String,
    },
    /// The answer is longer than the limit.
    #[error("the answer of {host} is longer than {limit} bytes")]
    TooLong {
        /// As in `NotSent`.
        host: String,
        /// [`TransportOptions::answer_limit`], in bytes.
        limit: usize,
    },
}

/// Calls with one identity, made by [`TransportFactory::build`].
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends one request and reads the whole answer. Redirects are not followed.
    ///
    /// # Errors
    /// [`TransportError`]; only its `NotSent` means that the call did not happen.
    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, TransportError>;
}

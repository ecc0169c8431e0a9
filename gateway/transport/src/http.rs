//! HTTP/1.1 as every call of ours speaks it: keep-alive, no redirects, no cookies, no proxy, no decoding of compressed
//! answers, and an answer's head bounded in bytes and in what may come before it.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::percent_decode_str;
use tokio::sync::Notify;
use tokio::task::coop;
use url::Url;

use crate::dial::Dialler;
use crate::guard::GuardedResolver;

/// Bytes that the head of an answer may have; also what is read of a connection at once.
const HEAD_LIMIT: usize = 64 * 1024;
/// Informational answers (1xx) that may come before the answer itself.
const INFORMATIONAL_LIMIT: usize = 8;
const AGENT: &str = concat!("dukou/", env!("CARGO_PKG_VERSION"));

/// What a client does with its connections.
pub struct HttpOptions {
    pub tls: rustls::ClientConfig,
    /// A connection that cannot be opened in this time will not be.
    pub connect_limit: Duration,
    /// How long a connection may lie idle.
    pub idle_limit: Duration,
    /// Idle connections that are kept to one host.
    pub idle_connections: usize,
    /// Finds the addresses of names; the machine's own way without one.
    pub resolver: Option<GuardedResolver>,
}

/// Sends requests, over connections of its own.
pub struct HttpClient {
    inner: Client<Dialler, Full<Bytes>>,
}

impl HttpClient {
    pub fn new(options: HttpOptions) -> Self {
        let inner = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(options.idle_limit)
            .pool_max_idle_per_host(options.idle_connections)
            .http1_max_buf_size(HEAD_LIMIT)
            .build(Dialler::new(options.tls, options.connect_limit, options.resolver));
        HttpClient { inner }
    }

    /// Sends one request and waits for the head of its answer; how long is the caller's to say.
    ///
    /// # Errors
    /// [`HttpError`], which says whether a connection was there.
    pub async fn send(
        &self,
        method: Method,
        mut url: Url,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<HttpResponse, HttpError> {
        let login = take_login(&mut url);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = url.as_str().parse().map_err(|error| HttpError::new(Stage::Built, error))?;
        *request.headers_mut() = headers;
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(AGENT));
        request.headers_mut().entry(ACCEPT).or_insert(HeaderValue::from_static("*/*"));
        if let Some(login) = login {
            request.headers_mut().entry(AUTHORIZATION).or_insert(login);
        }
        let chatter = Chatter::listen(&mut request);
        let answer = tokio::select! {
            answer = self.inner.request(request) => answer,
            // Who drops a request before its answer closes its connection.
            () = chatter.too_much() => return Err(HttpError::new(Stage::Sent, TooMuchChatter)),
        };
        answer.map(HttpResponse).map_err(|error| {
            let stage = if error.is_connect() { Stage::Connect } else { Stage::Sent };
            HttpError::new(stage, error)
        })
    }
}

/// The name and password in an address, as a header.
fn take_login(url: &mut Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut login: Vec<u8> = percent_decode_str(url.username()).collect();
    login.push(b':');
    login.extend(percent_decode_str(url.password().unwrap_or_default()));
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let mut value = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(login))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Informational answers before the answer itself. HTTP allows any number of them, and hyper passes over all that it
/// can read before it lets another task have its thread: a server that sends nothing else would hold that thread.
#[derive(Default)]
struct Chatter {
    count: AtomicUsize,
    too_much: Notify,
}

impl Chatter {
    fn listen<B>(request: &mut Request<B>) -> Arc<Self> {
        let chatter = Arc::new(Chatter::default());
        let heard = Arc::clone(&chatter);
        hyper::ext::on_informational(request, move |_| heard.one_more());
        chatter
    }

    fn one_more(&self) {
        if self.count.fetch_add(1, Ordering::Relaxed) == INFORMATIONAL_LIMIT {
            self.too_much.notify_one();
            give_way();
        }
    }

    async fn too_much(&self) {
        self.too_much.notified().await;
    }
}

/// Uses up what the current task may do in one go: its next read of a connection lets the others have the thread.
fn give_way() {
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..=u8::MAX {
        match coop::poll_proceed(&mut context) {
            Poll::Ready(one) => one.made_progress(),
            Poll::Pending => return,
        }
    }
}

/// An answer, whose body is still to be read.
pub struct HttpResponse(Response<Incoming>);

impl HttpResponse {
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// The body's length, where its head says it.
    pub fn content_length(&self) -> Option<u64> {
        self.0.body().size_hint().exact()
    }

    /// The next part of the body; `None` at its end.
    ///
    /// # Errors
    /// [`HttpError`] where it breaks off.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        while let Some(frame) = self.0.body_mut().frame().await {
            // What follows a body (trailers) is nobody's.
            if let Ok(data) = frame.map_err(|error| HttpError::new(Stage::Sent, error))?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

/// Why there is no answer, or no whole one.
#[derive(Debug)]
pub struct HttpError {
    stage: Stage,
    cause: Box<dyn Error + Send + Sync>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Built,
    Connect,
    Sent,
}

impl HttpError {
    fn new(stage: Stage, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        HttpError { stage, cause: cause.into() }
    }

    /// Whether nothing was sent, because there was no connection or no request to send.
    pub fn is_unsent(&self) -> bool {
        match self.stage {
            Stage::Built | Stage::Connect => true,
            Stage::Sent => false,
        }
    }

    /// What caused it, outermost first.
    pub fn causes(&self) -> impl Iterator<Item = &(dyn Error + 'static)> {
        let mut next = self.source();
        std::iter::from_fn(move || {
            let cause = next?;
            next = cause.source();
            Some(cause)
        })
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.stage {
            Stage::Built => "the request cannot be built",
            Stage::Connect => "there is no connection",
            Stage::Sent => "the answer did not come whole",
        })
    }
}

impl Error for HttpError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.cause)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("more than {INFORMATIONAL_LIMIT} informational answers before the answer")]
struct TooMuchChatter;

//! One call: send, then read the answer up to its limit.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use dukou_spi::transport::{HttpAnswer, HttpMethod, HttpRequest, Transport, TransportError};
use reqwest::header::DATE;
use reqwest::{Client, Method, Url};

use crate::clocks::PlatformClocks;
use crate::failure;

pub(crate) struct ReqwestTransport {
    client: Client,
    answer_limit: usize,
    clocks: Option<Arc<PlatformClocks>>,
}

impl ReqwestTransport {
    pub(crate) fn new(client: Client, answer_limit: usize, clocks: Option<Arc<PlatformClocks>>) -> Self {
        ReqwestTransport { client, answer_limit, clocks }
    }
}

#[async_trait]
impl Transport for ReqwestTransport {
    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, TransportError> {
        let url = Url::parse(&request.url).map_err(|error| TransportError::NotSent {
            host: String::new(),
            reason: format!("not an address: {error}"),
        })?;
        let host = host_of(&url);
        let method = match request.method {
            HttpMethod::Get => Method::GET,
            HttpMethod::Head => Method::HEAD,
            HttpMethod::Post => Method::POST,
        };
        let mut builder = self.client.request(method, url);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let sent = Instant::now();
        let response = builder.body(request.body).send().await.map_err(|error| failure::classify(&host, &error))?;
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        if let (Some(clocks), Some(date)) = (&self.clocks, date) {
            clocks.answered(&host, sent, date);
        }
        self.read(&host, response).await
    }
}

impl ReqwestTransport {
    async fn read(&self, host: &str, mut response: reqwest::Response) -> Result<HttpAnswer, TransportError> {
        let too_long = || TransportError::TooLong { host: host.to_owned(), limit: self.answer_limit };
        let limit = u64::try_from(self.answer_limit).unwrap_or(u64::MAX);
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(too_long());
        }
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
            .collect();
        let mut body = Chunks::default();
        while let Some(chunk) = response.chunk().await.map_err(|error| failure::classify_answer(host, &error))? {
            if body.len() + chunk.len() > self.answer_limit {
                return Err(too_long());
            }
            body.push(chunk);
        }
        Ok(HttpAnswer { status, headers, body: body.into_bytes() })
    }
}

/// Most answers are one chunk, which then need not be copied.
#[derive(Default)]
struct Chunks {
    first: Option<Bytes>,
    all: BytesMut,
}

impl Chunks {
    fn len(&self) -> usize {
        self.first.as_ref().map_or(self.all.len(), Bytes::len)
    }

    fn push(&mut self, chunk: Bytes) {
        if self.first.is_none() && self.all.is_empty() {
            self.first = Some(chunk);
            return;
        }
        if let Some(first) = self.first.take() {
            self.all.extend_from_slice(&first);
        }
        self.all.extend_from_slice(&chunk);
    }

    fn into_bytes(self) -> Bytes {
        self.first.unwrap_or_else(|| self.all.freeze())
    }
}

fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

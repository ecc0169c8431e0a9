//! One try: signed, sent, and its answer looked at.

use std::time::Duration;

use bytes::Bytes;
use dukou_domain::{EventId, Timestamp};
use dukou_engine::delivery::TryError;
use dukou_engine::tenant::Webhook;
use dukou_spi::public_address::check_host;
use dukou_transport::{GuardedResolver, Lookup};
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Client, redirect, retry};
use url::Url;

use crate::failure;
use crate::signature::sign;

/// A connection that cannot be opened in this time will not be.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Shorter than most servers' own idle limits, so that it is mostly we who close first.
const IDLE_LIMIT: Duration = Duration::from_secs(20);
/// Idle connections that are kept to one endpoint.
const IDLE_CONNECTIONS: usize = 16;
/// An answer's body is read so far, that the connection can be used again; nobody looks at it.
const BODY_LIMIT: usize = 64 * 1024;
/// And so long.
const BODY_TIME: Duration = Duration::from_secs(1);
const USER_AGENT: &str = concat!("dukou/", env!("CARGO_PKG_VERSION"));

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// What an endpoint made of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub status: Option<u16>,
    pub error: Option<TryError>,
}

impl Answer {
    fn failed(error: TryError) -> Self {
        Answer { status: None, error: Some(error) }
    }
}

pub(crate) struct Sender {
    client: Client,
    allow_private: bool,
    limit: Duration,
}

impl Sender {
    /// Sends to the addresses that `lookup` finds: to public ones alone, unless `allow_private`.
    pub fn new(
        tls: rustls::ClientConfig,
        limit: Duration,
        allow_private: bool,
        lookup: Lookup,
    ) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .no_proxy()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_LIMIT.min(limit))
            .pool_idle_timeout(IDLE_LIMIT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .dns_resolver(GuardedResolver { lookup, allow_private })
            .build()?;
        Ok(Sender { client, allow_private, limit })
    }

    /// One try. `at` is signed, so that an old message cannot be passed off as a new one.
    pub async fn send(
        &self,
        webhook: &Webhook,
        id: EventId,
        at: Timestamp,
        body: Bytes,
        traceparent: Option<String>,
    ) -> Answer {
        // The resolver is not asked about a host that is an address.
        let url = match Url::parse(&webhook.url) {
            Ok(url) if self.allow_private || check_host(&url).is_ok() => url,
            Ok(_) | Err(_) => return Answer::failed(TryError::Address),
        };
        let (id, seconds) = (id.to_string(), at.as_seconds());
        let Some(signature) = sign(&webhook.secrets, &id, seconds, &body) else {
            // The configuration refuses such a secret; an unsigned message helps nobody.
            tracing::error!("a webhook's secret cannot sign");
            return Answer::failed(TryError::Address);
        };
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(ID, id)
            .header(TIMESTAMP, seconds)
            .header(SIGNATURE, signature)
            .body(body);
        let request = match traceparent {
            Some(traceparent) => request.header("traceparent", traceparent),
            None => request,
        };
        match tokio::time::timeout(self.limit, request.send()).await {
            Err(_) => Answer::failed(TryError::Timeout),
            Ok(Err(error)) => Answer::failed(failure::classify(&error)),
            Ok(Ok(response)) => {
                let status = response.status();
                // The head has decided; what is left serves the connection.
                let _ = tokio::time::timeout(BODY_TIME, read_some(response)).await;
                let error = (!status.is_success()).then_some(TryError::Status);
                Answer { status: Some(status.as_u16()), error }
            }
        }
    }
}

async fn read_some(mut response: reqwest::Response) {
    let mut length = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        length += chunk.len();
        if length > BODY_LIMIT {
            return;
        }
    }
}

#[cfg(test)]
mod tests;

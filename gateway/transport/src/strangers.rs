//! HTTP to addresses that somebody else chose.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use dukou_spi::public_address::{NotPublic, check_host};
use dukou_spi::transport::{HttpAnswer, HttpRequest, InvalidTransport, Transport, TransportError};
use reqwest::{Client, redirect, retry};
use url::Url;

use crate::client::ReqwestTransport;
use crate::guard::{GuardedResolver, system_lookup};
use crate::tls::public_tls;

/// From connecting to the end of the answer.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Connections are not kept: the next address is mostly another one.
const IDLE_CONNECTIONS: usize = 0;
/// Whoever calls a stranger looks at the head of the answer, or at very little.
const ANSWER_LIMIT: usize = 64 * 1024;
const USER_AGENT: &str = concat!("dukou/", env!("CARGO_PKG_VERSION"));

/// Dials public addresses alone, follows no redirect, shows no identity, and gives up after 3 s.
pub struct StrangersTransport {
    inner: ReqwestTransport,
    allow_private: bool,
}

impl StrangersTransport {
    /// `allow_private` is for a sandbox: it dials loopback and private addresses too.
    ///
    /// # Errors
    /// [`InvalidTransport`] when the client cannot be made.
    pub fn new(allow_private: bool) -> Result<Self, InvalidTransport> {
        let client = Client::builder()
            .tls_backend_preconfigured(public_tls()?)
            .http1_only()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .no_proxy()
            .user_agent(USER_AGENT)
            .timeout(TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .dns_resolver(Arc::new(GuardedResolver { lookup: system_lookup(), allow_private }))
            .build()
            .map_err(|error| InvalidTransport(format!("the transport cannot be made: {error}")))?;
        Ok(StrangersTransport { inner: ReqwestTransport::new(client, ANSWER_LIMIT, None), allow_private })
    }
}

#[async_trait]
impl Transport for StrangersTransport {
    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, TransportError> {
        // The resolver is not asked about a host that is an address.
        let hidden = Url::parse(&request.url).is_ok_and(|url| check_host(&url).is_err());
        if hidden && !self.allow_private {
            return Err(TransportError::NotSent { host: String::new(), reason: NotPublic.to_string() });
        }
        self.inner.send(request).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use dukou_spi::transport::HttpMethod;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// A server on loopback that answers every request with a redirect to itself.
    async fn server() -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let head = "HTTP/1.1 302 Found\r\nlocation: /again\r\ncontent-type: image/png\r\n\
                            content-length: 1048576\r\n\r\n";
                let _ = stream.write_all(head.as_bytes()).await;
            }
        });
        port
    }

    async fn head(allow_private: bool, url: String) -> Result<HttpAnswer, TransportError> {
        let request = HttpRequest { method: HttpMethod::Head, url, headers: Vec::new(), body: Bytes::new() };
        StrangersTransport::new(allow_private).unwrap().send(request).await
    }

    #[tokio::test]
    async fn a_private_address_is_not_dialled_and_a_redirect_not_followed() {
        let port = server().await;
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
            let refused = head(false, format!("http://{host}:{port}/a.png")).await;
            assert!(matches!(refused, Err(TransportError::NotSent { .. })), "{host}: {refused:?}");
        }
        let answer = head(true, format!("http://127.0.0.1:{port}/a.png")).await.unwrap();
        assert_eq!((answer.status, answer.header("content-length")), (302, Some("1048576")));
    }
}

//! From TLS material and limits to a transport.

use std::sync::Arc;
use std::time::Duration;

use dukou_spi::transport::{InvalidTransport, Transport, TransportFactory, TransportOptions};
use reqwest::{Certificate, Client, Identity, redirect, retry};

use crate::client::ReqwestTransport;

/// A connection that cannot be opened in this time will not be.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Shorter than the platforms' own idle limits, so that it is mostly we who close first.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
const USER_AGENT: &str = concat!("dukou/", env!("CARGO_PKG_VERSION"));

/// Makes transports over HTTP/1.1 with keep-alive: no redirects, no cookies, no proxy from the
/// environment, no decoding of compressed answers, no retries of its own.
///
/// Trusted roots are the machine's, Mozilla's (so that a machine without a store works) and the
/// extra ones of [`TransportOptions`].
#[derive(Debug, Clone, Copy, Default)]
pub struct ReqwestTransports;

impl ReqwestTransports {
    pub const fn new() -> Self {
        ReqwestTransports
    }
}

impl TransportFactory for ReqwestTransports {
    fn build(&self, options: TransportOptions) -> Result<Arc<dyn Transport>, InvalidTransport> {
        let mut builder = Client::builder()
            .http1_only()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .referer(false)
            .no_proxy()
            .user_agent(USER_AGENT)
            .timeout(options.timeout)
            // A connection that is given up was never used: it must come before the whole call is
            // given up, which says nothing of the kind.
            .connect_timeout(CONNECT_LIMIT.min(options.timeout / 2))
            .pool_idle_timeout(IDLE_LIMIT)
            .tls_certs_merge(roots(options.extra_roots_pem.as_deref())?);
        if let Some(pem) = &options.identity_pem {
            let identity = Identity::from_pem(pem.expose().as_bytes()).map_err(|_| {
                InvalidTransport("the client identity is not a PEM certificate chain and its key".into())
            })?;
            builder = builder.identity(identity);
        }
        let client = builder.build().map_err(|error| InvalidTransport(describe(&error)))?;
        Ok(Arc::new(ReqwestTransport::new(client, options.answer_limit)))
    }
}

fn roots(extra_pem: Option<&str>) -> Result<Vec<Certificate>, InvalidTransport> {
    let mut roots = Vec::with_capacity(webpki_root_certs::TLS_SERVER_ROOT_CERTS.len() + 1);
    for der in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        roots.push(Certificate::from_der(der).map_err(|error| InvalidTransport(describe(&error)))?);
    }
    if let Some(pem) = extra_pem {
        let extra = Certificate::from_pem_bundle(pem.as_bytes())
            .map_err(|_| InvalidTransport("the extra root certificates are not PEM".into()))?;
        if extra.is_empty() {
            return Err(InvalidTransport("the extra root certificates hold no CERTIFICATE".into()));
        }
        roots.extend(extra);
    }
    Ok(roots)
}

/// The error and its causes in a line. Building a client names no secret.
fn describe(error: &reqwest::Error) -> String {
    let mut text = String::from("the TLS material cannot be used");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

//! From TLS material and limits to a transport.

use std::sync::Arc;
use std::time::Duration;

use dukou_spi::transport::{InvalidTransport, Transport, TransportFactory, TransportOptions};
use reqwest::{Client, redirect, retry};

use crate::client::ReqwestTransport;
use crate::clocks::PlatformClocks;
use crate::tls;

/// A connection that cannot be opened in this time will not be.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Shorter than the platforms' own idle limits, so that it is mostly we who close first.
const IDLE_LIMIT: Duration = Duration::from_secs(30);
const USER_AGENT: &str = concat!("dukou/", env!("CARGO_PKG_VERSION"));

/// Makes transports over HTTP/1.1 with keep-alive: no redirects, no cookies, no proxy from the
/// environment, no decoding of compressed answers, no retries of its own.
///
/// Trusted roots are the machine's, Mozilla's (so that a machine without a store works) and the
/// extra ones of [`TransportOptions`]. The machine's are read once per process.
#[derive(Clone, Default)]
pub struct ReqwestTransports {
    clocks: Option<Arc<PlatformClocks>>,
}

impl ReqwestTransports {
    pub const fn new() -> Self {
        ReqwestTransports { clocks: None }
    }

    /// Transports whose answers are compared with this machine's clock.
    pub const fn comparing(clocks: Arc<PlatformClocks>) -> Self {
        ReqwestTransports { clocks: Some(clocks) }
    }
}

impl TransportFactory for ReqwestTransports {
    fn build(&self, options: TransportOptions) -> Result<Arc<dyn Transport>, InvalidTransport> {
        let tls = tls::client_config(options.extra_roots_pem.as_deref(), options.identity_pem.as_ref())?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
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
            .build()
            .map_err(|error| InvalidTransport(format!("the transport cannot be made: {error}")))?;
        Ok(Arc::new(ReqwestTransport::new(client, options.answer_limit, self.clocks.clone())))
    }
}

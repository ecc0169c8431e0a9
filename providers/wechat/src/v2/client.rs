//! Sends to the first host, and to the backup host where that cannot do harm.

use std::sync::Arc;

use bytes::Bytes;
use dukou_spi::transport::{
    HttpAnswer, HttpMethod, HttpRequest, InvalidTransport, Transport, TransportError, TransportFactory,
    TransportOptions,
};
use dukou_spi::{ErrorKind, ProviderError, Reason};

use super::config::Settings;

/// Longest answer of a call, in bytes; its XML is refused above 64 KiB.
const ANSWER_LIMIT: usize = 64 * 1024;
/// Longest bill as it crosses the wire, in bytes.
const BILL_LIMIT: usize = 32 * 1024 * 1024;

/// Whether a call that may have arrived can be sent once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// It only asks: the backup host answers as well, whatever became of the first try.
    Always,
    /// It moves something: only when it certainly was not sent.
    IfNotSent,
}

/// The connections of one merchant.
pub struct Client {
    plain: Arc<dyn Transport>,
    bills: Arc<dyn Transport>,
    /// With the client certificate; its connections carry nothing else.
    mutual: Option<Arc<dyn Transport>>,
    base_url: String,
    backup_url: Option<String>,
}

impl Client {
    pub fn new(settings: &Settings, transports: &dyn TransportFactory) -> Result<Self, InvalidTransport> {
        let options = |identity_pem, answer_limit| TransportOptions {
            identity_pem,
            extra_roots_pem: settings.extra_root.clone(),
            timeout: settings.timeout,
            answer_limit,
        };
        let mutual = match &settings.identity {
            Some(identity) => Some(transports.build(options(Some(identity.clone()), ANSWER_LIMIT))?),
            None => None,
        };
        Ok(Client {
            plain: transports.build(options(None, ANSWER_LIMIT))?,
            bills: transports.build(options(None, BILL_LIMIT))?,
            mutual,
            base_url: settings.base_url.clone(),
            backup_url: settings.backup_url.clone(),
        })
    }

    /// The connection for calls beside the payment hosts.
    pub fn plain(&self) -> &dyn Transport {
        &*self.plain
    }

    pub async fn post(&self, path: &str, xml: String, repeat: Repeat) -> Result<HttpAnswer, ProviderError> {
        self.send(&*self.plain, path, xml, repeat).await
    }

    pub async fn post_for_bill(&self, path: &str, xml: String) -> Result<HttpAnswer, ProviderError> {
        self.send(&*self.bills, path, xml, Repeat::Always).await
    }

    /// Sends with the client certificate.
    pub async fn post_mutual(&self, path: &str, xml: String) -> Result<HttpAnswer, ProviderError> {
        let Some(mutual) = &self.mutual else {
            return Err(ProviderError::new(
                ErrorKind::Refused,
                Reason::Configuration,
                "no client certificate is configured, and a refund needs one",
            ));
        };
        self.send(&**mutual, path, xml, Repeat::IfNotSent).await
    }

    async fn send(
        &self,
        transport: &dyn Transport,
        path: &str,
        xml: String,
        repeat: Repeat,
    ) -> Result<HttpAnswer, ProviderError> {
        let body = Bytes::from(xml);
        let first = transport.send(request(&self.base_url, path, body.clone())).await;
        let Some(backup) = &self.backup_url else { return first.map_err(from_transport) };
        let again = match (&first, repeat) {
            (Err(TransportError::NotSent { .. }), _) => true,
            (Err(_), Repeat::Always) => true,
            (Ok(answer), Repeat::Always) => answer.status >= 500,
            (_, Repeat::IfNotSent) => false,
        };
        if !again {
            return first.map_err(from_transport);
        }
        transport.send(request(backup, path, body)).await.map_err(from_transport)
    }
}

fn request(base_url: &str, path: &str, body: Bytes) -> HttpRequest {
    HttpRequest {
        method: HttpMethod::Post,
        url: format!("{base_url}{path}"),
        headers: vec![("content-type", "text/xml; charset=utf-8".to_owned())],
        body,
    }
}

/// What a call without a whole answer means.
pub fn from_transport(error: TransportError) -> ProviderError {
    let (kind, reason) = match &error {
        TransportError::NotSent { .. } => (ErrorKind::NotSent, Reason::Transport),
        TransportError::Timeout { .. } => (ErrorKind::Unknown, Reason::Timeout),
        TransportError::Broken { .. } | TransportError::TooLong { .. } => (ErrorKind::Unknown, Reason::Transport),
    };
    ProviderError::new(kind, reason, error.to_string()).with_source(error)
}

//! The connections of one merchant, and what is posted over them.

use std::sync::Arc;

use bytes::Bytes;
use dukou_spi::transport::{HttpAnswer, HttpMethod, HttpRequest, InvalidTransport, Transport, TransportFactory};
use dukou_spi::{ErrorKind, ProviderError, Reason};

use super::config::Settings;
use super::xml;
use crate::account::Account;
use crate::hosts::{self, Answered, Route, options};
use crate::identity::Identity;

/// Longest answer of a call, in bytes; its XML is refused above 64 KiB.
const ANSWER_LIMIT: usize = 64 * 1024;
/// Longest bill as it crosses the wire, in bytes.
const BILL_LIMIT: usize = 32 * 1024 * 1024;

/// The connections of one merchant.
pub struct Client {
    plain: Arc<dyn Transport>,
    bills: Arc<dyn Transport>,
    /// With the client certificate; its connections carry nothing else.
    mutual: Option<Arc<dyn Transport>>,
}

impl Client {
    /// # Errors
    /// With the key of the section whose TLS material cannot be used.
    pub fn new(
        settings: &Settings,
        transports: &dyn TransportFactory,
    ) -> Result<Self, (&'static str, InvalidTransport)> {
        let account = &settings.account;
        let plain = |limit| transports.build(options(account, None, limit)).map_err(|error| ("ca_cert", error));
        let (plain, bills) = (plain(ANSWER_LIMIT)?, plain(BILL_LIMIT)?);
        // The other material is the same, and was usable without it.
        let with = |identity: &Identity| {
            let options = options(account, Some(identity.pem.clone()), ANSWER_LIMIT);
            transports.build(options).map_err(|error| (identity.key, error))
        };
        let mutual = settings.identity.as_ref().map(with).transpose()?;
        Ok(Client { plain, bills, mutual })
    }

    /// The connection for calls beside the payment hosts.
    pub fn plain(&self) -> &Arc<dyn Transport> {
        &self.plain
    }

    pub async fn post(&self, route: Route<'_>, path: &str, xml: String) -> Result<Answered, ProviderError> {
        send(route, &*self.plain, path, xml).await
    }

    pub async fn post_for_bill(&self, account: &Account, path: &str, xml: String) -> Result<Answered, ProviderError> {
        send(account.route(), &*self.bills, path, xml).await
    }

    /// Sends with the client certificate.
    pub async fn post_mutual(&self, account: &Account, path: &str, xml: String) -> Result<Answered, ProviderError> {
        let Some(mutual) = &self.mutual else {
            return Err(ProviderError::new(
                ErrorKind::Refused,
                Reason::Configuration,
                "no client certificate is configured, and a refund needs one",
            ));
        };
        send(account.route(), &**mutual, path, xml).await
    }
}

/// Whether it is WeChat's word about the call. All of them come with 200; SYSTEMERROR says that it has none.
fn is_final(answer: &HttpAnswer) -> bool {
    let is_trouble = |body: &[u8]| {
        xml::parse(body, "xml").is_ok_and(|fields| {
            fields.get("result_code") == Some("FAIL") && fields.get("err_code") == Some("SYSTEMERROR")
        })
    };
    answer.status < 500 && !is_trouble(&answer.body)
}

async fn send(route: Route<'_>, transport: &dyn Transport, path: &str, xml: String) -> Result<Answered, ProviderError> {
    let body = Bytes::from(xml);
    hosts::send(route, transport, is_final, |host| {
        Ok(HttpRequest {
            method: HttpMethod::Post,
            url: format!("{host}{path}"),
            headers: vec![("content-type", "text/xml; charset=utf-8".to_owned())],
            body: body.clone(),
        })
    })
    .await
}

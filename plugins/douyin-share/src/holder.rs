//! The client token and the open ticket: held once for all tenants and instances that use the same
//! application, fetched by one at a time, and early (protocol sections 1.2, 1.3).

use std::future::Future;
use std::time::Duration;

use dukou_domain::{Secret, Timestamp};
use dukou_spi::plugin::{Batch, Document, Documents, Host, PluginError};
use dukou_spi::{Clock, ProviderError};
use serde_json::json;
use tokio::sync::Mutex;

use crate::api::{self, Lent};
use crate::config::Settings;

const COLLECTION: &str = "held";
/// So long before its end a new one is fetched; the old one serves until then, should that fail.
const EARLY: Duration = Duration::from_secs(300);

/// One of them, as it is known here.
#[derive(Debug, Clone)]
pub struct Known {
    pub value: Secret,
    refresh_at: Timestamp,
    pub expires_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Token,
    Ticket,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Kind::Token => "token",
            Kind::Ticket => "ticket",
        }
    }
}

/// What this process knows; the document says what is so.
pub struct Holder {
    key: String,
    token: Mutex<Option<Known>>,
    ticket: Mutex<Option<Known>>,
}

impl Holder {
    pub fn new(settings: &Settings) -> Self {
        Holder { key: settings.holder_key(), token: Mutex::default(), ticket: Mutex::default() }
    }

    /// Calls with the client token. One that turns out to have ended is replaced, once.
    pub async fn with_token<T, F>(
        &self,
        settings: &Settings,
        host: &dyn Host,
        clock: &dyn Clock,
        call: impl Fn(Secret) -> F,
    ) -> Result<T, PluginError>
    where
        F: Future<Output = Result<T, ProviderError>>,
    {
        let token = self.token(settings, host, clock, None).await?;
        match call(token.clone()).await {
            Err(error) if api::token_is_gone(&error) => {
                tracing::info!(code = error.code.as_deref(), "douyin's client token ended before its time");
                let other = self.token(settings, host, clock, Some(&token)).await?;
                Ok(call(other).await?)
            }
            other => Ok(other?),
        }
    }

    /// A ticket to sign with now. What it signs ends with it.
    pub async fn ticket(&self, settings: &Settings, host: &dyn Host, clock: &dyn Clock) -> Result<Known, PluginError> {
        let fetch =
            || self.with_token(settings, host, clock, |token| async move { api::open_ticket(settings, &token).await });
        self.have(Kind::Ticket, host, clock, None, fetch).await
    }

    async fn token(
        &self,
        settings: &Settings,
        host: &dyn Host,
        clock: &dyn Clock,
        refused: Option<&Secret>,
    ) -> Result<Secret, PluginError> {
        let fetch = || async { Ok(api::client_token(settings).await?) };
        Ok(self.have(Kind::Token, host, clock, refused, fetch).await?.value)
    }

    /// The value, from memory, from the document, or fetched, in this order; never `refused`.
    async fn have<F>(
        &self,
        kind: Kind,
        host: &dyn Host,
        clock: &dyn Clock,
        refused: Option<&Secret>,
        fetch: impl FnOnce() -> F,
    ) -> Result<Known, PluginError>
    where
        F: Future<Output = Result<Lent, PluginError>>,
    {
        let slot = match kind {
            Kind::Token => &self.token,
            Kind::Ticket => &self.ticket,
        };
        // One at a time here; the rest of the process and the other instances by the lock below.
        let mut known = slot.lock().await;
        let usable = |known: &Known| refused.is_none_or(|refused| !refused.matches(known.value.expose().as_bytes()));
        let fresh = |known: &&Known| usable(known) && clock.now() < known.refresh_at;
        if let Some(known) = known.as_ref().filter(fresh) {
            return Ok(known.clone());
        }
        let held = host.lock(&format!("{}/{}", kind.word(), self.key)).await;
        let result = self.renew(kind, host.shared_documents(), clock, &usable, fetch).await;
        host.unlock(held).await;
        let renewed = result?;
        *known = Some(renewed.clone());
        Ok(renewed)
    }

    async fn renew<F>(
        &self,
        kind: Kind,
        documents: &dyn Documents,
        clock: &dyn Clock,
        usable: &impl Fn(&Known) -> bool,
        fetch: impl FnOnce() -> F,
    ) -> Result<Known, PluginError>
    where
        F: Future<Output = Result<Lent, PluginError>>,
    {
        let key = format!("{}/{}", kind.word(), self.key);
        let document = documents.get(COLLECTION, &key).await?;
        let kept = match &document {
            Some(document) => self.read(kind, documents, document).await.filter(usable),
            None => None,
        };
        let now = clock.now();
        if let Some(kept) = kept.as_ref().filter(|kept| now < kept.refresh_at) {
            return Ok(kept.clone());
        }
        let lent = match fetch().await {
            Ok(lent) => lent,
            Err(error) => {
                // What is still valid serves for as long as it is.
                return match kept.filter(|kept| now < kept.expires_at) {
                    Some(kept) => {
                        tracing::warn!(%error, kind = kind.word(), "douyin gave no new one; the old one still serves");
                        Ok(kept)
                    }
                    None => Err(error),
                };
            }
        };
        // Counted from before it was asked for.
        let expires_at = now.plus(lent.lasts);
        // One that lasts but a moment longer is not asked for again at every call.
        let early = EARLY.min(lent.lasts / 2);
        let renewed = Known { value: lent.value, refresh_at: now.plus(lent.lasts - early), expires_at };
        let sealed = documents.seal(kind.word(), &renewed.value).await?;
        let value = json!({
            "sealed": sealed, "refresh_at": renewed.refresh_at.as_millis(), "expires_at": expires_at.as_millis(),
        });
        let version = document.map_or(0, |document| document.version);
        let batch = Batch::default().put(Document { version, ..Document::new(COLLECTION, key, value) });
        if let Err(error) = documents.write(batch).await {
            // Somebody else was quicker, or the store is away: this one is as good for now.
            tracing::debug!(%error, "what douyin lent could not be kept for others");
        }
        Ok(renewed)
    }

    async fn read(&self, kind: Kind, documents: &dyn Documents, document: &Document) -> Option<Known> {
        let moment = |name: &str| document.value[name].as_i64().map(Timestamp::from_millis);
        let sealed = document.value["sealed"].as_str()?;
        let value = documents.open(kind.word(), sealed).await;
        let value =
            value.inspect_err(|error| tracing::warn!(%error, "what was kept of douyin's cannot be read")).ok()?;
        Some(Known { value, refresh_at: moment("refresh_at")?, expires_at: moment("expires_at")? })
    }
}

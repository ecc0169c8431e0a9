//! The gateway as one plugin of one tenant sees it.

use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::digest;
use dukou_domain::{ProviderName, TenantId};
use dukou_spi::plugin::{Documents, Held, Host, MessageClaim, PageSpec, PluginError, PluginReply, PluginRequest};

use super::documents::OwnDocuments;
use super::run::Shared;
use super::{PluginFailure, PluginHost, TenantPlugin};
use crate::ports::{Claim, ClaimToken, DocumentOwner, Lock, Marker};
use crate::records::{MessageKind, NotificationKey};
use crate::tenant::Tenant;

/// Made anew for each piece of work.
pub(super) struct TenantHost {
    shared: Arc<Shared>,
    tenant: Arc<Tenant>,
    plugin: Arc<TenantPlugin>,
    own: OwnDocuments,
    common: OwnDocuments,
}

impl TenantHost {
    pub fn new(shared: &Arc<Shared>, tenant: &Arc<Tenant>, plugin: &Arc<TenantPlugin>) -> Self {
        let documents = |tenant: Option<TenantId>| OwnDocuments {
            store: Arc::clone(&shared.config.store),
            keys: Arc::clone(&shared.keys),
            clock: Arc::clone(&shared.config.clock),
            owner: DocumentOwner { tenant, plugin: plugin.name.clone() },
            raises: plugin.info.raises,
        };
        TenantHost {
            own: documents(Some(tenant.id.clone())),
            common: documents(None),
            shared: Arc::clone(shared),
            tenant: Arc::clone(tenant),
            plugin: Arc::clone(plugin),
        }
    }

    fn message_key(&self, digest: &str) -> Option<NotificationKey> {
        Some(NotificationKey {
            tenant: self.tenant.id.clone(),
            provider: ProviderName::new(self.plugin.info.name).ok()?,
            kind: MessageKind::Callback,
            digest: hex::encode(&digest::digest(&digest::SHA256, digest.as_bytes()).as_ref()[..16]),
        })
    }
}

/// What a claim's holder has: nothing, where the coordinator was away or somebody else's claim did
/// not end in time.
type Claimed = Option<(NotificationKey, ClaimToken)>;

#[async_trait]
impl Host for TenantHost {
    fn tenant(&self) -> &TenantId {
        &self.tenant.id
    }

    fn tenant_name(&self) -> &str {
        &self.tenant.name
    }

    fn callback_url(&self) -> String {
        format!("{}/callback/{}/{}", self.shared.config.public_url, self.tenant.id, self.plugin.info.name)
    }

    fn page_url(&self, page: &PageSpec, id: &str) -> String {
        let folder = page.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{}{folder}/{}.{id}", self.shared.config.public_url, self.tenant.id)
    }

    fn documents(&self) -> &dyn Documents {
        &self.own
    }

    fn shared_documents(&self) -> &dyn Documents {
        &self.common
    }

    async fn pass_on(&self, tenant: &TenantId, request: PluginRequest) -> Result<PluginReply, PluginError> {
        let plugins = PluginHost { shared: Arc::clone(&self.shared) };
        plugins.callback(tenant.as_str(), self.plugin.info.name, request).await.map_err(|failure| match failure {
            PluginFailure::Refused(error) => error,
            PluginFailure::NotThere => PluginError::NotFound("plugin of that tenant".to_owned()),
            other => PluginError::Internal(format!("passed on to {tenant}: {other}")),
        })
    }

    async fn claim(&self, digest: &str) -> MessageClaim {
        let Some(key) = self.message_key(digest) else { return MessageClaim::Mine(Held(Box::new(Claimed::None))) };
        let held: Claimed = match self.shared.config.coordinator.claim(&key).await {
            Claim::Done(Marker::Accepted) => return MessageClaim::Done,
            Claim::Mine(token) => Some((key, token)),
            Claim::Busy | Claim::Unavailable => None,
        };
        MessageClaim::Mine(Held(Box::new(held)))
    }

    async fn settle(&self, claim: Held, recorded: bool) {
        let Ok(claimed) = claim.0.downcast::<Claimed>() else { return };
        let Some((key, token)) = *claimed else { return };
        let coordinator = &self.shared.config.coordinator;
        if recorded {
            let position = self.shared.config.store.position().await.unwrap_or(0);
            coordinator.finish(&key, token, Marker::Accepted, position).await;
        } else {
            coordinator.release(&key, token).await;
        }
    }

    async fn lock(&self, name: &str) -> Held {
        let name = format!("plugin:{}:{name}", self.plugin.info.name);
        Held(Box::new(self.shared.config.coordinator.lock(&name).await))
    }

    async fn unlock(&self, held: Held) {
        if let Ok(lock) = held.0.downcast::<Option<Lock>>()
            && let Some(lock) = *lock
        {
            self.shared.config.coordinator.unlock(lock).await;
        }
    }
}

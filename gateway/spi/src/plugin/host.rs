//! What the gateway lends to a plugin while it works.

use std::any::Any;

use async_trait::async_trait;
use dukou_domain::TenantId;

use super::{Documents, PageSpec, PluginError, PluginReply, PluginRequest};

/// What the coordinator knows of a message.
pub enum MessageClaim {
    /// It was dealt with and is on disk: answer it again.
    Done,
    /// It is yours to deal with. Nobody else has it, as far as is known; that its effect is single
    /// the documents' keys see to.
    Mine(Held),
}

/// Something that is held until it is given back or dropped.
pub struct Held(pub Box<dyn Any + Send>);

/// The gateway as one plugin of one tenant sees it.
#[async_trait]
pub trait Host: Send + Sync {
    /// The tenant whose plugin this is.
    fn tenant(&self) -> &TenantId;

    /// The tenant's name for people.
    fn tenant_name(&self) -> &str;

    /// Where the plugin's callbacks reach the gateway: absolute, without a trailing slash.
    fn callback_url(&self) -> String;

    /// Where one of the plugin's pages is shown: absolute. `id` becomes [`super::PluginRequest::rest`]:
    /// letters, digits, `-` and `_`.
    fn page_url(&self, page: &PageSpec, id: &str) -> String;

    /// The tenant's documents.
    fn documents(&self) -> &dyn Documents;

    /// The plugin's own documents, the same for every tenant. They can tell one tenant of another:
    /// what is kept there is found only by who knows a secret of it.
    fn shared_documents(&self) -> &dyn Documents;

    /// Hands a callback to this plugin of another tenant, as though the platform had sent it there: it
    /// is verified once more, by that tenant's own settings, and what follows is that tenant's alone.
    ///
    /// # Errors
    /// What the plugin there refuses with; [`PluginError::NotFound`] where it is not, and
    /// [`PluginError::Internal`] where it gave no answer.
    async fn pass_on(&self, tenant: &TenantId, request: PluginRequest) -> Result<PluginReply, PluginError>;

    /// Claims a message for a while, so that copies of it are cheap: `digest` names it and all that
    /// counts of it. Never fails; when the coordinator is away the message is the caller's.
    async fn claim(&self, digest: &str) -> MessageClaim;

    /// Gives a claim back: `recorded` when the message is on disk now, so that it is never dealt with
    /// again.
    async fn settle(&self, claim: Held, recorded: bool);

    /// Waits for the right to do `name` alone: within this process for as long as it is held, across
    /// processes for a moment only. Nothing may depend on it but cost.
    async fn lock(&self, name: &str) -> Held;

    /// Gives back what [`Host::lock`] gave. What is merely dropped stays taken for other processes for a while.
    async fn unlock(&self, held: Held);
}

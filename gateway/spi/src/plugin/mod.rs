//! What a plugin is to the gateway.
//!
//! A plugin stands beside the payments: it answers calls and callbacks of its own, shows pages,
//! follows the event log, and keeps documents. It sees no payment but in the events it asked for and
//! changes none. The gateway runs it on threads of their own, within its limits; one that hangs,
//! panics or answers nonsense fails alone.

mod documents;
mod error;
mod host;
mod info;
mod message;

use std::sync::Arc;

use async_trait::async_trait;

pub use documents::{Batch, Document, DocumentError, Documents, RaisedEvent, Write};
pub use error::{PluginError, WrongField};
pub use host::{Held, Host, MessageClaim};
pub use info::{Access, CallMethod, CallSpec, PageSpec, PluginInfo, PluginLimits, Schema};
pub use message::{
    CallbackOutcome, CallbackReply, Caller, PluginCall, PluginEvent, PluginReply, PluginRequest, RequestMethod,
};

use crate::settings::Section;
use crate::transport::Transport;
use crate::{Context, Finding};

/// One plugin of one tenant, made from its section. What a plugin does not offer keeps the body it
/// has here, which answers that there is nothing.
#[async_trait]
pub trait Plugin: Send + Sync {
    /// Answers one of the calls that [`PluginInfo::calls`] names.
    ///
    /// # Errors
    /// [`PluginError`], which becomes a problem document.
    async fn call(&self, _host: &dyn Host, _call: PluginCall) -> Result<PluginReply, PluginError> {
        Err(PluginError::NotFound("call".to_owned()))
    }

    /// Answers what came to the callback address. Success may be told only after what it tells of is
    /// durable; an error asks the sender to send it again.
    ///
    /// # Errors
    /// [`PluginError`], which becomes a problem document.
    async fn callback(&self, _host: &dyn Host, _request: PluginRequest) -> Result<CallbackReply, PluginError> {
        Err(PluginError::NotFound("callback address".to_owned()))
    }

    /// Shows a page to whoever has its address.
    ///
    /// # Errors
    /// [`PluginError`], which becomes a problem document.
    async fn page(&self, _host: &dyn Host, _request: PluginRequest) -> Result<PluginReply, PluginError> {
        Err(PluginError::NotFound("page".to_owned()))
    }

    /// Hears of an event it asked for, in the order of the log, at least once.
    ///
    /// # Errors
    /// [`PluginError`]: it is told again a while later, some times; then the log goes on.
    async fn event(&self, _host: &dyn Host, _event: &PluginEvent) -> Result<(), PluginError> {
        Ok(())
    }

    /// Looks at a document whose [`Document::due_at`] has come. A document that is left as it is comes
    /// again a minute later.
    ///
    /// # Errors
    /// [`PluginError`]: it comes again.
    async fn due(&self, _host: &dyn Host, _document: Document) -> Result<(), PluginError> {
        Ok(())
    }

    /// Looks at the plugin's own set-up, for a person who wonders why it does not work. `live` says whether the platform
    /// may be called: only calls that change nothing, or nothing that lasts. No gateway runs around it.
    async fn diagnose(&self, _live: bool) -> Vec<Finding> {
        Vec::new()
    }
}

/// The outside world, as a plugin gets to see it.
#[derive(Clone)]
pub struct PluginContext {
    /// What a provider gets too.
    pub outside: Context,
    /// For addresses that somebody else chose: it dials public ones alone and follows no redirect.
    pub strangers: Arc<dyn Transport>,
}

/// Makes plugins out of their configuration, one for each tenant that has the section.
pub trait PluginFactory: Send + Sync {
    /// What it offers and wants, whatever the configuration.
    fn info(&self) -> &'static PluginInfo;

    /// Reads and checks the whole section, noting every problem in it, and makes the plugin. `None`
    /// when a problem was noted that leaves none to make. Makes no call.
    fn build(&self, section: &mut Section<'_>, context: &PluginContext) -> Option<Arc<dyn Plugin>>;
}

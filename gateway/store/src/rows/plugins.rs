//! What plugins keep.

use dukou_domain::{PluginName, TenantId};
use dukou_engine::ports::DocumentOwner;
use dukou_spi::plugin::Document;

use super::ReadColumns;
use crate::error::{Result, corrupt};

/// The owner's tenant as it is kept: empty for what a plugin keeps for all.
pub(crate) fn tenant_column(owner: &DocumentOwner) -> &str {
    owner.tenant.as_ref().map_or("", TenantId::as_str)
}

pub(crate) fn document<'r>(c: &mut impl ReadColumns<'r>) -> Result<Document> {
    let (collection, key) = (c.string()?, c.string()?);
    let value = serde_json::from_str(c.text()?).map_err(|error| corrupt("plugin document", error))?;
    Ok(Document { collection, key, value, due_at: c.optional_time()?, version: c.integer()? })
}

/// A document, and whose it is.
pub(crate) fn owned_document<'r>(c: &mut impl ReadColumns<'r>) -> Result<(DocumentOwner, Document)> {
    let document = document(c)?;
    let tenant = match c.text()? {
        "" => None,
        text => Some(TenantId::new(text).map_err(|error| corrupt("tenant", error))?),
    };
    Ok((DocumentOwner { tenant, plugin: c.id(PluginName::new)? }, document))
}

//! Whose a share is, among tenants that use one application: Douyin knows one webhook address of an
//! application, and tells there of the shares of all.

use aws_lc_rs::digest;
use dukou_domain::TenantId;
use dukou_spi::plugin::{Batch, Document, DocumentError, Host};
use serde_json::json;

use crate::config::Settings;

/// Among the documents of all tenants.
const COLLECTION: &str = "share_tenants";

/// Keeps that `share_id` is this tenant's.
pub async fn remember(settings: &Settings, host: &dyn Host, share_id: &str) -> Result<(), DocumentError> {
    let entry = Document::new(COLLECTION, key(settings, share_id), json!({ "tenant": host.tenant().as_str() }));
    host.shared_documents().write(Batch::default().put(entry)).await
}

/// The other tenant whose share it is; `None` where it is this one's, or nobody's.
pub async fn another(settings: &Settings, host: &dyn Host, share_id: &str) -> Result<Option<TenantId>, DocumentError> {
    let entry = host.shared_documents().get(COLLECTION, &key(settings, share_id)).await?;
    let tenant = entry.and_then(|entry| TenantId::new(entry.value["tenant"].as_str()?).ok());
    Ok(tenant.filter(|tenant| tenant != host.tenant()))
}

pub async fn forget(settings: &Settings, host: &dyn Host, share_id: &str) -> Result<(), DocumentError> {
    let documents = host.shared_documents();
    match documents.get(COLLECTION, &key(settings, share_id)).await? {
        Some(entry) => documents.write(Batch::default().delete(&entry)).await,
        None => Ok(()),
    }
}

/// Only who knows the application's secret can form it.
fn key(settings: &Settings, share_id: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, format!("{}/{share_id}", settings.holder_key()).as_bytes()))
}

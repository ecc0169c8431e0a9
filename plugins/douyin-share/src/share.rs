//! A share on record, and how it is shown.

use std::collections::BTreeMap;
use std::time::Duration;

use dukou_domain::{EventKind, Timestamp};
use dukou_spi::plugin::{Batch, Caller, Document, DocumentError, Documents, Host};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::convert::{Converted, Share};
use crate::plugin::{DouyinShare, LANDING};
use crate::text::rfc3339;
use crate::whose;

pub const COLLECTION: &str = "shares";
/// From Douyin's share id to ours.
const BY_SHARE_ID: &str = "share_ids";
/// A share that was not published by then will hardly be; Douyin tells nothing of those given up.
const OPEN_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// For how long a share is kept after its end.
const KEPT: Duration = Duration::from_secs(180 * 24 * 60 * 60);
/// Videos of one share that are remembered.
const MOST_ITEMS: usize = 20;

/// What a share has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Created,
    Published,
    Expired,
}

impl Status {
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Created => "created",
            Status::Published => "published",
            Status::Expired => "expired",
        }
    }
}

/// A video that was made of a share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub item_id: String,
    pub video_id: Option<String>,
    /// Whose it is.
    pub open_id: Option<String>,
    pub at: i64,
}

/// A share as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    pub id: String,
    /// Douyin's, by which its messages name the share; also the schema's `state`.
    pub share_id: String,
    pub status: Status,
    pub app_id: String,
    pub scene: Option<String>,
    /// Who made it: `backend`, or the buyer's openid.
    pub made_by: String,
    /// The schema's parameters but for those of the signature.
    pub params: BTreeMap<String, String>,
    pub warnings: Vec<String>,
    pub created_at: i64,
    pub expires_at: i64,
    pub items: Vec<Item>,
}

impl Record {
    pub fn new(
        id: String,
        share_id: String,
        share: &Share,
        converted: Converted,
        caller: &Caller,
        now: Timestamp,
    ) -> Self {
        let made_by = match caller {
            Caller::Backend { .. } => "backend".to_owned(),
            Caller::Buyer { openid, .. } => openid.clone(),
        };
        Record {
            id,
            share_id,
            status: Status::Created,
            app_id: share.app_id.clone(),
            scene: share.scene.clone(),
            made_by,
            params: converted.params,
            warnings: converted.warnings.into_iter().map(str::to_owned).collect(),
            created_at: now.as_millis(),
            expires_at: now.plus(OPEN_FOR).as_millis(),
            items: Vec::new(),
        }
    }

    pub fn read(document: &Document) -> Result<Self, DocumentError> {
        serde_json::from_value(document.value.clone())
            .map_err(|error| DocumentError::Corrupt(format!("a share's record: {error}")))
    }

    /// What to write for a share that is new.
    pub fn insert(&self, shown: Value) -> Batch {
        let index = Document::new(BY_SHARE_ID, self.share_id.clone(), json!({ "share": self.id }));
        let expiry = Timestamp::from_millis(self.expires_at);
        let own = Document::new(COLLECTION, self.id.clone(), self.value()).due(expiry);
        Batch::default().put(own).put(index).raise(EventKind::ShareCreated, shown)
    }

    /// The document as it is to be from now on.
    pub fn replace(&self, document: &Document, now: Timestamp) -> Document {
        let due = match self.status {
            Status::Created => Timestamp::from_millis(self.expires_at),
            Status::Published | Status::Expired => now.plus(KEPT),
        };
        Document { value: self.value(), due_at: Some(due), ..document.clone() }
    }

    pub fn is_over(&self, now: Timestamp) -> bool {
        now.as_millis() >= self.expires_at
    }

    /// Enters a video. The newest are remembered.
    pub fn publish(&mut self, item: Item) {
        self.status = Status::Published;
        self.items.push(item);
        let surplus = self.items.len().saturating_sub(MOST_ITEMS);
        self.items.drain(..surplus);
    }

    fn value(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// The share as the API and its events show it.
    pub fn shown(&self, landing_url: &str, now: Timestamp) -> Value {
        let open = self.status == Status::Created && self.is_over(now);
        let status = if open { Status::Expired } else { self.status };
        let newest = self.items.last();
        json!({
            "id": self.id,
            "share_id": self.share_id,
            "state": self.share_id,
            "status": status.as_str(),
            "app_id": self.app_id,
            "scene": self.scene,
            "title": self.params.get("title"),
            "landing_url": landing_url,
            "warnings": self.warnings,
            "created_at": rfc3339(Timestamp::from_millis(self.created_at)),
            "expires_at": rfc3339(Timestamp::from_millis(self.expires_at)),
            "published_at": newest.map(|item| rfc3339(Timestamp::from_millis(item.at))),
            "item_id": newest.map(|item| &item.item_id),
            "video_id": newest.and_then(|item| item.video_id.as_ref()),
            "open_id": newest.and_then(|item| item.open_id.as_ref()),
            // That a video was made does not say that the platform lets others see it.
            "review": newest.map(|_| "unknown"),
        })
    }
}

/// The document of a share, by our id.
pub async fn find(documents: &dyn Documents, id: &str) -> Result<Option<(Document, Record)>, DocumentError> {
    if !is_id(id) {
        return Ok(None);
    }
    match documents.get(COLLECTION, id).await? {
        Some(document) => Ok(Some((document.clone(), Record::read(&document)?))),
        None => Ok(None),
    }
}

/// The document of a share, by Douyin's id.
pub async fn find_by_share_id(
    documents: &dyn Documents,
    share_id: &str,
) -> Result<Option<(Document, Record)>, DocumentError> {
    if !is_share_id(share_id) {
        return Ok(None);
    }
    match documents.get(BY_SHARE_ID, share_id).await? {
        Some(index) => find(documents, index.value["share"].as_str().unwrap_or_default()).await,
        None => Ok(None),
    }
}

/// What follows when a share's moment has come: its end, or, long after that, its removal.
pub async fn due(plugin: &DouyinShare, host: &dyn Host, document: Document) -> Result<(), DocumentError> {
    let (documents, now) = (host.documents(), plugin.now());
    let mut record = Record::read(&document)?;
    if record.status == Status::Created {
        record.status = Status::Expired;
        let shown = record.shown(&host.page_url(&LANDING, &record.id), now);
        let batch = Batch::default().put(record.replace(&document, now)).raise(EventKind::ShareExpired, shown);
        return documents.write(batch).await;
    }
    // Before the share itself goes, since nothing else remembers that it has to.
    whose::forget(&plugin.settings, host, &record.share_id).await?;
    let batch = Batch::default().delete(&document);
    let batch = match documents.get(BY_SHARE_ID, &record.share_id).await? {
        Some(index) => batch.delete(&index),
        None => batch,
    };
    documents.write(batch).await
}

/// Whether a text could be an id of Douyin's.
pub fn is_share_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

pub fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

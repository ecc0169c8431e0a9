//! What a user lets us do in their name: tokens kept sealed, refreshed in time, forgotten when they are
//! withdrawn (protocol section 2).

use std::time::Duration;

use dukou_domain::{EventKind, Secret, Timestamp};
use dukou_spi::plugin::{Batch, Document, DocumentError, Documents, Host, PluginError};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::api::{self, UserTokens};
use crate::config::Settings;
use crate::message::Message;
use crate::text::rfc3339;

pub const COLLECTION: &str = "authorizations";
/// So long before its end an access token is refreshed.
const EARLY: Duration = Duration::from_secs(24 * 60 * 60);
/// So long before its end a refresh token is renewed, where the user allowed that.
const RENEW_EARLY: Duration = Duration::from_secs(3 * 24 * 60 * 60);
const MOST_RENEWALS: u32 = 5;
const RENEW_SCOPE: &str = "renew_refresh_token";
/// For how long what has ended is kept, without its tokens.
const KEPT: Duration = Duration::from_secs(180 * 24 * 60 * 60);
/// When the platform is asked again after it could not be reached.
const AGAIN: Duration = Duration::from_secs(60 * 60);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Granted,
    Revoked,
    Expired,
}

/// A token in a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Sealed {
    sealed: String,
    expires_at: i64,
}

/// An authorization as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    open_id: String,
    status: Status,
    scopes: Vec<String>,
    /// The merchant's own word for whom it is.
    reference: Option<String>,
    access: Option<Sealed>,
    refresh: Option<Sealed>,
    renewals: u32,
    granted_at: i64,
    ended_at: Option<i64>,
}

impl Record {
    pub fn read(document: &Document) -> Result<Self, DocumentError> {
        serde_json::from_value(document.value.clone())
            .map_err(|error| DocumentError::Corrupt(format!("an authorization's record: {error}")))
    }

    /// The authorization as the API and its events show it. Never with a token.
    pub fn shown(&self) -> Value {
        let moment = |millis: i64| rfc3339(Timestamp::from_millis(millis));
        json!({
            "platform": "douyin",
            "open_id": self.open_id,
            "status": match self.status {
                Status::Granted => "granted",
                Status::Revoked => "revoked",
                Status::Expired => "expired",
            },
            "scopes": self.scopes,
            "reference": self.reference,
            "granted_at": moment(self.granted_at),
            "expires_at": self.refresh.as_ref().map(|refresh| moment(refresh.expires_at)),
            "ended_at": self.ended_at.map(moment),
        })
    }

    fn end(&mut self, status: Status, now: Timestamp) {
        (self.status, self.access, self.refresh) = (status, None, None);
        self.ended_at = Some(now.as_millis());
    }

    fn document(&self, key: &str, version: i64, due: Timestamp) -> Document {
        let value = serde_json::to_value(self).unwrap_or_default();
        Document { version, ..Document::new(COLLECTION, key, value).due(due) }
    }

    /// When the tokens are to be looked after.
    fn due(&self, now: Timestamp) -> Timestamp {
        let end = self.access.as_ref().map_or(now, |access| Timestamp::from_millis(access.expires_at));
        let early = Timestamp::from_millis(end.as_millis() - i64::try_from(EARLY.as_millis()).unwrap_or(0));
        early.max(now.plus(AGAIN))
    }
}

/// The place of a user's authorization; an open_id that cannot be one has none.
pub fn key(open_id: &str) -> Option<&str> {
    let legal = (1..=Document::LONGEST_KEY).contains(&open_id.len()) && open_id.bytes().all(|b| b.is_ascii_graphic());
    legal.then_some(open_id)
}

/// Keeps what an authorization gave. A later one takes the place of an earlier.
///
/// # Errors
/// [`PluginError`].
pub async fn granted(
    documents: &dyn Documents,
    tokens: UserTokens,
    reference: Option<String>,
    now: Timestamp,
) -> Result<Value, PluginError> {
    let key =
        key(&tokens.open_id).ok_or_else(|| PluginError::Internal("douyin's open_id cannot be kept".to_owned()))?;
    let version = documents.get(COLLECTION, key).await?.map_or(0, |document| document.version);
    let record = Record {
        open_id: tokens.open_id.clone(),
        status: Status::Granted,
        scopes: tokens.scopes.clone(),
        reference,
        access: Some(seal(documents, &tokens.open_id, "access", &tokens.access, now).await?),
        refresh: Some(seal(documents, &tokens.open_id, "refresh", &tokens.refresh, now).await?),
        renewals: 0,
        granted_at: now.as_millis(),
        ended_at: None,
    };
    let shown = record.shown();
    let document = record.document(key, version, record.due(now));
    documents.write(Batch::default().put(document).raise(EventKind::AuthorizationGranted, shown.clone())).await?;
    Ok(shown)
}

/// What follows when a user withdraws: the tokens go, and the merchant hears of it.
///
/// # Errors
/// [`PluginError`].
pub async fn revoked(
    documents: &dyn Documents,
    message: &Message,
    batch: Batch,
    now: Timestamp,
) -> Result<Batch, PluginError> {
    let Some(key) = message.from.as_deref().and_then(key) else { return Ok(message.raise(batch)) };
    let shown = match documents.get(COLLECTION, key).await? {
        Some(document) => {
            let mut record = Record::read(&document)?;
            record.end(Status::Revoked, now);
            let shown = record.shown();
            let document = record.document(key, document.version, now.plus(KEPT));
            return Ok(batch.put(document).raise(EventKind::AuthorizationRevoked, shown));
        }
        None => {
            let scopes = message.content.get("scopes").map(api::scopes).unwrap_or_default();
            json!({ "platform": "douyin", "open_id": key, "status": "revoked", "scopes": scopes })
        }
    };
    Ok(batch.raise(EventKind::AuthorizationRevoked, shown))
}

/// Looks after the tokens of one user: refreshes them, or sees that they have ended.
///
/// # Errors
/// [`PluginError`]; it comes again.
pub async fn due(settings: &Settings, host: &dyn Host, document: Document, now: Timestamp) -> Result<(), PluginError> {
    let documents = host.documents();
    let mut record = Record::read(&document)?;
    let Some(refresh) = record.refresh.clone().filter(|_| record.status == Status::Granted) else {
        return Ok(documents.write(Batch::default().delete(&document)).await?);
    };
    let refresh_token = documents.open(&label(&record.open_id, "refresh"), &refresh.sealed).await?;
    match renewed(settings, documents, &mut record, &refresh, refresh_token, now).await {
        Ok(()) => {
            let due = record.due(now);
            Ok(documents.write(Batch::default().put(record.document(&document.key, document.version, due))).await?)
        }
        Err(PluginError::Provider(error)) if api::authorization_is_over(&error) => {
            record.end(Status::Expired, now);
            let shown = record.shown();
            let document = record.document(&document.key, document.version, now.plus(KEPT));
            Ok(documents.write(Batch::default().put(document).raise(EventKind::AuthorizationExpired, shown)).await?)
        }
        Err(PluginError::Provider(error)) => {
            tracing::warn!(tenant = %host.tenant(), %error, "douyin's tokens of a user could not be refreshed yet");
            let later = document.due(now.plus(AGAIN));
            Ok(documents.write(Batch::default().put(later)).await?)
        }
        Err(error) => Err(error),
    }
}

/// Refreshes the access token, and renews the refresh token near its end where that is allowed.
async fn renewed(
    settings: &Settings,
    documents: &dyn Documents,
    record: &mut Record,
    refresh: &Sealed,
    mut refresh_token: Secret,
    now: Timestamp,
) -> Result<(), PluginError> {
    let near_end = now.plus(RENEW_EARLY).as_millis() >= refresh.expires_at;
    let may_renew = record.renewals < MOST_RENEWALS && record.scopes.iter().any(|scope| scope == RENEW_SCOPE);
    if near_end && may_renew {
        let lent = api::renew_refresh_token(settings, &refresh_token).await?;
        record.renewals += 1;
        refresh_token = lent.value.clone();
        record.refresh = Some(seal(documents, &record.open_id, "refresh", &lent, now).await?);
    }
    let tokens = api::refresh(settings, &refresh_token).await?;
    record.access = Some(seal(documents, &record.open_id, "access", &tokens.access, now).await?);
    if !(near_end && may_renew) {
        record.refresh = Some(seal(documents, &record.open_id, "refresh", &tokens.refresh, now).await?);
    }
    Ok(())
}

fn label(open_id: &str, kind: &str) -> String {
    format!("{kind} of {open_id}")
}

async fn seal(
    documents: &dyn Documents,
    open_id: &str,
    kind: &str,
    lent: &api::Lent,
    now: Timestamp,
) -> Result<Sealed, DocumentError> {
    let sealed = documents.seal(&label(open_id, kind), &lent.value).await?;
    Ok(Sealed { sealed, expires_at: now.plus(lent.lasts).as_millis() })
}

//! What the instances share of one app's token: one document, the token in it sealed.

use std::time::Duration;

use dukou_domain::{Secret, Timestamp};
use dukou_spi::{TokenFailure, TokenStatus};
use serde::{Deserialize, Serialize};

/// A moment in a document, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Moment(i64);

impl From<Timestamp> for Moment {
    fn from(at: Timestamp) -> Self {
        Moment(at.as_millis())
    }
}

impl From<Moment> for Timestamp {
    fn from(Moment(millis): Moment) -> Self {
        Timestamp::from_millis(millis)
    }
}

/// The whole of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// For people who look at the store; the document's key names the app.
    pub app_id: String,
    pub token: Option<Held>,
    /// Counts the tokens that the app had.
    pub version: u64,
    /// The last call for a token that was begun.
    pub asked_at: Option<Moment>,
    /// Who is asking now. It is written before the call, so that there is one call.
    pub lease: Option<Lease>,
    pub failure: Option<Failure>,
    /// When a token that was not accepted was last looked into.
    pub repaired_at: Option<Moment>,
    pub forced: Forced,
}

/// A token, as it is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub sealed: String,
    pub fetched_at: Moment,
    pub refresh_at: Moment,
    pub expires_at: Moment,
    /// The instance that fetched it.
    pub by: String,
}

/// The right of one instance to ask, for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub by: String,
    pub since: Moment,
    pub until: Moment,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub at: Moment,
    pub code: Option<String>,
    pub message: String,
    pub needs_person: bool,
    /// So many in a row.
    pub count: u32,
    pub next_try_at: Moment,
}

/// How often a token was ended by force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Forced {
    /// Days since 1970 in Beijing, where WeChat's day begins.
    pub day: i64,
    pub count: u32,
    pub at: Option<Moment>,
}

impl Record {
    /// Without the token, for people.
    pub fn status(&self, today: i64) -> TokenStatus {
        let held = self.token.as_ref();
        TokenStatus {
            version: self.version,
            fetched_at: held.map(|held| held.fetched_at.into()),
            expires_at: held.map(|held| held.expires_at.into()),
            fetched_by: held.map(|held| held.by.clone()),
            failure: self.failure.as_ref().map(|failure| TokenFailure {
                at: failure.at.into(),
                code: failure.code.clone(),
                message: failure.message.clone(),
                needs_person: failure.needs_person,
                next_try_at: failure.next_try_at.into(),
            }),
            repaired_at: self.repaired_at.map(Timestamp::from),
            forced_today: if self.forced.day == today { self.forced.count } else { 0 },
        }
    }
}

/// A token, opened.
#[derive(Debug, Clone)]
pub struct Known {
    pub value: Secret,
    pub refresh_at: Timestamp,
    pub expires_at: Timestamp,
    /// When the record was last looked at.
    pub looked_at: Timestamp,
}

impl Known {
    pub fn of(held: &Held, value: Secret, now: Timestamp) -> Self {
        Known { value, refresh_at: held.refresh_at.into(), expires_at: held.expires_at.into(), looked_at: now }
    }

    pub fn is(&self, token: &Secret) -> bool {
        self.value.matches(token.expose().as_bytes())
    }

    /// Good enough to be given out without looking further.
    pub fn is_fresh(&self, now: Timestamp, cached: Duration) -> bool {
        self.looked_at <= now && now.since(self.looked_at) < cached && now < self.refresh_at
    }
}

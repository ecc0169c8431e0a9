//! Schemas that were opened, and works (作品) that were published from them.

use std::collections::VecDeque;

use base64::prelude::{BASE64_STANDARD, Engine};
use rand::Rng;
use serde::Serialize;

use super::content::Content;
use crate::clock::Millis;
use crate::ledger::token;

/// Openings and works remembered, each.
const MAX_REMEMBERED: usize = 10_000;

/// A schema that passed the app's checks: the page with the publish button.
#[derive(Clone, Debug, Serialize)]
pub struct Opening {
    pub opening_id: String,
    pub client_key: String,
    pub app_name: String,
    /// The schema's `state`: what the app announced with `/share-id/`.
    pub share_id: Option<String>,
    /// Whether a webhook will tell of the publication.
    pub need_callback: bool,
    pub default_hashtag: Option<String>,
    pub opened_at: Millis,
    /// The nonce, unless it was a short link.
    #[serde(skip)]
    pub nonce: Option<String>,
    /// Published from it.
    pub item_id: Option<String>,
    #[serde(flatten)]
    pub content: Content,
}

/// A published work.
#[derive(Clone, Debug, Serialize)]
pub struct Work {
    pub item_id: String,
    pub video_id: String,
    pub client_key: String,
    pub app_name: String,
    pub share_id: Option<String>,
    pub user: String,
    pub nickname: String,
    pub open_id: String,
    pub title: String,
    pub hashtags: Vec<String>,
    pub published_at: Millis,
    /// The webhook that tells of it; none if nobody wants one.
    pub webhook_id: Option<u64>,
    pub content: Content,
}

#[derive(Default)]
pub struct Works {
    openings: VecDeque<Opening>,
    works: VecDeque<Work>,
}

/// An encrypted id as the platform shows it: base64 with every character that must be encoded in a query.
pub fn new_item_id() -> String {
    let mut bytes = [0_u8; 31];
    rand::rng().fill(&mut bytes[..]);
    format!("@9V+x/{}", BASE64_STANDARD.encode(bytes))
}

pub fn new_video_id() -> String {
    format!("v0200fg1{}", token(24).to_ascii_lowercase())
}

impl Works {
    pub fn add_opening(&mut self, opening: Opening) {
        self.openings.push_back(opening);
        if self.openings.len() > MAX_REMEMBERED {
            self.openings.pop_front();
        }
    }

    pub fn opening_mut(&mut self, opening_id: &str) -> Option<&mut Opening> {
        self.openings.iter_mut().rev().find(|opening| opening.opening_id == opening_id)
    }

    pub fn knows_nonce(&self, client_key: &str, nonce: &str) -> bool {
        let mut all = self.openings.iter();
        all.any(|opening| opening.client_key == client_key && opening.nonce.as_deref() == Some(nonce))
    }

    pub fn add_work(&mut self, work: Work) {
        self.works.push_back(work);
        if self.works.len() > MAX_REMEMBERED {
            self.works.pop_front();
        }
    }

    pub fn work_mut(&mut self, item_id: &str) -> Option<&mut Work> {
        self.works.iter_mut().rev().find(|work| work.item_id == item_id)
    }

    /// The latest first.
    pub fn openings(&self) -> impl Iterator<Item = &Opening> {
        self.openings.iter().rev()
    }

    /// The latest first.
    pub fn works(&self) -> impl Iterator<Item = &Work> {
        self.works.iter().rev()
    }
}

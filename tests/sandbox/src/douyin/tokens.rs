//! What the platform issues to an app: client_tokens, open tickets, share ids and short links (protocol 1.2 to 1.4, 1.7).

use std::collections::{BTreeMap, HashMap, VecDeque};

use base64::prelude::{BASE64_STANDARD, Engine};
use rand::Rng;
use serde::Serialize;

use crate::clock::Millis;
use crate::ledger::token;

/// Seconds a client_token and a ticket are good for.
pub const LIFETIME_SECONDS: i64 = 7200;
const LIFETIME: Millis = LIFETIME_SECONDS * 1000;
/// What is left of a client_token once a newer one was issued, and how close to its end a ticket is replaced.
const OVERLAP: Millis = 300 * 1000;
/// The window in which calls of client_token are counted.
const LIMIT_WINDOW: Millis = 300 * 1000;
/// Tokens and tickets of one app that are remembered, so that an old one is told from an invented one.
const MAX_REMEMBERED: usize = 2000;
const MAX_SHARES: usize = 100_000;

/// Something that ends at a time.
#[derive(Clone, Debug)]
struct Issued {
    text: String,
    expires_at: Millis,
}

/// What a credential turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Valid,
    Expired,
    Unknown,
}

/// A share the app announced with `/share-id/`.
#[derive(Clone, Debug, Serialize)]
pub struct Share {
    pub share_id: String,
    pub client_key: String,
    pub need_callback: bool,
    pub default_hashtag: Option<String>,
    pub source_style_id: Option<String>,
    pub link_param: Option<String>,
    pub created_at: Millis,
    /// Works published with it.
    pub item_ids: Vec<String>,
}

/// A short link made by `/api/douyin/v1/schema/get_share/`.
#[derive(Clone, Debug)]
pub struct ShortLink {
    pub client_key: String,
    pub ticket: String,
    /// Milliseconds.
    pub expires_at: Millis,
    /// The parameters of the schema it stands for, without those of the signature.
    pub parameters: BTreeMap<String, String>,
}

#[derive(Default)]
pub struct Tokens {
    client_tokens: HashMap<String, VecDeque<Issued>>,
    tickets: HashMap<String, VecDeque<Issued>>,
    calls: HashMap<String, VecDeque<Millis>>,
    shares: BTreeMap<String, Share>,
    order: VecDeque<String>,
    links: HashMap<String, ShortLink>,
}

fn standing(issued: Option<&Issued>, now: Millis) -> Standing {
    match issued {
        None => Standing::Unknown,
        Some(issued) if now >= issued.expires_at => Standing::Expired,
        Some(_) => Standing::Valid,
    }
}

fn remember(list: &mut VecDeque<Issued>, text: String, expires_at: Millis) {
    list.push_back(Issued { text, expires_at });
    if list.len() > MAX_REMEMBERED {
        list.pop_front();
    }
}

/// Ends what is still good.
fn end(list: Option<&mut VecDeque<Issued>>, now: Millis) -> usize {
    let good: Vec<&mut Issued> = list.into_iter().flatten().filter(|issued| issued.expires_at > now).collect();
    let count = good.len();
    good.into_iter().for_each(|issued| issued.expires_at = now);
    count
}

impl Tokens {
    /// Counts a call of client_token; false if the app called more often than it may.
    pub fn count_call(&mut self, client_key: &str, limit: u32, now: Millis) -> bool {
        let calls = self.calls.entry(client_key.to_owned()).or_default();
        while calls.front().is_some_and(|&at| at + LIMIT_WINDOW <= now) {
            calls.pop_front();
        }
        let within = calls.len() < usize::try_from(limit).unwrap_or(usize::MAX);
        if within {
            calls.push_back(now);
        }
        within
    }

    /// A new client_token; the one before it is good for five minutes more at most.
    pub fn new_client_token(&mut self, client_key: &str, now: Millis) -> String {
        let list = self.client_tokens.entry(client_key.to_owned()).or_default();
        if let Some(before) = list.back_mut() {
            before.expires_at = before.expires_at.min(now + OVERLAP);
        }
        let text = format!("clt.{}", token(60));
        remember(list, text.clone(), now + LIFETIME);
        text
    }

    /// Whose client_token it is, and whether it is good.
    pub fn client_token(&self, text: &str, now: Millis) -> (Standing, Option<&str>) {
        let found = self.client_tokens.iter().find_map(|(client_key, list)| {
            list.iter().find(|issued| issued.text == text).map(|issued| (client_key.as_str(), issued))
        });
        (standing(found.map(|(_, issued)| issued), now), found.map(|(client_key, _)| client_key))
    }

    /// The app's ticket with the seconds it is still good for; a new one when the last is about to end.
    pub fn ticket(&mut self, client_key: &str, now: Millis) -> (String, i64) {
        let list = self.tickets.entry(client_key.to_owned()).or_default();
        if let Some(last) = list.back()
            && last.expires_at - now >= OVERLAP
        {
            return (last.text.clone(), (last.expires_at - now) / 1000);
        }
        let mut bytes = [0_u8; 37];
        rand::rng().fill(&mut bytes[..]);
        let first = if rand::rng().random() { '@' } else { '#' };
        // Every character that a reader may be tempted to decode: + and / are always among them.
        let text = format!("{first}+/{}", BASE64_STANDARD.encode(bytes));
        remember(list, text.clone(), now + LIFETIME);
        (text, LIFETIME_SECONDS)
    }

    /// Whether the app's ticket is good.
    pub fn ticket_standing(&self, client_key: &str, ticket: &str, now: Millis) -> Standing {
        let list = self.tickets.get(client_key);
        standing(list.and_then(|list| list.iter().find(|issued| issued.text == ticket)), now)
    }

    /// All tickets the app ever got, the newest first, with what they are worth now.
    pub fn tickets(&self, client_key: &str, now: Millis) -> impl Iterator<Item = (&str, Standing)> {
        let list = self.tickets.get(client_key);
        list.into_iter().flatten().rev().map(move |issued| (issued.text.as_str(), standing(Some(issued), now)))
    }

    /// Ends the app's client_tokens; how many were good.
    pub fn end_client_tokens(&mut self, client_key: &str, now: Millis) -> usize {
        end(self.client_tokens.get_mut(client_key), now)
    }

    /// Ends the app's tickets; how many were good.
    pub fn end_tickets(&mut self, client_key: &str, now: Millis) -> usize {
        end(self.tickets.get_mut(client_key), now)
    }

    /// Forgets the app's client_tokens, so that they are invalid and not merely expired; how many were good.
    pub fn forget_client_tokens(&mut self, client_key: &str, now: Millis) -> usize {
        let list = self.client_tokens.remove(client_key);
        list.into_iter().flatten().filter(|issued| issued.expires_at > now).count()
    }

    /// Enters a share under a number of its own and returns that.
    pub fn add_share(&mut self, mut share: Share) -> String {
        let share_id = loop {
            let number = format!("1786{:012}", rand::rng().random_range(0..1_000_000_000_000_u64));
            if !self.shares.contains_key(&number) {
                break number;
            }
        };
        share.share_id.clone_from(&share_id);
        self.shares.insert(share_id.clone(), share);
        self.order.push_back(share_id.clone());
        if self.order.len() > MAX_SHARES
            && let Some(oldest) = self.order.pop_front()
        {
            self.shares.remove(&oldest);
        }
        share_id
    }

    pub fn share(&self, share_id: &str) -> Option<&Share> {
        self.shares.get(share_id)
    }

    pub fn share_mut(&mut self, share_id: &str) -> Option<&mut Share> {
        self.shares.get_mut(share_id)
    }

    /// The latest first.
    pub fn shares(&self) -> impl Iterator<Item = &Share> {
        self.order.iter().rev().filter_map(|share_id| self.shares.get(share_id))
    }

    /// Enters a short link and returns its token.
    pub fn add_link(&mut self, link: ShortLink) -> String {
        if self.links.len() >= MAX_SHARES {
            self.links.clear();
        }
        let text = token(40);
        self.links.insert(text.clone(), link);
        text
    }

    pub fn link(&self, token: &str) -> Option<&ShortLink> {
        self.links.get(token)
    }
}

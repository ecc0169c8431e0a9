//! What people allowed apps to do (protocol 2): codes, user tokens, and their ends.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::people;
use crate::clock::Millis;
use crate::ledger::token;

/// Seconds an access token of a user is good for: 15 days.
pub const ACCESS_SECONDS: i64 = 15 * 24 * 3600;
/// Seconds a refresh token is good for: 30 days.
pub const REFRESH_SECONDS: i64 = 30 * 24 * 3600;
/// "Short-lived" in the documents.
const CODE_LIFETIME: Millis = 10 * 60 * 1000;
/// Renewals of the refresh token in one authorization.
pub const MAX_RENEWALS: u32 = 5;
const MAX_GRANTS: usize = 10_000;

/// An authorization code that was handed out.
#[derive(Clone, Debug)]
struct Code {
    client_key: String,
    user: String,
    scopes: Vec<String>,
    issued_at: Millis,
}

/// One authorization of one person for one app.
#[derive(Clone, Debug, Serialize)]
pub struct Grant {
    pub client_key: String,
    pub user: String,
    pub open_id: String,
    pub scopes: Vec<String>,
    pub access_expires_at: Millis,
    pub refresh_expires_at: Millis,
    pub renewals: u32,
    /// The person withdrew.
    pub ended: bool,
    #[serde(skip)]
    pub access_token: String,
    #[serde(skip)]
    pub refresh_token: String,
}

#[derive(Default)]
pub struct Grants {
    codes: BTreeMap<String, Code>,
    grants: VecDeque<Grant>,
}

impl Grants {
    /// A code for what the person allowed; an earlier one of the same person and app is dead.
    pub fn new_code(&mut self, client_key: &str, user: &str, scopes: Vec<String>, now: Millis) -> String {
        self.codes.retain(|_, code| {
            now < code.issued_at + CODE_LIFETIME && !(code.client_key == client_key && code.user == user)
        });
        let text = token(32);
        let code = Code { client_key: client_key.to_owned(), user: user.to_owned(), scopes, issued_at: now };
        self.codes.insert(text.clone(), code);
        text
    }

    /// Spends a code; `None` if it is unknown, another app's, used or too old.
    pub fn redeem(&mut self, client_key: &str, text: &str, now: Millis) -> Option<Grant> {
        if self.codes.get(text)?.client_key != client_key {
            return None;
        }
        let code = self.codes.remove(text)?;
        if now >= code.issued_at + CODE_LIFETIME {
            return None;
        }
        let grant = Grant {
            client_key: code.client_key,
            open_id: people::open_id(client_key, &code.user),
            user: code.user,
            scopes: code.scopes,
            access_expires_at: now + ACCESS_SECONDS * 1000,
            refresh_expires_at: now + REFRESH_SECONDS * 1000,
            renewals: 0,
            ended: false,
            access_token: format!("act.{}", token(60)),
            refresh_token: format!("rft.{}", token(60)),
        };
        self.grants.push_back(grant.clone());
        if self.grants.len() > MAX_GRANTS {
            self.grants.pop_front();
        }
        Some(grant)
    }

    pub fn by_access_token(&self, text: &str) -> Option<&Grant> {
        self.grants.iter().rev().find(|grant| grant.access_token == text)
    }

    pub fn by_refresh_token(&mut self, client_key: &str, text: &str) -> Option<&mut Grant> {
        let mut all = self.grants.iter_mut().rev();
        all.find(|grant| grant.refresh_token == text && grant.client_key == client_key && !grant.ended)
    }

    /// Ends all that the person allowed; the latest scopes, or `None` if nothing was in force.
    pub fn withdraw(&mut self, client_key: &str, open_id: &str) -> Option<Vec<String>> {
        let all = self.grants.iter_mut();
        let own = all.filter(|grant| grant.client_key == client_key && grant.open_id == open_id && !grant.ended);
        own.fold(None, |_, grant| {
            grant.ended = true;
            Some(grant.scopes.clone())
        })
    }

    /// Ends the access tokens (or the refresh tokens too) of an app's users, as time would; how many were good.
    pub fn expire(&mut self, client_key: &str, refresh_too: bool, now: Millis) -> usize {
        let own = self.grants.iter_mut().filter(|grant| grant.client_key == client_key && !grant.ended);
        let good = own.filter(|grant| grant.access_expires_at > now || (refresh_too && grant.refresh_expires_at > now));
        good.map(|grant| {
            grant.access_expires_at = grant.access_expires_at.min(now);
            if refresh_too {
                grant.refresh_expires_at = grant.refresh_expires_at.min(now);
            }
        })
        .count()
    }

    /// The latest first.
    pub fn all(&self) -> impl Iterator<Item = &Grant> {
        self.grants.iter().rev()
    }
}

impl Grant {
    /// A good access token is prolonged, one that has ended is replaced.
    pub fn refresh(&mut self, now: Millis) {
        if self.access_expires_at <= now {
            self.access_token = format!("act.{}", token(60));
        }
        self.access_expires_at = now + ACCESS_SECONDS * 1000;
    }

    /// A new refresh token; the old one is dead.
    pub fn renew(&mut self, now: Millis) {
        self.refresh_token = format!("rft.{}", token(60));
        self.refresh_expires_at = now + REFRESH_SECONDS * 1000;
        self.renewals += 1;
    }
}

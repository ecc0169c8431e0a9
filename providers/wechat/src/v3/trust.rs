//! The ring of WeChat's keys: a public key, platform certificates, or both side by side. A key is
//! chosen by the serial that a message names, never as "the newest"; one that has expired is not
//! chosen at all. Certificates are fetched when they are due and when an unknown serial turns up, for
//! either reason at most once a minute, and kept on the shelf for the other instances.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use dukou_domain::Timestamp;
use dukou_spi::{ErrorKind, Kept, ProviderError, Reason, RsaPublicKey, TrustKey, TrustShelf};
use tokio::sync::Mutex;

use super::certificates::{Answer, Disbelief, PlatformKey};
use super::cipher::ApiV3Key;
use super::config::{PUBLIC_KEY_PREFIX, Platform};

/// Between two tries to fetch, whoever asks for them.
const RATE: Duration = Duration::from_secs(60);
/// The list is looked at this often at least. A new certificate stands in it about ten days before
/// the old one ends.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// And more often towards the end of the last certificate: whenever so much of its rest has passed.
const SHARE_OF_REST: u32 = 4;

/// Fetches the list of certificates.
#[async_trait]
pub trait Fetch: Send + Sync {
    /// # Errors
    /// What kept it from being fetched.
    async fn certificates(&self) -> Result<Answer, ProviderError>;
}

pub struct Trust {
    /// What the shelf calls this merchant's certificates.
    account: String,
    api_v3_key: ApiV3Key,
    public_key: Option<Arc<PlatformKey>>,
    certificates: bool,
    shelf: Arc<dyn TrustShelf>,
    ring: RwLock<Arc<Ring>>,
    /// The last try to fetch; whoever holds it fetches, the others wait for what comes of it.
    tried: Mutex<Tried>,
}

#[derive(Default)]
struct Tried {
    at: Option<Timestamp>,
    /// The last time for an unknown serial. Its limit is its own: a certificate that appears just after
    /// the list was looked at by plan is fetched at once.
    for_serial_at: Option<Timestamp>,
    failure: Option<(Reason, String)>,
}

#[derive(Default)]
struct Ring {
    certificates: HashMap<String, Arc<PlatformKey>>,
    fetched_at: Option<Timestamp>,
}

/// Whether `period` has passed. Should the clock have been set back meanwhile, it counts as passed.
fn passed(since: Option<Timestamp>, period: Duration, now: Timestamp) -> bool {
    since.is_none_or(|since| now < since || now.since(since) >= period)
}

impl Trust {
    pub fn new(account: String, api_v3_key: ApiV3Key, platform: Platform, shelf: Arc<dyn TrustShelf>) -> Self {
        let public_key = platform
            .public_key
            .map(|(serial, key)| Arc::new(PlatformKey { serial, key, valid_from: None, expires_at: None }));
        let certificates = platform.certificates;
        let (ring, tried) = (RwLock::default(), Mutex::default());
        Trust { account, api_v3_key, public_key, certificates, shelf, ring, tried }
    }

    pub fn api_v3_key(&self) -> &ApiV3Key {
        &self.api_v3_key
    }

    pub const fn has_certificates(&self) -> bool {
        self.certificates
    }

    /// The keys that are in force, and those that will be.
    pub fn keys(&self, now: Timestamp) -> Vec<TrustKey> {
        let ring = self.ring();
        let unexpired = ring.certificates.values().filter(|key| key.expires_at.is_none_or(|end| now < end));
        self.public_key
            .iter()
            .chain(unexpired)
            .map(|key| TrustKey { serial: key.serial.clone(), expires_at: key.expires_at })
            .collect()
    }

    /// The key that WeChat is asked to sign with, and that fields are encrypted under: the public
    /// key where there is one, else the youngest certificate in force.
    pub fn own(&self, now: Timestamp) -> Option<Arc<PlatformKey>> {
        if let Some(key) = &self.public_key {
            return Some(Arc::clone(key));
        }
        let ring = self.ring();
        let valid = ring.certificates.values().filter(|key| key.is_valid(now));
        valid.max_by_key(|key| key.valid_from).cloned()
    }

    /// The key of that serial, where it is in force.
    pub fn find(&self, serial: &str, now: Timestamp) -> Option<Arc<PlatformKey>> {
        if let Some(key) = self.public_key.as_ref().filter(|key| key.serial == serial) {
            return Some(Arc::clone(key));
        }
        self.ring().certificates.get(serial).filter(|key| key.is_valid(now)).cloned()
    }

    /// As [`Trust::find`]; an unknown serial is looked for on the shelf and at WeChat first, unless that
    /// was done within the last minute.
    pub async fn find_or_fetch(&self, serial: &str, now: Timestamp, fetch: &dyn Fetch) -> Option<Arc<PlatformKey>> {
        let known = self.find(serial, now);
        if known.is_some() || !self.certificates || serial.starts_with(PUBLIC_KEY_PREFIX) {
            return known;
        }
        // A certificate that has expired is known, and no younger one has its number.
        if self.ring().certificates.contains_key(serial) {
            return None;
        }
        let mut tried = self.tried.lock().await;
        let wanted = |trust: &Self| trust.find(serial, now);
        if let Some(key) = wanted(self) {
            return Some(key);
        }
        if passed(tried.for_serial_at, RATE, now) {
            tried.for_serial_at = Some(now);
            self.take_from_shelf().await;
            if wanted(self).is_none()
                && let Err(error) = self.fetch(&mut tried, now, fetch).await
            {
                tracing::warn!(account = self.account, %error, "platform certificates could not be fetched");
            }
        }
        wanted(self)
    }

    /// Fetches certificates that are due.
    ///
    /// # Errors
    /// What kept them from being fetched; within a minute after it, only as long as none is in force.
    pub async fn renew(&self, now: Timestamp, fetch: &dyn Fetch) -> Result<(), ProviderError> {
        if !self.certificates || !self.is_due(now) {
            return Ok(());
        }
        let mut tried = self.tried.lock().await;
        if !passed(tried.at, RATE, now) {
            return match &tried.failure {
                Some((reason, message)) if self.own(now).is_none() => {
                    Err(ProviderError::new(ErrorKind::Unknown, *reason, message))
                }
                _ => Ok(()),
            };
        }
        self.take_from_shelf().await;
        if !self.is_due(now) {
            return Ok(());
        }
        self.fetch(&mut tried, now, fetch).await
    }

    fn is_due(&self, now: Timestamp) -> bool {
        let ring = self.ring();
        let ends = ring.certificates.values().filter(|key| key.is_valid(now)).filter_map(|key| key.expires_at);
        let rest = ends.max().map_or(Duration::ZERO, |end| end.since(now));
        passed(ring.fetched_at, (rest / SHARE_OF_REST).clamp(RATE, LONGEST), now)
    }

    async fn fetch(&self, tried: &mut Tried, now: Timestamp, fetch: &dyn Fetch) -> Result<(), ProviderError> {
        tried.at = Some(now);
        let fetched = fetch.certificates().await.and_then(|answer| self.add(&answer, now).map(|()| answer));
        tried.failure = fetched.as_ref().err().map(|error| (error.reason, error.message.clone()));
        let content = fetched?.to_bytes();
        self.shelf.keep(&self.account, Kept { fetched_at: now, content }).await;
        Ok(())
    }

    /// What is on the shelf is checked as if it had just come: its certificates decrypt under the
    /// merchant's key, or they are not WeChat's.
    async fn take_from_shelf(&self) {
        let Some(kept) = self.shelf.load(&self.account).await else { return };
        if self.ring().fetched_at.is_some_and(|ours| ours >= kept.fetched_at) {
            return;
        }
        let believed = Answer::from_bytes(&kept.content).map(|answer| self.add(&answer, kept.fetched_at));
        if !matches!(believed, Some(Ok(()))) {
            tracing::debug!(account = self.account, "the certificates on the shelf are of another key");
        }
    }

    /// Adds the certificates of an answer to those that are known.
    fn add(&self, answer: &Answer, fetched_at: Timestamp) -> Result<(), ProviderError> {
        let before = self.ring();
        let known = |serial: &str| -> Option<&RsaPublicKey> {
            let public_key = self.public_key.iter().find(|key| key.serial == serial);
            public_key.or_else(|| before.certificates.get(serial)).map(|key| &key.key)
        };
        let listed = answer.believe(&self.api_v3_key, known).map_err(|disbelief| {
            let reason = match disbelief {
                Disbelief::WrongKey => Reason::Configuration,
                Disbelief::Unreadable | Disbelief::NotItself(_) => Reason::Transport,
                Disbelief::BadSignature => Reason::BadSignature,
            };
            ProviderError::new(ErrorKind::Unknown, reason, disbelief.to_string()).with_source(disbelief)
        })?;
        let mut certificates = before.certificates.clone();
        for key in listed {
            if !certificates.contains_key(&key.serial) {
                tracing::info!(account = self.account, serial = key.serial, "a platform certificate was added");
            }
            certificates.insert(key.serial.clone(), Arc::new(key));
        }
        // One that ended is kept for a day, so that it is told from one that nobody knows.
        certificates.retain(|_, key| key.expires_at.is_none_or(|end| fetched_at.since(end) < 2 * LONGEST));
        let ring = Arc::new(Ring { certificates, fetched_at: Some(fetched_at) });
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = ring;
        Ok(())
    }

    fn ring(&self) -> Arc<Ring> {
        Arc::clone(&self.ring.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests;

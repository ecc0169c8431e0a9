//! The ring of WeChat's keys: a public key, platform certificates, or both side by side. A key is
//! chosen by the serial that a message names, never as "the newest"; one that has expired is not
//! chosen at all. Certificates are fetched when they are due and when an unknown serial turns up, for
//! either reason at most once a minute, and kept on the shelf for the other instances.
//!
//! A fetch that failed is made again after 5, 10, 20 and 40 s and then once a minute, by our own calls and
//! by whoever renews, never by messages: a stranger who sends unknown serials while WeChat is away brings
//! about that same series, however many there are.
//!
//! Where WeChat says that there are none, and the public key is here, nothing is missing: they are asked for again as
//! rarely as a list is looked at.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use dukou_domain::Timestamp;
use dukou_spi::{Clock, ErrorKind, Kept, ProviderError, Reason, TrustKey, TrustShelf};
use tokio::sync::Mutex;

use super::certificates::{Answer, Disbelief, PlatformKey};
use super::cipher::ApiV3Key;
use super::config::{PUBLIC_KEY_PREFIX, Platform};

/// Between two fetches for unknown serials, and between two that are due.
const RATE: Duration = Duration::from_secs(60);
/// After a fetch that failed; twice as long after each one more, as far as [`RATE`].
const FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The list is looked at this often at least. A new certificate stands in it about ten days before
/// the old one ends.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// And more often towards the end of the last certificate: whenever so much of its rest has passed.
const SHARE_OF_REST: u32 = 4;

/// What to do where there are none, and the public key is here.
const TAKE_OUT: &str = "the public key is all that is needed: take platform_certificates out of the section";

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
    clock: Arc<dyn Clock>,
    ring: RwLock<Arc<Ring>>,
    /// The last try to fetch; whoever holds it fetches, the others wait for what comes of it.
    tried: Mutex<Tried>,
    /// When a message's unknown serial was last told of.
    told_at: std::sync::Mutex<Option<Timestamp>>,
}

#[derive(Default)]
struct Tried {
    /// When it began, or where it failed, ended.
    at: Option<Timestamp>,
    /// The last time for an unknown serial. Its limit is its own: a certificate that appears just after
    /// the list was looked at by plan is fetched at once.
    for_serial_at: Option<Timestamp>,
    /// How many failed since one succeeded, and how the last did.
    failures: u32,
    failure: Option<Failure>,
    /// The last answer was that there are none, and the public key makes up for them.
    none_any_more: bool,
}

struct Failure {
    reason: Reason,
    code: Option<String>,
    message: String,
}

impl Tried {
    /// Whether it is too early for another try.
    fn rests(&self, now: Timestamp) -> bool {
        let pause = match self.failures {
            _ if self.none_any_more => LONGEST,
            0 => RATE,
            failures => FIRST_PAUSE.saturating_mul(1 << (failures - 1).min(8)).min(RATE),
        };
        !passed(self.at, pause, now)
    }

    fn succeeded(&mut self) {
        (self.failures, self.failure, self.none_any_more) = (0, None, false);
    }
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
    pub fn new(
        account: String,
        api_v3_key: ApiV3Key,
        platform: Platform,
        shelf: Arc<dyn TrustShelf>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let public_key = platform
            .public_key
            .map(|(serial, key)| Arc::new(PlatformKey { serial, key, valid_from: None, expires_at: None }));
        let certificates = platform.certificates;
        let (ring, tried, told_at) = (RwLock::default(), Mutex::default(), std::sync::Mutex::default());
        Trust { account, api_v3_key, public_key, certificates, shelf, clock, ring, tried, told_at }
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
    /// was done within the last minute, or WeChat did not answer and is to be left alone.
    pub async fn find_or_fetch(&self, serial: &str, fetch: &dyn Fetch) -> Option<Arc<PlatformKey>> {
        let wanted = || self.find(serial, self.clock.now());
        let known = wanted();
        if known.is_some() || !self.certificates || serial.starts_with(PUBLIC_KEY_PREFIX) {
            return known;
        }
        // A certificate that has expired is known, and no younger one has its number.
        if self.ring().certificates.contains_key(serial) {
            return None;
        }
        let mut tried = self.tried.lock().await;
        if let Some(key) = wanted() {
            return Some(key);
        }
        // Only now: it may have been a long wait for the one who fetched.
        let now = self.clock.now();
        if passed(tried.for_serial_at, RATE, now) && (tried.failures == 0 || !tried.rests(now)) {
            tried.for_serial_at = Some(now);
            self.take_from_shelf().await;
            if wanted().is_none()
                && let Err(error) = self.fetch(&mut tried, now, fetch).await
            {
                tracing::warn!(account = self.account, %error, "platform certificates could not be fetched");
            }
        }
        wanted()
    }

    /// What of the set-up would bring the key of a serial that is not here, if it is WeChat's.
    pub fn setting_for(&self, serial: &str) -> &'static str {
        let is_certificate = serial.len() == 40 && serial.bytes().all(|byte| byte.is_ascii_hexdigit());
        if serial.starts_with(PUBLIC_KEY_PREFIX) {
            return match &self.public_key {
                Some(_) => "compare platform_public_key_id and platform_public_key with the merchant platform",
                None => "if it is WeChat Pay's, set platform_public_key and platform_public_key_id",
            };
        }
        match (is_certificate, self.certificates) {
            (true, false) => {
                "if WeChat Pay still moves the merchant to its public key, set platform_certificates = true until it has"
            }
            (true, true) => "WeChat Pay lists no such certificate for the merchant, or it has ended",
            (false, _) => "it is no serial of WeChat Pay's",
        }
    }

    /// Whether a serial that is not here was told of within the last minute; if not, this one is.
    pub fn told(&self) -> bool {
        let now = self.clock.now();
        let mut told_at = self.told_at.lock().unwrap_or_else(PoisonError::into_inner);
        if passed(*told_at, RATE, now) {
            *told_at = Some(now);
            return false;
        }
        true
    }

    /// Fetches certificates that are due, or that could not be fetched a while ago.
    ///
    /// # Errors
    /// What kept them from being fetched; while WeChat is left alone after it, only as long as none is in
    /// force. That there are none beside the public key is told once.
    pub async fn renew(&self, fetch: &dyn Fetch) -> Result<(), ProviderError> {
        if !self.certificates {
            return Ok(());
        }
        let mut tried = self.tried.lock().await;
        let now = self.clock.now();
        if tried.failures == 0 && !self.is_due(now) {
            return Ok(());
        }
        if tried.rests(now) {
            return match &tried.failure {
                Some(Failure { reason, code, message }) if self.own(now).is_none() => Err(ProviderError {
                    code: code.clone(),
                    ..ProviderError::new(ErrorKind::Unknown, *reason, message)
                }),
                _ => Ok(()),
            };
        }
        self.take_from_shelf().await;
        // Another instance may have fetched since.
        let young = self.ring().fetched_at.is_some_and(|fetched| tried.at.is_none_or(|at| at < fetched));
        if young && !self.is_due(now) {
            tried.succeeded();
            return Ok(());
        }
        self.fetch(&mut tried, now, fetch).await
    }

    /// As [`Trust::renew`], for who asks again and again: a failure is told once, not as long as WeChat is
    /// left alone after it.
    pub async fn keep_young(&self, fetch: &dyn Fetch) -> Result<(), ProviderError> {
        if self.tried.lock().await.rests(self.clock.now()) {
            return Ok(());
        }
        self.renew(fetch).await
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
        match fetched {
            Ok(answer) => {
                tried.succeeded();
                self.shelf.keep(&self.account, Kept { fetched_at: now, content: answer.to_bytes() }).await;
                Ok(())
            }
            Err(mut error) => {
                // A time-out is longer than the pause.
                tried.at = Some(self.clock.now());
                tried.failures = tried.failures.saturating_add(1);
                let was_told = tried.none_any_more;
                tried.none_any_more = error.reason == Reason::NotFound && self.public_key.is_some();
                if tried.none_any_more {
                    if was_told {
                        return Ok(());
                    }
                    error.message = format!("{}; {TAKE_OUT}", error.message);
                }
                let (reason, code, message) = (error.reason, error.code.clone(), error.message.clone());
                tried.failure = Some(Failure { reason, code, message });
                Err(error)
            }
        }
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
        let known = |serial: &str| -> Option<&PlatformKey> {
            let public_key = self.public_key.iter().find(|key| key.serial == serial);
            public_key.or_else(|| before.certificates.get(serial)).map(|key| &**key)
        };
        let listed = answer.believe(&self.api_v3_key, fetched_at, known).map_err(|disbelief| {
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

//! The ring of WeChat's keys: a public key, platform certificates, or both side by side. A key is
//! chosen by the serial that a message names, never as "the newest"; one that has expired is not
//! chosen at all. Certificates are fetched when they are due and when an unknown serial turns up, for
//! either reason at most once a minute, and kept on the shelf for the other instances. The providers of
//! one account in one process do so together: one fetches, the others find its list on the shelf and check it
//! under their own keys.
//!
//! A fetch that failed is made again after 5, 10, 20 and 40 s and then once a minute, by our own calls and
//! by whoever renews, never by messages: a stranger who sends unknown serials while WeChat is away brings
//! about that same series, however many there are.
//!
//! Where WeChat says that there are none, and the public key is here, nothing is missing: they are asked for again as
//! rarely as a list is looked at, and for a message that names one, since a move to the public key can be taken back.

mod tries;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use dukou_domain::Timestamp;
use dukou_spi::{Clock, ErrorKind, Kept, ProviderError, Reason, TrustKey, TrustShelf};
use tokio::sync::Mutex;

use self::tries::{Fetcher, LONGEST, RATE, Tried, Turn, passed};
use super::certificates::{Answer, Disbelief, PlatformKey};
use super::cipher::ApiV3Key;
use super::config::{PUBLIC_KEY_PREFIX, Platform};

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
    /// What this provider tried; taken before the account's turn.
    tried: Mutex<Tried>,
    /// Shared with the other providers of the account.
    turn: Arc<Mutex<Turn>>,
    /// This one among them.
    fetcher: Arc<Fetcher>,
    /// When a message's unknown serial was last told of.
    told_at: std::sync::Mutex<Option<Timestamp>>,
}

#[derive(Default)]
struct Ring {
    certificates: HashMap<String, Arc<PlatformKey>>,
    fetched_at: Option<Timestamp>,
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
        let turn = shelf.common(&account, Arc::new(Mutex::<Turn>::default())).downcast().unwrap_or_default();
        let (ring, tried, told_at) = (RwLock::default(), Mutex::default(), std::sync::Mutex::default());
        Trust {
            account,
            api_v3_key,
            public_key,
            certificates,
            shelf,
            clock,
            ring,
            tried,
            turn,
            fetcher: Arc::default(),
            told_at,
        }
    }

    pub fn api_v3_key(&self) -> &ApiV3Key {
        &self.api_v3_key
    }

    pub const fn has_certificates(&self) -> bool {
        self.certificates
    }

    /// The keys that are in force, and those that will be. Where none is in force, the last one that was too: that it
    /// ended is what somebody has to see to. After a rotation it is of no interest any more.
    pub fn keys(&self, now: Timestamp) -> Vec<TrustKey> {
        let ring = self.ring();
        let (ended, unexpired): (Vec<_>, Vec<_>) = ring.certificates.values().partition(|key| key.has_ended(now));
        let last = ended.into_iter().max_by_key(|key| key.expires_at).filter(|_| self.own(now).is_none());
        self.public_key
            .iter()
            .chain(unexpired)
            .chain(last)
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
    /// was done for the account within the last minute, or WeChat did not answer and is to be left alone.
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
        let mut turn = self.turn.lock().await;
        // Only now: it may have been a long wait for the one who fetched.
        let now = self.clock.now();
        if tried.looks(&turn, now) {
            turn.heard(self.take_from_shelf().await, now);
        }
        if wanted().is_none()
            && tried.takes(&turn, now)
            && let Err(error) = self.fetch(&mut tried, &mut turn, true, fetch).await
        {
            tracing::warn!(account = self.account, %error, "platform certificates could not be fetched");
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
            (true, true) => {
                "WeChat Pay lists no such certificate for the merchant, as far as the list could be fetched, or it has ended"
            }
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
                Some(failure) if self.own(now).is_none() => Err(failure.error()),
                _ => Ok(()),
            };
        }
        let mut turn = self.turn.lock().await;
        // Only now: it may have been a long wait for the one who fetched.
        let now = self.clock.now();
        turn.heard(self.take_from_shelf().await, now);
        // Another provider or instance may have fetched since.
        let young = self.ring().fetched_at.is_some_and(|fetched| tried.at.is_none_or(|at| at < fetched));
        if young && !self.is_due(now) {
            tried.succeeded();
            return Ok(());
        }
        self.fetch(&mut tried, &mut turn, false, fetch).await
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

    async fn fetch(
        &self,
        tried: &mut Tried,
        turn: &mut Turn,
        for_serial: bool,
        fetch: &dyn Fetch,
    ) -> Result<(), ProviderError> {
        let now = self.clock.now();
        if let Some((at, error)) = tried.follows(turn, for_serial, now) {
            return self.failed(tried, at, error);
        }
        tried.at = Some(now);
        let before = turn.begins(for_serial, now);
        match fetch.certificates().await.and_then(|answer| self.add(&answer, now).map(|()| answer)) {
            Ok(mut answer) => {
                tried.succeeded();
                turn.succeeded(now);
                answer.for_serial = for_serial;
                self.shelf.keep(&self.account, Kept { fetched_at: now, content: answer.to_bytes() }).await;
                Ok(())
            }
            Err(error) => {
                // A time-out is longer than the pause.
                let at = self.clock.now();
                turn.failed(at, &self.fetcher, &error, before);
                self.failed(tried, at, error)
            }
        }
    }

    /// A fetch failed, this provider's or another's that it waited for. That there are none any more is told once.
    fn failed(&self, tried: &mut Tried, at: Timestamp, mut error: ProviderError) -> Result<(), ProviderError> {
        if error.reason == Reason::NotFound && self.public_key.is_some() {
            error.message = format!("{}; {TAKE_OUT}", error.message);
            return if tried.found_none(at) { Err(error) } else { Ok(()) };
        }
        tried.failed(at, &error);
        Err(error)
    }

    /// What is on the shelf is checked as if it had just come: its certificates decrypt under the
    /// merchant's key, or they are not WeChat's. Says when the list was fetched, if that was for an unknown serial.
    async fn take_from_shelf(&self) -> Option<Timestamp> {
        let kept = self.shelf.load(&self.account).await?;
        let is_known = self.ring().fetched_at.is_some_and(|ours| ours >= kept.fetched_at);
        let answer = Answer::from_bytes(&kept.content);
        let believed = answer.filter(|answer| is_known || self.add(answer, kept.fetched_at).is_ok());
        if believed.is_none() {
            tracing::debug!(account = self.account, "the certificates on the shelf are of another key");
        }
        believed.filter(|answer| answer.for_serial).map(|_| kept.fetched_at)
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
        // One that ended is kept for a day, so that it is told from one that nobody knows. Where nothing succeeds it, it
        // is kept as long as that lasts: without a public key, what is added is signed by one in force.
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
mod account_tests;
#[cfg(test)]
mod ending_tests;
#[cfg(test)]
mod tests;

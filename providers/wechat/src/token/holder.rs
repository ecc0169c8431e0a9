//! Holds the token: from memory for a moment, from the record that all instances share, or from WeChat,
//! in this order. A lock keeps others from asking meanwhile; that there is one call, and that a late
//! answer changes nothing, is the record's doing: it is written before and after a call, each time only
//! where it is still as it was read.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::digest;
use dukou_domain::{Secret, Timestamp};
use dukou_spi::plugin::{Batch, Document, DocumentError};
use dukou_spi::transport::Transport;
use dukou_spi::{
    AccessToken, AccessTokenError, AccessTokens, Clock, Context, ErrorKind, ProviderError, Random, Reason, SharedState,
    TokenOutcome, TokenStatus,
};
use tokio::sync::Mutex;

use super::call::{self, App, Lent};
use super::record::{Held, Known, Lease, Record};
use super::rules::{self, Next, Repair};
use crate::account::Account;

const COLLECTION: &str = "access-tokens";
/// What is known is looked at again after so long: another instance may have another token by then.
const CACHED: Duration = Duration::from_secs(60);
/// A token that nobody asked for so long is not renewed any more. As long as one lives.
const USED: Duration = Duration::from_secs(2 * 60 * 60);
/// A lease outlasts the calls it is for by this.
const LEASE_MARGIN: Duration = Duration::from_secs(2);
/// A repair makes so many calls at most.
const REPAIR_CALLS: u32 = 3;
/// Between two looks at what another instance asks for.
const LOOK: Duration = Duration::from_millis(100);
/// So often the record may change under our hands before we give up.
const ROUNDS: u32 = 8;

/// The token of one app, as one provider has it.
pub struct TokenHolder {
    app_id: String,
    app_secret: Secret,
    platform_url: String,
    /// Names the record. Made with the secret: who does not know it finds nothing.
    account: String,
    is_shared: bool,
    /// How long one call may take.
    patience: Duration,
    transport: Arc<dyn Transport>,
    state: Arc<dyn SharedState>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    known: RwLock<Option<Known>>,
    seen: RwLock<TokenStatus>,
    /// Held by whoever looks further than into memory.
    looking: Mutex<()>,
    /// When somebody last asked, in milliseconds since 1970.
    used_at: AtomicI64,
    counts: [AtomicU64; TokenOutcome::ALL.len()],
}

/// The record as it was read, and what follows from it.
struct Step {
    record: Record,
    version: i64,
    known: Option<Known>,
    now: Timestamp,
}

impl Step {
    fn knows(&self, token: &Secret) -> bool {
        self.known.as_ref().is_some_and(|known| known.is(token))
    }
}

impl TokenHolder {
    /// `None` without the app's secret. `app_id` is the app whose secret it is.
    pub fn new(account: &Account, app_id: &str, transport: Arc<dyn Transport>, context: &Context) -> Option<Self> {
        let app_secret = account.app_secret.clone()?;
        Some(TokenHolder {
            account: name(&account.platform_url, app_id, &app_secret),
            app_id: app_id.to_owned(),
            app_secret,
            platform_url: account.platform_url.clone(),
            is_shared: account.share_access_token,
            patience: account.timeout,
            transport,
            state: Arc::clone(&context.shared),
            clock: Arc::clone(&context.clock),
            random: Arc::clone(&context.random),
            known: RwLock::default(),
            seen: RwLock::default(),
            looking: Mutex::default(),
            used_at: AtomicI64::new(i64::MIN),
            counts: Default::default(),
        })
    }

    /// Whether WeChat takes the token, by a question that changes nothing.
    ///
    /// # Errors
    /// When the answer does not tell.
    pub async fn is_accepted(&self, token: &Secret) -> Result<bool, ProviderError> {
        call::is_accepted(&*self.transport, &self.platform_url, token).await
    }

    /// From memory where that is fresh; otherwise one at a time looks further.
    async fn have(&self, stale: Option<&Secret>) -> Result<Known, AccessTokenError> {
        let usable = |known: &Known| stale.is_none_or(|stale| !known.is(stale));
        let fresh = || self.known().filter(|known| known.is_fresh(self.clock.now(), CACHED) && usable(known));
        let valid = || self.known().filter(|known| self.clock.now() < known.expires_at && usable(known));
        if let Some(known) = fresh() {
            return Ok(known);
        }
        let _looking = match self.looking.try_lock() {
            Ok(looking) => looking,
            // Somebody looks for a younger one; nobody waits for it who has a good one.
            Err(_) => match valid() {
                Some(known) => return Ok(known),
                None => self.looking.lock().await,
            },
        };
        if let Some(known) = fresh() {
            return Ok(known);
        }
        let found = match valid() {
            // It waits for nobody: the record alone tells whether somebody is asking.
            Some(_) => self.find(stale).await,
            None => {
                let held = self.state.lock(&format!("{COLLECTION}/{}", self.account)).await;
                let found = self.find(stale).await;
                self.state.unlock(held).await;
                found
            }
        };
        match (found, valid()) {
            (Err(AccessTokenError::Shared(error)), Some(known)) => {
                tracing::warn!(
                    app_id = self.app_id, %error,
                    "the record of the access token is away; the one that is known still serves"
                );
                Ok(known)
            }
            (found, _) => found,
        }
    }

    /// From the record, or from WeChat; never `stale`, unless WeChat itself takes it.
    async fn find(&self, stale: Option<&Secret>) -> Result<Known, AccessTokenError> {
        let mut looks = self.lease(REPAIR_CALLS).as_millis() / LOOK.as_millis();
        let mut rounds = ROUNDS;
        while rounds > 0 && looks > 0 {
            let step = self.read().await?;
            if let Some(stale) = stale.filter(|stale| step.knows(stale)) {
                match rules::repair(&step.record, step.now) {
                    Repair::TooEarly(rest) => return Err(too_early(rest).into()),
                    Repair::Refuse(failure) => return Err(rules::told_again(&failure).into()),
                    Repair::Wait => {}
                    Repair::Look => {
                        rounds -= 1;
                        match self.look_into(step, stale).await? {
                            Some(known) => return Ok(known),
                            None => continue,
                        }
                    }
                }
            } else {
                match rules::next(&step.record, step.now) {
                    Next::Use => {
                        self.remember(step.known.as_ref(), &step.record);
                        if let Some(known) = step.known {
                            return Ok(known);
                        }
                        rounds -= 1;
                    }
                    Next::Refuse(failure) => {
                        self.remember(None, &step.record);
                        return Err(rules::told_again(&failure).into());
                    }
                    Next::Wait => {}
                    Next::Ask => {
                        rounds -= 1;
                        match self.ask(step).await? {
                            Some(known) if stale.is_none_or(|stale| !known.is(stale)) => return Ok(known),
                            _ => continue,
                        }
                    }
                }
            }
            looks -= 1;
            tokio::time::sleep(LOOK).await;
        }
        let message = "other instances are asking for the access token, and none of them has one yet";
        Err(ProviderError::new(ErrorKind::NotSent, Reason::Platform, message).into())
    }

    /// Asks WeChat. `None` when the record changed meanwhile: look again.
    async fn ask(&self, mut step: Step) -> Result<Option<Known>, AccessTokenError> {
        if !self.begin(&mut step, 1).await? {
            return Ok(None);
        }
        let answer = self.call(false).await;
        let fallback = step.known.clone().filter(|known| step.now < known.expires_at);
        self.end(step, answer, false, fallback).await
    }

    /// Looks into a token that was not accepted (protocol section 2.4). `None` as in [`Self::ask`].
    async fn look_into(&self, mut step: Step, stale: &Secret) -> Result<Option<Known>, AccessTokenError> {
        step.record.repaired_at = Some(step.now.into());
        if !self.begin(&mut step, REPAIR_CALLS).await? {
            return Ok(None);
        }
        let answer = self.call(false).await;
        if !answer.as_ref().is_ok_and(|lent| lent.value.matches(stale.expose().as_bytes())) {
            return self.end(step, answer, false, None).await;
        }
        // The same once more: whoever called it refused may be wrong, so WeChat itself is asked.
        match self.is_accepted(stale).await {
            Ok(true) => {
                tracing::warn!(app_id = self.app_id, "an access token was called refused that wechat takes");
                self.end(step, answer, false, None).await
            }
            Ok(false) => self.force(step, stale).await,
            Err(error) => {
                tracing::warn!(app_id = self.app_id, %error, "wechat does not say whether it takes the access token");
                self.give_up(step).await;
                Err(error.into())
            }
        }
    }

    async fn force(&self, mut step: Step, stale: &Secret) -> Result<Option<Known>, AccessTokenError> {
        step.now = self.clock.now();
        let Some(forced) = rules::force(step.record.forced, step.now) else {
            self.give_up(step).await;
            let message = format!(
                "wechat gives a token that it refuses, and was made to give another just now, or {} times today",
                rules::FORCED_A_DAY
            );
            return Err(ProviderError::new(ErrorKind::NotSent, Reason::RateLimited, message).into());
        };
        // Counted before the call: one that breaks off counts as well.
        step.record.forced = forced;
        if !self.begin(&mut step, 1).await? {
            return Ok(None);
        }
        tracing::warn!(
            app_id = self.app_id,
            today = forced.count,
            "an access token that wechat refuses is ended by force"
        );
        let answer = self.call(true).await;
        if answer.as_ref().is_ok_and(|lent| lent.value.matches(stale.expose().as_bytes())) {
            self.add(TokenOutcome::Failed);
            self.give_up(step).await;
            let message = "wechat still gives a token that it refuses; does other software refresh it by force?";
            return Err(ProviderError::new(ErrorKind::NotSent, Reason::Platform, message).into());
        }
        self.end(step, answer, true, None).await
    }

    async fn call(&self, force: bool) -> Result<Lent, ProviderError> {
        let app = App { platform_url: &self.platform_url, app_id: &self.app_id, app_secret: &self.app_secret };
        call::stable_token(&*self.transport, &app, force).await
    }

    /// Enters that we ask. Not, when the record changed since it was read.
    async fn begin(&self, step: &mut Step, calls: u32) -> Result<bool, DocumentError> {
        step.record.app_id.clone_from(&self.app_id);
        step.record.asked_at = Some(step.now.into());
        let until = step.now.plus(self.lease(calls)).into();
        step.record.lease = Some(Lease { by: self.state.instance().to_owned(), since: step.now.into(), until });
        self.save(step).await
    }

    /// Enters what came of it; only what stands in the record then is used.
    async fn end(
        &self,
        mut step: Step,
        answer: Result<Lent, ProviderError>,
        forced: bool,
        fallback: Option<Known>,
    ) -> Result<Option<Known>, AccessTokenError> {
        let asked_at = step.now;
        step.now = self.clock.now();
        step.record.lease = None;
        let (outcome, result) = match answer {
            Ok(lent) => self.enter(&mut step, lent, asked_at, forced).await?,
            Err(error) => (self.enter_failure(&mut step, &error), Err(error)),
        };
        match self.save(&mut step).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(
                    app_id = self.app_id,
                    "an answer about the access token came too late: another instance was faster"
                );
                self.add(TokenOutcome::Superseded);
                return Ok(None);
            }
            // What WeChat lent is as good for now; the others will be given the same.
            Err(error) => {
                tracing::warn!(app_id = self.app_id, %error, "an access token could not be kept for others");
            }
        }
        self.add(outcome);
        self.remember(result.as_ref().ok(), &step.record);
        match (result, fallback) {
            (Ok(known), _) => Ok(Some(known)),
            // What is still valid serves for as long as it is.
            (Err(_), Some(known)) => Ok(Some(known)),
            (Err(error), None) => Err(error.into()),
        }
    }

    async fn enter(
        &self,
        step: &mut Step,
        lent: Lent,
        asked_at: Timestamp,
        forced: bool,
    ) -> Result<(TokenOutcome, Result<Known, ProviderError>), DocumentError> {
        let outcome = match (forced, step.knows(&lent.value)) {
            (true, _) => TokenOutcome::Forced,
            (false, true) => TokenOutcome::Same,
            (false, false) => TokenOutcome::New,
        };
        if outcome != TokenOutcome::Same {
            step.record.version += 1;
        }
        let held = Held {
            sealed: self.state.documents().seal(&self.label(), &lent.value).await?,
            // Counted from before it was asked for.
            fetched_at: asked_at.into(),
            refresh_at: rules::refresh_at(asked_at, lent.lasts, self.random()).into(),
            expires_at: asked_at.plus(lent.lasts).into(),
            by: self.state.instance().to_owned(),
        };
        let known = Known::of(&held, lent.value, step.now);
        step.record.token = Some(held);
        step.record.failure = None;
        Ok((outcome, Ok(known)))
    }

    fn enter_failure(&self, step: &mut Step, error: &ProviderError) -> TokenOutcome {
        let failure = rules::failure(error, step.record.failure.as_ref(), step.now, self.random());
        tracing::warn!(
            app_id = self.app_id,
            %error,
            needs_person = failure.needs_person,
            next_try_s = Timestamp::from(failure.next_try_at).since(step.now).as_secs(),
            "wechat gave no access token"
        );
        let outcome = if failure.needs_person { TokenOutcome::Refused } else { TokenOutcome::Failed };
        step.record.failure = Some(failure);
        outcome
    }

    /// Lets others ask, with nothing learned.
    async fn give_up(&self, mut step: Step) {
        step.record.lease = None;
        if let Err(error) = self.save(&mut step).await {
            tracing::debug!(app_id = self.app_id, %error, "the lease of the access token ends by itself");
        }
        self.remember(None, &step.record);
    }

    async fn read(&self) -> Result<Step, DocumentError> {
        let (mut record, version) = self.load().await?;
        let now = self.clock.now();
        let known = match &record.token {
            None => None,
            Some(held) => match self.state.documents().open(&self.label(), &held.sealed).await {
                Ok(value) => Some(Known::of(held, value, now)),
                Err(error @ DocumentError::Unavailable(_)) => return Err(error),
                Err(error) => {
                    tracing::warn!(app_id = self.app_id, %error, "the access token that is kept cannot be read");
                    None
                }
            },
        };
        if known.is_none() {
            record.token = None;
        }
        Ok(Step { record, version, known, now })
    }

    async fn load(&self) -> Result<(Record, i64), DocumentError> {
        let Some(document) = self.state.documents().get(COLLECTION, &self.account).await? else {
            return Ok((Record::default(), 0));
        };
        let record = serde_json::from_value(document.value).unwrap_or_else(|error| {
            tracing::warn!(app_id = self.app_id, %error, "the record of the access token is made anew");
            Record::default()
        });
        Ok((record, document.version))
    }

    /// Whether it was written: not where the record is another than the one that was read.
    async fn save(&self, step: &mut Step) -> Result<bool, DocumentError> {
        let value = serde_json::to_value(&step.record).map_err(|error| DocumentError::Refused(error.to_string()))?;
        let document = Document { version: step.version, ..Document::new(COLLECTION, self.account.as_str(), value) };
        match self.state.documents().write(Batch::default().put(document)).await {
            Ok(()) => {
                step.version += 1;
                Ok(true)
            }
            Err(DocumentError::Conflict(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn label(&self) -> String {
        format!("access-token/{}", self.account)
    }

    fn lease(&self, calls: u32) -> Duration {
        self.patience * calls + LEASE_MARGIN
    }

    fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        self.random.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    fn add(&self, outcome: TokenOutcome) {
        self.counts[outcome as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn known(&self) -> Option<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn remember(&self, known: Option<&Known>, record: &Record) {
        if let Some(known) = known {
            *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some(known.clone());
        }
        let status = record.status(rules::beijing_day(self.clock.now()));
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = status;
    }

    fn is_used(&self) -> bool {
        let used_at = Timestamp::from_millis(self.used_at.load(Ordering::Relaxed));
        self.is_shared || self.clock.now() < used_at.plus(USED)
    }

    fn use_now(&self) {
        self.used_at.store(self.clock.now().as_millis(), Ordering::Relaxed);
    }
}

#[async_trait]
impl AccessTokens for TokenHolder {
    fn app_id(&self) -> &str {
        &self.app_id
    }

    fn account(&self) -> &str {
        &self.account
    }

    fn is_shared(&self) -> bool {
        self.is_shared
    }

    async fn get(&self) -> Result<AccessToken, AccessTokenError> {
        self.use_now();
        Ok(self.have(None).await?.into())
    }

    async fn replace(&self, stale: &Secret) -> Result<AccessToken, AccessTokenError> {
        self.use_now();
        Ok(self.have(Some(stale)).await?.into())
    }

    async fn renew(&self) {
        if self.is_used()
            && let Err(error) = self.have(None).await
        {
            tracing::debug!(app_id = self.app_id, %error, "there is no access token now");
        }
    }

    async fn status(&self) -> Result<TokenStatus, DocumentError> {
        let (record, _) = self.load().await?;
        Ok(record.status(rules::beijing_day(self.clock.now())))
    }

    fn last_seen(&self) -> Option<TokenStatus> {
        self.is_used().then(|| self.seen.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn count(&self, outcome: TokenOutcome) -> u64 {
        self.counts[outcome as usize].load(Ordering::Relaxed)
    }
}

impl From<Known> for AccessToken {
    fn from(known: Known) -> Self {
        AccessToken { value: known.value, expires_at: known.expires_at }
    }
}

fn too_early(rest: Duration) -> ProviderError {
    let rest = rest.as_secs().max(1);
    let message = format!("this access token was looked into less than a minute ago; ask again in {rest} s");
    ProviderError::new(ErrorKind::NotSent, Reason::RateLimited, message)
}

/// SHA-256 over where the app is, which it is, and its secret, in hexadecimal.
fn name(platform_url: &str, app_id: &str, app_secret: &Secret) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [platform_url, app_id, app_secret.expose()] {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    hex::encode(context.finish())
}

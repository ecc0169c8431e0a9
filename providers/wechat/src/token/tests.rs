//! Holders over one record, and a WeChat that counts.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use dukou_domain::{Secret, Timestamp};
use dukou_spi::plugin::{Batch, Document, DocumentError, Documents, Held};
use dukou_spi::transport::{HttpAnswer, HttpRequest, Transport, TransportError};
use dukou_spi::{
    AccessTokenError, AccessTokens as _, Clock as _, Context, ProcessState, Reason, SharedState, TokenOutcome,
};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::TokenHolder;
use super::code::named_address;
use crate::account::Account;
use crate::v2::testing::{APP_ID, Fixed, NOW};
use crate::v3::testing::{SetClock, World};

/// WeChat's side of the calls: stable, by the rules that count for us.
struct Wechat {
    clock: Arc<SetClock>,
    inner: Mutex<Inner>,
    /// Calls of `stable_token`, those by force among them, and of the harmless question.
    asked: AtomicU32,
    forced: AtomicU32,
    tried: AtomicU32,
    /// Every call for a token waits for a permit, where there is a gate.
    gate: Mutex<Option<Arc<Semaphore>>>,
}

#[derive(Default)]
struct Inner {
    serial: u32,
    ends_at: i64,
    /// The one that stands is refused by everything else.
    refuses: bool,
    answers: VecDeque<Value>,
}

impl Wechat {
    fn new(clock: &Arc<SetClock>) -> Arc<Self> {
        Arc::new(Wechat {
            clock: Arc::clone(clock),
            inner: Mutex::default(),
            asked: AtomicU32::new(0),
            forced: AtomicU32::new(0),
            tried: AtomicU32::new(0),
            gate: Mutex::default(),
        })
    }

    /// What the next calls for a token are answered with instead.
    fn answer(&self, answers: impl IntoIterator<Item = Value>) {
        self.inner.lock().unwrap().answers.extend(answers);
    }

    fn refuse(&self) {
        self.inner.lock().unwrap().refuses = true;
    }

    fn close_gate(&self) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        *self.gate.lock().unwrap() = Some(Arc::clone(&gate));
        gate
    }

    fn asked(&self) -> u32 {
        self.asked.load(Ordering::SeqCst)
    }

    fn lend(&self, force: bool) -> Value {
        let now = self.clock.now().as_seconds();
        let mut inner = self.inner.lock().unwrap();
        if let Some(answer) = inner.answers.pop_front() {
            return answer;
        }
        if force || inner.ends_at - now < 300 {
            *inner = Inner { serial: inner.serial + 1, ends_at: now + 7200, ..Inner::default() };
        }
        json!({ "access_token": format!("token-{}", inner.serial), "expires_in": inner.ends_at - now })
    }
}

#[async_trait]
impl Transport for Wechat {
    async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, TransportError> {
        let answer = if request.url.ends_with("/cgi-bin/stable_token") {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let gate = self.gate.lock().unwrap().clone();
            if let Some(gate) = gate {
                gate.acquire().await.unwrap().forget();
            }
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            assert_eq!((&body["grant_type"], &body["appid"]), (&json!("client_credential"), &json!(APP_ID)));
            let force = body["force_refresh"].as_bool().unwrap();
            self.forced.fetch_add(u32::from(force), Ordering::SeqCst);
            self.lend(force)
        } else {
            assert!(request.url.contains("/cgi-bin/get_api_domain_ip?access_token=token%2D"), "another call");
            self.tried.fetch_add(1, Ordering::SeqCst);
            match self.inner.lock().unwrap().refuses {
                true => json!({ "errcode": 40001, "errmsg": "invalid credential" }),
                false => json!({ "ip_list": ["203.0.113.1"] }),
            }
        };
        Ok(HttpAnswer { status: 200, headers: Vec::new(), body: answer.to_string().into() })
    }
}

/// A record that can go away.
#[derive(Default)]
struct Store {
    state: ProcessState,
    away: AtomicBool,
    /// Makes the lock a real one; without it everything must hold all the same.
    locks: AtomicBool,
    one_at_a_time: Arc<tokio::sync::Mutex<()>>,
}

impl Store {
    fn check(&self) -> Result<(), DocumentError> {
        match self.away.load(Ordering::SeqCst) {
            true => Err(DocumentError::Unavailable("away".to_owned())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl SharedState for Store {
    fn documents(&self) -> &dyn Documents {
        self
    }

    async fn lock(&self, name: &str) -> Held {
        match self.locks.load(Ordering::SeqCst) {
            true => Held(Box::new(Arc::clone(&self.one_at_a_time).lock_owned().await)),
            false => self.state.lock(name).await,
        }
    }

    async fn unlock(&self, held: Held) {
        drop(held);
    }

    fn instance(&self) -> &str {
        "test"
    }
}

#[async_trait]
impl Documents for Store {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Document>, DocumentError> {
        self.check()?;
        self.state.documents().get(collection, key).await
    }

    async fn write(&self, batch: Batch) -> Result<(), DocumentError> {
        self.check()?;
        self.state.documents().write(batch).await
    }

    async fn seal(&self, label: &str, secret: &Secret) -> Result<String, DocumentError> {
        self.state.documents().seal(label, secret).await
    }

    async fn open(&self, label: &str, sealed: &str) -> Result<Secret, DocumentError> {
        self.state.documents().open(label, sealed).await
    }
}

struct Shop {
    clock: Arc<SetClock>,
    wechat: Arc<Wechat>,
    store: Arc<Store>,
}

impl Shop {
    fn new() -> Self {
        let clock = Arc::new(SetClock(AtomicI64::new(NOW.as_millis())));
        Shop { wechat: Wechat::new(&clock), store: Arc::default(), clock }
    }

    /// One more provider, tenant or instance.
    fn holder(&self) -> Arc<TokenHolder> {
        self.holder_of("app-secret")
    }

    fn holder_of(&self, secret: &str) -> Arc<TokenHolder> {
        let account = Account {
            app_id: APP_ID.to_owned(),
            mch_id: "1900000109".to_owned(),
            app_secret: Some(Secret::new(secret)),
            share_access_token: false,
            base_url: String::new(),
            backup_url: None,
            platform_url: "https://api.weixin.qq.com".to_owned(),
            extra_root: None,
            timeout: Duration::from_secs(10),
            h5_url: None,
            h5_name: None,
        };
        let context = Context {
            clock: Arc::clone(&self.clock) as _,
            random: Arc::new(Fixed),
            shared: Arc::clone(&self.store) as _,
            ..World::default().context()
        };
        Arc::new(TokenHolder::new(&account, APP_ID, Arc::clone(&self.wechat) as _, &context).unwrap())
    }

    fn pass(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

async fn token(holder: &TokenHolder) -> String {
    holder.get().await.unwrap().value.expose().to_owned()
}

async fn replaced(holder: &TokenHolder, stale: &str) -> Result<String, ProviderErrorWords> {
    match holder.replace(&Secret::new(stale)).await {
        Ok(token) => Ok(token.value.expose().to_owned()),
        Err(AccessTokenError::Platform(error)) => Err((error.reason, error.code)),
        Err(other) => panic!("{other}"),
    }
}

type ProviderErrorWords = (Reason, Option<String>);

fn refusal(code: i64) -> Value {
    json!({ "errcode": code, "errmsg": "no rid: 1-2-3" })
}

#[tokio::test(start_paused = true)]
async fn many_callers_of_many_holders_make_one_call() {
    let shop = Shop::new();
    let holders: Vec<_> = (0..4).map(|_| shop.holder()).collect();
    let gate = shop.wechat.close_gate();
    let callers: Vec<_> = (0..200)
        .map(|at| {
            let holder = Arc::clone(&holders[at % holders.len()]);
            tokio::spawn(async move { token(&holder).await })
        })
        .collect();
    // Nobody gets anything before WeChat answered.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(callers.iter().all(|caller| !caller.is_finished()));
    gate.add_permits(10);
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "token-1");
    }
    assert_eq!(shop.wechat.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_is_renewed_early_and_the_old_one_serves_meanwhile() {
    let shop = Shop::new();
    shop.store.locks.store(true, Ordering::SeqCst);
    let (one, other) = (shop.holder(), shop.holder());
    assert_eq!(token(&one).await, "token-1");
    shop.pass(6000);
    assert_eq!((token(&one).await, token(&other).await, shop.wechat.asked()), ("token-1".into(), "token-1".into(), 1));
    // Ten minutes before its end WeChat still gives the same.
    shop.pass(601);
    one.renew().await;
    assert_eq!((token(&one).await, shop.wechat.asked(), one.count(TokenOutcome::Same)), ("token-1".into(), 2, 1));
    one.renew().await;
    other.renew().await;
    assert_eq!(shop.wechat.asked(), 2, "not in a loop");
    // In its last five minutes another one.
    shop.pass(330);
    let gate = shop.wechat.close_gate();
    let renewing = tokio::spawn({
        let one = Arc::clone(&one);
        async move { one.renew().await }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    for holder in [&one, &other] {
        let had = tokio::time::timeout(Duration::from_secs(1), token(holder)).await;
        assert_eq!(had.as_deref(), Ok("token-1"), "nobody waits");
    }
    gate.add_permits(1);
    renewing.await.unwrap();
    assert_eq!((token(&one).await, shop.wechat.asked()), ("token-2".into(), 3));
    // The other instance sees it within a minute.
    shop.pass(61);
    assert_eq!((token(&other).await, shop.wechat.asked()), ("token-2".into(), 3));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_nobody_uses_is_not_renewed() {
    let shop = Shop::new();
    let holder = shop.holder();
    holder.renew().await;
    assert_eq!((shop.wechat.asked(), holder.last_seen()), (0, None));
    token(&holder).await;
    assert_eq!(holder.last_seen().map(|seen| seen.version), Some(1));
    shop.pass(7200);
    holder.renew().await;
    assert_eq!((shop.wechat.asked(), holder.last_seen()), (1, None));
}

/// An instance is frozen while it asks, for longer than its lease; what it brings then is too late.
#[tokio::test(start_paused = true)]
async fn who_was_frozen_while_asking_changes_nothing() {
    let shop = Shop::new();
    let (frozen, awake) = (shop.holder(), shop.holder());
    let gate = shop.wechat.close_gate();
    // The late answer is an old token.
    let asking = tokio::spawn({
        let frozen = Arc::clone(&frozen);
        async move { token(&frozen).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(shop.wechat.asked(), 1);
    shop.pass(13);
    *shop.wechat.gate.lock().unwrap() = None;
    assert_eq!(token(&awake).await, "token-1");
    let before = awake.status().await.unwrap();
    shop.wechat.answer([json!({ "access_token": "token-0-long-dead", "expires_in": 7200 })]);
    gate.add_permits(1);
    assert_eq!(asking.await.unwrap(), "token-1", "it finds what the other wrote");
    assert_eq!(frozen.count(TokenOutcome::Superseded), 1);
    assert_eq!(awake.status().await.unwrap(), before);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_vanished_while_asking_is_made_up_for() {
    let shop = Shop::new();
    let (gone, next) = (shop.holder(), shop.holder());
    let gate = shop.wechat.close_gate();
    let asking = tokio::spawn(async move { token(&gone).await });
    tokio::time::sleep(Duration::from_millis(50)).await;
    asking.abort();
    gate.close();
    *shop.wechat.gate.lock().unwrap() = None;
    let clock = Arc::clone(&shop.clock);
    // The clock goes on while the next one waits.
    let ticking = tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            clock.0.fetch_add(100, Ordering::SeqCst);
        }
    });
    assert_eq!((token(&next).await, shop.wechat.asked()), ("token-1".into(), 2));
    ticking.abort();
}

#[tokio::test(start_paused = true)]
async fn a_storm_about_one_token_is_one_repair() {
    let shop = Shop::new();
    let holders: Vec<_> = (0..4).map(|_| shop.holder()).collect();
    for holder in &holders {
        token(holder).await;
    }
    shop.wechat.refuse();
    let storm: Vec<_> = (0..200)
        .map(|at| {
            let holder = Arc::clone(&holders[at % holders.len()]);
            tokio::spawn(async move { replaced(&holder, "token-1").await })
        })
        .collect();
    for caller in storm {
        assert_eq!(caller.await.unwrap(), Ok("token-2".to_owned()));
    }
    // The first fetch; then one normal call, one question, one by force.
    let count = |counter: &AtomicU32| counter.load(Ordering::SeqCst);
    assert_eq!((shop.wechat.asked(), count(&shop.wechat.tried), count(&shop.wechat.forced)), (3, 1, 1));
    let status = holders[0].status().await.unwrap();
    assert_eq!((status.version, status.forced_today), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn an_older_token_is_answered_with_the_one_of_now() {
    let shop = Shop::new();
    let holder = shop.holder();
    token(&holder).await;
    assert_eq!(replaced(&holder, "token-0").await, Ok("token-1".to_owned()));
    assert_eq!((shop.wechat.asked(), shop.wechat.tried.load(Ordering::SeqCst)), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_wechat_takes_is_not_ended_by_force() {
    let shop = Shop::new();
    let holder = shop.holder();
    token(&holder).await;
    assert_eq!(replaced(&holder, "token-1").await, Ok("token-1".to_owned()));
    // Again and again within the minute: not one call more.
    for _ in 0..50 {
        assert_eq!(replaced(&holder, "token-1").await, Err((Reason::RateLimited, None)));
    }
    assert_eq!((shop.wechat.asked(), shop.wechat.tried.load(Ordering::SeqCst)), (2, 1));
    assert_eq!(shop.wechat.forced.load(Ordering::SeqCst), 0);
    shop.pass(60);
    assert_eq!(replaced(&holder, "token-1").await, Ok("token-1".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn tokens_that_are_refused_all_day_end_in_the_measure_of_force() {
    let shop = Shop::new();
    let holder = shop.holder();
    let mut last = token(&holder).await;
    for _ in 0..60 {
        shop.wechat.refuse();
        shop.pass(61);
        if let Ok(next) = replaced(&holder, &last).await {
            last = next;
        }
    }
    assert_eq!(shop.wechat.forced.load(Ordering::SeqCst), 20);
    assert_eq!(replaced(&holder, &last).await.map_err(|(reason, _)| reason), Err(Reason::RateLimited));
}

#[tokio::test(start_paused = true)]
async fn a_failure_backs_off_and_is_told_again_without_a_call() {
    let shop = Shop::new();
    let (one, other) = (shop.holder(), shop.holder());
    shop.wechat.answer([refusal(40164), refusal(40164)]);
    let refused = |holder: &Arc<TokenHolder>| {
        let holder = Arc::clone(holder);
        async move {
            match holder.get().await {
                Err(AccessTokenError::Platform(error)) => (error.reason, error.code),
                other => panic!("{other:?}"),
            }
        }
    };
    for _ in 0..50 {
        for holder in [&one, &other] {
            assert_eq!(refused(holder).await, (Reason::Configuration, Some("40164".to_owned())));
        }
    }
    assert_eq!((shop.wechat.asked(), one.count(TokenOutcome::Refused)), (1, 1));
    let failure = one.status().await.unwrap().failure.unwrap();
    assert!(failure.needs_person && failure.message.contains("rid: 1-2-3"));
    shop.pass(70);
    refused(&one).await;
    assert_eq!(shop.wechat.asked(), 2);
    // The address was allowed meanwhile.
    shop.pass(140);
    assert_eq!(token(&one).await, "token-1");
    assert_eq!(one.status().await.unwrap().failure, None);
}

#[tokio::test(start_paused = true)]
async fn while_renewing_fails_the_old_one_serves_until_its_end() {
    let shop = Shop::new();
    let holder = shop.holder();
    token(&holder).await;
    shop.pass(6700);
    shop.wechat.answer([refusal(-1)]);
    assert_eq!((token(&holder).await, shop.wechat.asked()), ("token-1".into(), 2));
    assert!(holder.last_seen().unwrap().failure.is_some());
    assert_eq!((token(&holder).await, shop.wechat.asked()), ("token-1".into(), 2));
}

#[tokio::test(start_paused = true)]
async fn without_the_record_the_known_one_serves_and_nobody_is_asked() {
    let shop = Shop::new();
    let (knows, knows_nothing) = (shop.holder(), shop.holder());
    token(&knows).await;
    shop.store.away.store(true, Ordering::SeqCst);
    shop.pass(120);
    assert_eq!(token(&knows).await, "token-1");
    assert!(matches!(knows_nothing.get().await, Err(AccessTokenError::Shared(_))));
    assert_eq!(shop.wechat.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_neither_bursts_nor_serves_what_is_over() {
    let shop = Shop::new();
    let holder = shop.holder();
    token(&holder).await;
    // Back by an hour: when it ends is not known any more.
    shop.pass(-3600);
    for _ in 0..20 {
        token(&holder).await;
    }
    assert_eq!(shop.wechat.asked(), 2);
    // Forward by a day.
    shop.pass(86_400);
    for _ in 0..20 {
        assert_eq!(token(&holder).await, "token-2");
    }
    assert_eq!(shop.wechat.asked(), 3);
}

#[tokio::test(start_paused = true)]
async fn only_who_knows_the_secret_finds_the_token() {
    let shop = Shop::new();
    let (right, wrong) = (shop.holder(), shop.holder_of("another-secret"));
    token(&right).await;
    shop.wechat.answer([refusal(40125)]);
    assert!(wrong.get().await.is_err());
    assert_eq!((wrong.status().await.unwrap().version, right.status().await.unwrap().version), (0, 1));
    assert_ne!(right.account(), wrong.account());
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_none_are_not_believed() {
    for answer in [
        json!({}),
        json!({ "access_token": "", "expires_in": 7200 }),
        json!({ "access_token": "x".repeat(513), "expires_in": 7200 }),
        json!({ "access_token": "token-9" }),
        json!({ "access_token": "token-9", "expires_in": 0 }),
        json!({ "access_token": "token-9", "expires_in": 7201 }),
        json!({ "access_token": 9, "expires_in": 7200 }),
        json!(["token-9"]),
    ] {
        let shop = Shop::new();
        let holder = shop.holder();
        shop.wechat.answer([answer.clone()]);
        match holder.get().await {
            Err(AccessTokenError::Platform(error)) => assert!(!error.to_string().contains("token-9"), "{answer}"),
            other => panic!("{answer}: {other:?}"),
        }
        assert_eq!(holder.count(TokenOutcome::Failed), 1);
    }
}

#[test]
fn the_address_to_allow_is_found_in_wechats_words() {
    for (words, expected) in [
        ("invalid ip 203.0.113.9 ipv6 ::ffff:203.0.113.9, not in whitelist rid: 1-2-3", Some("203.0.113.9")),
        ("invalid ip 2001:db8::1, not in whitelist", Some("2001:db8::1")),
        ("invalid ip, not in whitelist", None),
        ("not in whitelist", None),
    ] {
        assert_eq!(named_address(words), expected, "{words}");
    }
}

/// Timestamps survive the document.
#[test]
fn a_record_reads_back() {
    let record = super::record::Record { asked_at: Some(Timestamp::from_millis(5).into()), ..Default::default() };
    let value = serde_json::to_value(&record).unwrap();
    assert_eq!(serde_json::from_value::<super::record::Record>(value).unwrap(), record);
    assert_eq!(serde_json::from_value::<super::record::Record>(json!({})).unwrap(), Default::default());
}

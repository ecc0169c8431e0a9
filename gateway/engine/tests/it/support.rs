//! A gateway without HTTP, and a platform of words.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dukou_domain::{
    Currency, Method, Money, OutRefundNo, OutTradeNo, PaymentState, ProviderName, RefundState, Secret, TenantId,
    Timestamp, TradeNo, TransactionId,
};
use dukou_engine::ports::{IdempotencyOutcome, NotifyOutcome, Store, Telemetry};
use dukou_engine::records::{Event, EventKind, Payment};
use dukou_engine::tenant::{LatePayment, Tenant};
use dukou_engine::{
    CreatePayment, CreateRefund, Engine, EngineConfig, EngineError, InvokePayment, Payer, PaymentAnswer, Schedule,
};
use dukou_spi::{
    Bill, Capabilities, Checkup, Clock, ErrorKind, FieldProblem, Finding, FundBill, Invoke, Login, Notice, NotifyError,
    NotifyKind, NotifyReply, OrderStatus, OrderWord, PaidFacts, PayOrder, PaymentNotice, PaymentOutcome, Prepay, Proof,
    Provider, ProviderError, ProviderInfo, RawNotify, Reason, RefundHint, RefundNotice, RefundOrder, RefundQuery,
    RefundStatus, RefundWord, TrustKey, Verdict, Verified,
};
use dukou_store::{ProcessCoordinator, ProcessOptions, SqliteOptions, SqliteStore, SteadySchedules, SteadyTime};
use tokio::sync::oneshot;

use crate::known::Known;
use crate::words::{refund_status, refund_word};

pub const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// What the platform does when it is called.
#[derive(Default)]
pub struct Script {
    /// Every message is under the keys of another account.
    pub refuse_notify: bool,
    pub pay: VecDeque<Result<(), ProviderError>>,
    pub query: VecDeque<Result<OrderWord, ProviderError>>,
    pub close: VecDeque<Result<(), ProviderError>>,
    pub refund: VecDeque<Result<RefundWord, ProviderError>>,
    pub query_refund: VecDeque<Result<RefundWord, ProviderError>>,
    /// The order that refunds are of, where answers name it.
    pub refund_of: Option<TradeNo>,
    /// Every call, in words.
    pub journal: Vec<String>,
    /// Calls whose answers are held back: the operation, who waits for the call, and what lets it go.
    held: Vec<(&'static str, oneshot::Sender<()>, oneshot::Receiver<()>)>,
}

/// A call that has its answer and is not given it.
pub struct Held {
    arrived: oneshot::Receiver<()>,
    thaw: oneshot::Sender<()>,
}

impl Held {
    pub async fn arrived(&mut self) {
        let arrived = tokio::time::timeout(Duration::from_secs(20), &mut self.arrived).await;
        arrived.expect("the call is made").unwrap();
    }

    pub fn thaw(self) {
        self.thaw.send(()).unwrap();
    }
}

pub struct Platform {
    info: ProviderInfo,
    pub script: Mutex<Script>,
}

impl Platform {
    pub fn new(kind: &'static str, app_id: &str, merchant_id: &str) -> Arc<Self> {
        let info = ProviderInfo { kind, app_id: app_id.to_owned(), merchant_id: merchant_id.to_owned() };
        Arc::new(Platform { info, script: Mutex::default() })
    }

    fn next<T>(&self, entry: String, queue: impl FnOnce(&mut Script) -> &mut VecDeque<T>) -> Option<T> {
        let mut script = self.script.lock().unwrap();
        script.journal.push(entry);
        queue(&mut script).pop_front()
    }

    /// The next answer to this operation is held back.
    pub fn hold_next(&self, operation: &'static str) -> Held {
        let (arrive, arrived) = oneshot::channel();
        let (thaw, thawed) = oneshot::channel();
        self.script.lock().unwrap().held.push((operation, arrive, thawed));
        Held { arrived, thaw }
    }

    /// Holds back the answer where the test wants it, as a process would that is stopped just then.
    async fn hold(&self, operation: &str) {
        let held = {
            let mut script = self.script.lock().unwrap();
            let at = script.held.iter().position(|(held, ..)| *held == operation);
            at.map(|at| script.held.remove(at))
        };
        if let Some((_, arrived, thaw)) = held {
            let _ = arrived.send(());
            let _ = thaw.await;
        }
    }
}

pub fn lost() -> ProviderError {
    ProviderError::new(ErrorKind::Unknown, Reason::Timeout, "no answer in time")
}

pub fn unreachable() -> ProviderError {
    ProviderError::new(ErrorKind::NotSent, Reason::Transport, "cannot connect")
}

pub fn refused(reason: Reason, code: &str) -> ProviderError {
    ProviderError::new(ErrorKind::Refused, reason, "the platform refuses").with_code(code)
}

fn proof() -> Proof {
    Proof::by_keyed_digest(b"same", b"same").unwrap()
}

#[async_trait]
impl Provider for Platform {
    fn info(&self) -> &ProviderInfo {
        &self.info
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            methods: &[Method::Jsapi, Method::Native, Method::H5],
            payer_required: &[Method::Jsapi],
            login: true,
            close: true,
            bill: false,
            fund_bill: false,
            refund_notify: true,
            trade_no_max: 32,
        }
    }

    fn check(&self, order: &PayOrder) -> Vec<FieldProblem> {
        if order.description == "illegal" || order.description == format!("illegal for {}", self.info.merchant_id) {
            return vec![FieldProblem { field: "description", message: "is illegal".to_owned() }];
        }
        Vec::new()
    }

    async fn pay(&self, order: &PayOrder) -> Result<Prepay, ProviderError> {
        let answer = self.next(format!("pay {} {}", order.trade_no, order.amount.minor()), |script| &mut script.pay);
        self.hold("pay").await;
        answer.unwrap_or(Ok(()))?;
        Ok(Prepay { token: format!("token-{}", order.trade_no), valid_until: START.plus(Duration::from_secs(7200)) })
    }

    fn invoke(&self, _order: &PayOrder, prepay: &Prepay) -> Result<Invoke, ProviderError> {
        Ok(Invoke(vec![("package", prepay.token.clone())]))
    }

    async fn query(&self, order: &PayOrder) -> Result<Verified<OrderStatus>, ProviderError> {
        let word = self
            .next(format!("query {}", order.trade_no), |script| &mut script.query)
            .unwrap_or(Ok(OrderWord::Waiting));
        self.hold("query").await;
        let word = word?;
        let status = OrderStatus { trade_no: order.trade_no.clone(), word, platform_word: "WORD".to_owned() };
        Ok(Verified::new(status, proof()))
    }

    async fn close(&self, order: &PayOrder) -> Result<(), ProviderError> {
        let answer = self.next(format!("close {}", order.trade_no), |script| &mut script.close).unwrap_or(Ok(()));
        self.hold("close").await;
        answer
    }

    async fn refund(&self, refund: &RefundOrder) -> Result<Verified<RefundStatus>, ProviderError> {
        let entry = format!("refund {} {}", refund.out_refund_no, refund.amount.minor());
        let word = self.next(entry, |script| &mut script.refund).unwrap_or(Ok(RefundWord::Processing));
        self.hold("refund").await;
        Ok(Verified::new(refund_status(&refund.out_refund_no, word?), proof()))
    }

    async fn query_refund(&self, query: &RefundQuery) -> Result<Verified<RefundStatus>, ProviderError> {
        let entry = format!("query_refund {}", query.out_refund_no);
        let word = self.next(entry, |script| &mut script.query_refund).unwrap_or(Ok(RefundWord::Processing));
        self.hold("query_refund").await;
        let of = self.script.lock().unwrap().refund_of.clone();
        Ok(Verified::new(RefundStatus { trade_no: of, ..refund_status(&query.out_refund_no, word?) }, proof()))
    }

    /// The body is one line of words: `paid NO FEN APP MERCHANT TRANSACTION`, `failed NO APP MERCHANT`, `refund NO WORD [ORDER]`,
    /// `signed-refund NO ORDER FEN MERCHANT WORD`, `forged`, `unknown-key first|again`, `probe`, `panic`.
    async fn notify(&self, raw: &RawNotify) -> Result<Notice, NotifyError> {
        if self.script.lock().unwrap().refuse_notify {
            return Err(NotifyError::BadSignature);
        }
        let text = String::from_utf8(raw.body.to_vec()).unwrap();
        let words: Vec<&str> = text.split(' ').collect();
        let notice = match words.as_slice() {
            ["paid", no, fen, app, merchant, transaction] => PaymentNotice {
                trade_no: TradeNo::new(no).unwrap(),
                outcome: PaymentOutcome::Paid(paid(no, fen.parse().unwrap(), app, merchant, transaction)),
            },
            ["failed", no, app, merchant] => PaymentNotice {
                trade_no: TradeNo::new(no).unwrap(),
                outcome: PaymentOutcome::NotPaid {
                    code: None,
                    app_id: (*app).to_owned(),
                    merchant_id: (*merchant).to_owned(),
                },
            },
            ["refund", no, word, order @ ..] => {
                let out_refund_no = OutRefundNo::new(no).unwrap();
                let trade_no = order.first().map(|order| TradeNo::new(order).unwrap());
                let platform_word = (*word).to_owned();
                return Ok(Notice::RefundHint(RefundHint { out_refund_no, trade_no, platform_word }));
            }
            ["signed-refund", no, order, fen, merchant, word, more @ ..] => {
                let status = RefundStatus {
                    amount: Money::new(fen.parse().unwrap(), Currency::Cny).ok(),
                    platform_word: (*word).to_owned(),
                    ..refund_status(&OutRefundNo::new(no).unwrap(), refund_word(word))
                };
                let trade_no = TradeNo::new(order).unwrap();
                let merchant_id = (*merchant).to_owned();
                let total = more.first().map(|fen| Money::new(fen.parse().unwrap(), Currency::Cny).unwrap());
                let transaction_id = more.get(1).map(|number| TransactionId::new(number).unwrap());
                let notice = RefundNotice { trade_no, merchant_id, total, transaction_id, status };
                return Ok(Notice::Refund(Verified::new(notice, proof())));
            }
            ["probe"] => return Err(NotifyError::Probe),
            ["forged"] => return Err(NotifyError::BadSignature),
            ["unknown-key", again] => {
                let again = *again == "again";
                return Err(NotifyError::UnknownKey { serial: "5A".to_owned(), setting: "none", again });
            }
            ["panic"] => panic!("the provider panics"),
            _ => return Err(NotifyError::Malformed("not a line of words".to_owned())),
        };
        Ok(Notice::Payment(Verified::new(notice, proof())))
    }

    fn acknowledge(&self, _kind: NotifyKind, verdict: Verdict) -> NotifyReply {
        // The form of an answer is its kind's.
        NotifyReply { status: 200, content_type: self.info.kind, body: Bytes::from(format!("{verdict:?}")) }
    }

    fn show(&self, body: &[u8]) -> Vec<(String, String)> {
        vec![("body".to_owned(), String::from_utf8_lossy(body).into_owned())]
    }

    async fn bill(&self, _day: time::Date) -> Result<Bill, ProviderError> {
        Ok(Bill::default())
    }

    async fn login(&self, code: &Secret) -> Result<Login, ProviderError> {
        self.script.lock().unwrap().journal.push("login".to_owned());
        match code.expose() {
            "wrong" => Err(refused(Reason::InvalidCode, "40029")),
            code => Ok(Login { openid: format!("openid-of-{code}"), unionid: None }),
        }
    }

    async fn fund_bill(&self, _day: time::Date) -> Result<FundBill, ProviderError> {
        Ok(FundBill::default())
    }

    fn trust(&self) -> Vec<TrustKey> {
        Vec::new()
    }

    fn access_tokens(&self) -> Option<&dyn dukou_spi::AccessTokens> {
        None
    }

    fn certificate(&self) -> Option<&[u8]> {
        None
    }

    async fn renew_trust(&self) -> Result<(), ProviderError> {
        Ok(())
    }

    async fn diagnose(&self, _: &Checkup) -> Vec<Finding> {
        Vec::new()
    }
}

pub fn paid(no: &str, fen: i64, app: &str, merchant: &str, transaction: &str) -> PaidFacts {
    PaidFacts {
        trade_no: TradeNo::new(no).unwrap(),
        transaction_id: TransactionId::new(transaction).unwrap(),
        amount: Money::new(fen, Currency::Cny).unwrap(),
        app_id: app.to_owned(),
        merchant_id: merchant.to_owned(),
        openid: Some("payer".to_owned()),
        paid_at: None,
    }
}

#[derive(Default)]
pub struct MovedClock(AtomicI64);

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// Counts what the engine reports.
#[derive(Default)]
pub struct Counts(pub Mutex<BTreeMap<String, u32>>);

impl Counts {
    fn count(&self, what: String) {
        *self.0.lock().unwrap().entry(what).or_default() += 1;
    }
}

impl Telemetry for Counts {
    fn probe(&self, _: &TenantId, _: &ProviderName) {
        self.count("probe".to_owned());
    }

    fn notify(&self, _: &TenantId, _: &ProviderName, _: NotifyKind, outcome: NotifyOutcome, _: Duration) {
        self.count(format!("notify {}", outcome.as_str()));
    }

    fn payment(&self, _: &TenantId, _: &ProviderName, state: PaymentState) {
        self.count(format!("payment {state}"));
    }

    fn refund(&self, _: &TenantId, _: &ProviderName, state: RefundState) {
        self.count(format!("refund {state}"));
    }

    fn provider_call(&self, _: &ProviderName, operation: &'static str, outcome: &'static str, _: Duration) {
        self.count(format!("call {operation} {outcome}"));
    }

    fn idempotency(&self, _: &'static str, outcome: IdempotencyOutcome) {
        self.count(format!("idempotency {}", outcome.as_str()));
    }

    fn event(&self, _: &TenantId, kind: EventKind) {
        self.count(format!("event {}", kind.as_str()));
    }
}

fn engine(store: &Arc<dyn Store>, tenants: Known, clock: &Arc<MovedClock>, counts: &Arc<Counts>) -> Arc<Engine> {
    Arc::new(Engine::new(
        EngineConfig {
            public_url: "https://pay.example.com".to_owned(),
            expires_after: Duration::from_secs(7200),
            session_expires_after: Duration::from_secs(7200),
            schedule: Schedule::default(),
        },
        Arc::clone(store),
        Arc::new(ProcessCoordinator::new(ProcessOptions::default())),
        Arc::new(tenants),
        Arc::<MovedClock>::clone(clock),
        Arc::<Counts>::clone(counts),
    ))
}

pub struct House {
    pub engine: Arc<Engine>,
    store: Arc<dyn Store>,
    pub tenant: Arc<Tenant>,
    pub platform: Arc<Platform>,
    /// Another merchant account, for the other channel.
    pub other: Arc<Platform>,
    pub counts: Arc<Counts>,
    pub clock: Arc<MovedClock>,
    passed: Arc<AtomicU64>,
    _folder: tempfile::TempDir,
}

impl House {
    pub fn new() -> Self {
        Self::with(LatePayment::Accept)
    }

    pub fn with(late_payment: LatePayment) -> Self {
        Self::build(late_payment, "")
    }

    /// As a tenant that shares its merchant account.
    pub fn with_prefix(prefix: &str) -> Self {
        Self::build(LatePayment::Accept, prefix)
    }

    fn build(late_payment: LatePayment, prefix: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(SqliteOptions::at(folder.path().join("dukou.db"))).unwrap();
        let clock = Arc::new(MovedClock(AtomicI64::new(START.as_millis())));
        let passed = Arc::new(AtomicU64::new(0));
        let time = {
            let passed = Arc::clone(&passed);
            let passed = Box::new(move || Duration::from_millis(passed.load(Ordering::SeqCst)));
            SteadyTime::with(Arc::<MovedClock>::clone(&clock), passed)
        };
        let store: Arc<dyn Store> = Arc::new(SteadySchedules::new(Arc::new(store), time));
        let platform = Platform::new("words", "app", "mch");
        let provider: Arc<dyn Provider> = Arc::<Platform>::clone(&platform);
        let other = Platform::new("words", "other-app", "other-mch");
        let other_provider: Arc<dyn Provider> = Arc::<Platform>::clone(&other);
        let tenant = Arc::new(Tenant {
            id: TenantId::new("shop").unwrap(),
            name: "Shop".to_owned(),
            api_keys: Vec::new(),
            late_payment,
            trade_no_prefix: prefix.to_owned(),
            providers: BTreeMap::from([
                (ProviderName::new("words").unwrap(), provider),
                (ProviderName::new("other").unwrap(), other_provider),
            ]),
            plugins: BTreeMap::new(),
            webhook: None,
        });
        let counts = Arc::new(Counts::default());
        let only = || vec![Arc::clone(&tenant)];
        let tenants = Known { served: only(), known: only(), former: Vec::new() };
        let engine = engine(&store, tenants, &clock, &counts);
        House { engine, store, tenant, platform, other, counts, clock, passed, _folder: folder }
    }

    /// A second engine on the same store that shares no lock with the first: it took the first one's place when that
    /// was frozen for longer than its locks live.
    pub fn another_engine(&self) -> Arc<Engine> {
        self.engine_of(&[&self.tenant], &[&self.tenant])
    }

    /// An engine on the same store that serves these tenants and knows those.
    pub fn engine_of(&self, served: &[&Arc<Tenant>], known: &[&Arc<Tenant>]) -> Arc<Engine> {
        let tenants = Known {
            served: served.iter().copied().map(Arc::clone).collect(),
            known: known.iter().copied().map(Arc::clone).collect(),
            former: Vec::new(),
        };
        engine(&self.store, tenants, &self.clock, &self.counts)
    }

    /// What is served once the provider's name was given the other merchant account: with the former one at hand, or,
    /// after a restart, without.
    pub fn with_other_account(&self, former_is_known: bool) -> (Arc<Engine>, Arc<Tenant>) {
        self.with_words(&self.other, former_is_known)
    }

    /// As [`Self::with_other_account`], with this one in its place.
    pub fn with_words(&self, now: &Arc<Platform>, former_is_known: bool) -> (Arc<Engine>, Arc<Tenant>) {
        let words = ProviderName::new("words").unwrap();
        let mut tenant = Tenant::clone(&self.tenant);
        tenant.providers.insert(words, Arc::<Platform>::clone(now) as Arc<dyn Provider>);
        let tenant = Arc::new(tenant);
        let former: Arc<dyn Provider> = Arc::<Platform>::clone(&self.platform);
        let former = if former_is_known { vec![former] } else { Vec::new() };
        let only = || vec![Arc::clone(&tenant)];
        let tenants = Known { served: only(), known: only(), former };
        (engine(&self.store, tenants, &self.clock, &self.counts), tenant)
    }

    /// The tenant as it is once the provider `words` was taken out of its file.
    pub fn without_words(&self) -> Arc<Tenant> {
        let mut tenant = Tenant::clone(&self.tenant);
        tenant.providers.retain(|name, _| name.as_str() != "words");
        Arc::new(tenant)
    }

    /// The platform's next answer to this operation is held back.
    pub fn hold(&self, operation: &'static str) -> Held {
        self.platform.hold_next(operation)
    }

    pub fn script(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.platform.script.lock().unwrap());
    }

    pub fn journal(&self) -> Vec<String> {
        self.platform.script.lock().unwrap().journal.clone()
    }

    pub fn calls(&self, operation: &str) -> usize {
        self.journal().iter().filter(|entry| entry.split(' ').next() == Some(operation)).count()
    }

    /// Time passes.
    pub fn wait(&self, duration: Duration) {
        self.set_clock(i64::try_from(duration.as_millis()).unwrap());
        self.passed.fetch_add(u64::try_from(duration.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// The machine's clock is set by so many milliseconds, and no time passes.
    pub fn set_clock(&self, by: i64) {
        self.clock.0.fetch_add(by, Ordering::SeqCst);
    }

    pub async fn create(&self, number: &str) -> Payment {
        self.engine.create_payment(&self.tenant, order(number)).await.unwrap().payment
    }

    pub async fn read(&self, number: &str) -> Payment {
        let number = OutTradeNo::new(number).unwrap();
        self.engine.payment(&self.tenant, &number, false).await.unwrap().payment
    }

    /// Sends the platform's line of words; answers the verdict.
    pub async fn notify(&self, words: &str) -> String {
        self.notify_from("words", words).await
    }

    pub async fn notify_from(&self, provider: &str, words: &str) -> String {
        let kind = if words.starts_with("refund") { NotifyKind::Refund } else { NotifyKind::Payment };
        let raw = RawNotify { kind, headers: Vec::new(), body: Bytes::from(words.to_owned()) };
        let reply = self.engine.notify("shop", provider, raw).await.unwrap().reply;
        String::from_utf8(reply.body.to_vec()).unwrap()
    }

    pub fn channel(provider: &str, payer: Option<&str>) -> InvokePayment {
        InvokePayment {
            provider: ProviderName::new(provider).unwrap(),
            method: Method::Jsapi,
            payer: payer.map(|openid| Payer::OpenId(openid.to_owned())),
            client_ip: None,
            buyer: None,
        }
    }

    /// Pays another way: the channel and its payer.
    pub async fn invoke(
        &self,
        number: &str,
        provider: &str,
        payer: Option<&str>,
    ) -> Result<PaymentAnswer, EngineError> {
        let command = Self::channel(provider, payer);
        self.engine.invoke_payment(&self.tenant, &OutTradeNo::new(number).unwrap(), command).await
    }

    pub async fn events(&self) -> Vec<Event> {
        self.engine.events(&self.tenant, None, 500).await.unwrap()
    }

    pub async fn event_words(&self) -> Vec<&'static str> {
        self.events().await.iter().map(|event| event.event.kind.as_str()).collect()
    }

    pub async fn count_events(&self, kind: EventKind) -> usize {
        self.events().await.iter().filter(|event| event.event.kind == kind).count()
    }
}

pub fn order(number: &str) -> CreatePayment {
    CreatePayment {
        provider: ProviderName::new("words").unwrap(),
        method: Method::Jsapi,
        out_trade_no: OutTradeNo::new(number).unwrap(),
        amount: Money::new(101, Currency::Cny).unwrap(),
        description: "a book".to_owned(),
        attach: None,
        metadata: BTreeMap::new(),
        payer: Some(Payer::OpenId("payer".to_owned())),
        client_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        expires_at: None,
    }
}

pub fn refund(number: &str, fen: i64) -> CreateRefund {
    CreateRefund {
        out_refund_no: OutRefundNo::new(number).unwrap(),
        amount: Money::new(fen, Currency::Cny).unwrap(),
        reason: None,
    }
}

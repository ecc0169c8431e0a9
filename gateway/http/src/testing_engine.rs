//! An engine over a store that is away, for tests of everything before and around the engine. No
//! test of a payment's way belongs here: those run against a real store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dukou_domain::{
    EventId, OutRefundNo, OutTradeNo, PaymentId, PaymentState, PluginName, ProviderName, RefundRequestId, RefundState,
    Secret, TenantId, Timestamp, TradeNo, TransactionId,
};
use dukou_engine::open::OldestOpen;
use dukou_engine::plugin::{PluginHost, PluginHostConfig, PluginOutcome, PluginTelemetry};
use dukou_engine::ports::{
    Admission, CallRate, Claim, ClaimToken, Coordinator, Decide, Deliveries, DocumentOwner, Health, History,
    IdempotencyOutcome, Lock, Marker, NotifyOutcome, Old, PluginRecords, Questions, Store, StoreError, Target,
    Telemetry,
};
use dukou_engine::records::{
    Begun, Event, EventKind, IdempotentCall, NewEvent, Notification, NotificationKey, Page, Payment, PaymentFilter,
    PlatformCall, Refund, RefundRequest, RefundRequestFilter, StoreIdentity, StoredAnswer,
};
use dukou_engine::tenant::{ApiKey, LatePayment, Tenant, Tenants};
use dukou_engine::{Engine, EngineConfig, Schedule};
use dukou_spi::plugin::{CallbackOutcome, Document, PluginInfo, Write};
use dukou_spi::{Clock, NotifyKind};
use tokio::sync::{Semaphore, watch};
use uuid::Uuid;

use crate::gateway::{Gateway, HttpConfig, HttpTelemetry};
use crate::testing::{moment, tenant_id};

/// A store that keeps nothing, and lets a test watch and hold the calls it needs.
pub struct Away {
    /// Reading a payment waits for a permit here.
    pub gate: Semaphore,
    /// Calls under an idempotency key: begun and not ended, ended and forgotten.
    pub begun: watch::Sender<usize>,
    pub forgotten: watch::Sender<usize>,
    /// Ended with an answer.
    pub answered: watch::Sender<usize>,
    /// Whether the end of a call is taken.
    pub takes_ends: AtomicBool,
    /// What those who follow the event log are told.
    pub committed: watch::Sender<i64>,
    /// The event log, where a test needs one.
    pub log: Mutex<Vec<Event>>,
    /// Where the log ended at the beginning of each life after the first.
    pub lives: Mutex<Vec<i64>>,
}

impl Away {
    /// Another life of the store begins, whose log ends at `position`.
    pub fn lose_all_after(&self, position: i64) {
        self.log.lock().unwrap().retain(|event| event.position <= position);
        self.lives.lock().unwrap().push(position);
        self.committed.send_replace(position);
    }
}

pub(crate) fn away<T>() -> Result<T, StoreError> {
    Err(StoreError::Unavailable("a test took it away".to_owned()))
}

#[async_trait]
impl History for Away {
    async fn keep_calls(&self, _: Vec<PlatformCall>) -> Result<(), StoreError> {
        away()
    }

    async fn calls_about(&self, _: &TenantId, _: PaymentId, _: u32) -> Result<Vec<PlatformCall>, StoreError> {
        away()
    }

    async fn events_about(&self, _: &TenantId, _: PaymentId, _: u32) -> Result<Vec<Event>, StoreError> {
        away()
    }

    async fn troubles(&self, _: &TenantId, _: Timestamp, _: u32) -> Result<Vec<Event>, StoreError> {
        away()
    }

    async fn messages_about(&self, _: &TenantId, _: Vec<String>, _: u32) -> Result<Vec<Notification>, StoreError> {
        away()
    }
}

#[async_trait]
impl Store for Away {
    fn identity(&self) -> StoreIdentity {
        let incarnation = Uuid::from_u128(self.lives.lock().unwrap().len() as u128);
        StoreIdentity { store: Uuid::nil(), incarnation }
    }

    async fn apply(&self, _: Target, _: Decide) -> Result<(), StoreError> {
        away()
    }

    async fn payment(&self, _: &TenantId, _: &OutTradeNo) -> Result<Option<Payment>, StoreError> {
        let _permit = self.gate.acquire().await;
        away()
    }

    async fn payment_by_trade_no(
        &self,
        _: &TenantId,
        _: &ProviderName,
        _: &TradeNo,
    ) -> Result<Option<Payment>, StoreError> {
        away()
    }

    async fn payment_by_transaction(&self, _: &TenantId, _: &TransactionId) -> Result<Option<Payment>, StoreError> {
        away()
    }

    /// Stands for a bug.
    async fn payments(&self, _: PaymentFilter) -> Result<Page<Payment>, StoreError> {
        panic!("a test's bug");
    }

    async fn refund(&self, _: &TenantId, _: &OutRefundNo) -> Result<Option<Refund>, StoreError> {
        away()
    }

    async fn refunds(&self, _: &TenantId, _: PaymentId) -> Result<Vec<Refund>, StoreError> {
        away()
    }

    async fn refund_requests(&self, _: RefundRequestFilter) -> Result<Page<RefundRequest>, StoreError> {
        away()
    }

    async fn refund_request(&self, _: &TenantId, _: RefundRequestId) -> Result<Option<RefundRequest>, StoreError> {
        away()
    }

    async fn pending_request(&self, _: &TenantId, _: PaymentId) -> Result<Option<RefundRequest>, StoreError> {
        away()
    }

    /// An empty log is away too.
    async fn events(&self, _: &TenantId, after: i64, limit: u32) -> Result<Vec<Event>, StoreError> {
        self.events_from(after, limit).await
    }

    async fn events_from(&self, after: i64, limit: u32) -> Result<Vec<Event>, StoreError> {
        let log = self.log.lock().unwrap();
        if log.is_empty() {
            return away();
        }
        Ok(log.iter().filter(|event| event.position > after).take(limit as usize).cloned().collect())
    }

    async fn event_position(&self, _: &TenantId, _: EventId) -> Result<Option<i64>, StoreError> {
        away()
    }

    /// Some keys have a meaning of their own; under all others a call is to be run.
    async fn begin_call(&self, call: IdempotentCall) -> Result<Begun, StoreError> {
        match call.key.as_str() {
            "answered" => {
                let body = Bytes::from_static(br#"{"kept":true}"#);
                return Ok(Begun::Answered(StoredAnswer {
                    status: 201,
                    content_type: "application/json".to_owned(),
                    body,
                }));
            }
            "running" => return Ok(Begun::InProgress),
            "taken" => return Ok(Begun::Conflict),
            "away" => return away(),
            _ => {}
        }
        self.begun.send_modify(|begun| *begun += 1);
        Ok(Begun::Run { made_number: call.made_number })
    }

    async fn end_call(&self, _: &TenantId, _: &str, _: Uuid, answer: Option<StoredAnswer>) -> Result<(), StoreError> {
        if !self.takes_ends.load(Ordering::SeqCst) {
            return away();
        }
        let ended = if answer.is_none() { &self.forgotten } else { &self.answered };
        ended.send_modify(|ended| *ended += 1);
        Ok(())
    }

    async fn forget(&self, _: Old, _: Timestamp, _: u32) -> Result<u64, StoreError> {
        away()
    }

    /// The same in every test.
    async fn secret(&self, _: &str) -> Result<Secret, StoreError> {
        Ok(Secret::new("00".repeat(32)))
    }

    async fn trust_material(&self, _: &str) -> Result<Option<dukou_spi::Kept>, StoreError> {
        away()
    }

    async fn keep_trust_material(&self, _: &str, _: dukou_spi::Kept) -> Result<(), StoreError> {
        away()
    }

    async fn position(&self) -> Result<i64, StoreError> {
        away()
    }

    async fn oldest_open(&self) -> Result<Vec<OldestOpen>, StoreError> {
        away()
    }

    fn watch(&self) -> watch::Receiver<i64> {
        self.committed.subscribe()
    }

    fn questions(&self) -> &dyn Questions {
        self
    }

    fn still_there(&self, incarnation: Uuid, position: i64) -> i64 {
        let since = usize::try_from(incarnation.as_u128()).unwrap();
        self.lives.lock().unwrap()[since..].iter().copied().fold(position, i64::min)
    }

    fn deliveries(&self) -> &dyn Deliveries {
        self
    }

    fn history(&self) -> &dyn History {
        self
    }

    fn plugins(&self) -> &dyn PluginRecords {
        self
    }

    async fn ready(&self) -> Result<(), StoreError> {
        away()
    }
}

#[async_trait]
impl PluginRecords for Away {
    async fn document(&self, _: &DocumentOwner, _: &str, _: &str) -> Result<Option<Document>, StoreError> {
        away()
    }

    async fn write_documents(&self, _: &DocumentOwner, _: Vec<Write>, _: Vec<NewEvent>) -> Result<(), StoreError> {
        away()
    }

    async fn take_due_documents(
        &self,
        _: Timestamp,
        _: Timestamp,
        _: u32,
    ) -> Result<Vec<(DocumentOwner, Document)>, StoreError> {
        away()
    }

    async fn plugin_cursor(&self, _: &TenantId, _: &PluginName) -> Result<i64, StoreError> {
        away()
    }

    async fn move_plugin_cursor(&self, _: &TenantId, _: &PluginName, _: i64, _: i64) -> Result<(), StoreError> {
        away()
    }
}

pub struct Nobody;

impl PluginTelemetry for Nobody {
    fn worked(&self, _: &TenantId, _: &'static str, _: &'static str, _: PluginOutcome, _: Duration) {}
    fn callback(&self, _: &TenantId, _: &'static str, _: CallbackOutcome) {}
    fn behind(&self, _: &TenantId, _: &'static str, _: usize) {}
}

/// The plugins of the whole gateway.
pub fn offered() -> Vec<&'static PluginInfo> {
    vec![&dukou_douyin_share::INFO]
}

#[async_trait]
impl Coordinator for Nobody {
    fn backend(&self) -> &'static str {
        "process"
    }

    async fn claim(&self, _: &NotificationKey) -> Claim {
        Claim::Unavailable
    }

    async fn finish(&self, _: &NotificationKey, _: ClaimToken, _: Marker, _: i64) {}

    async fn release(&self, _: &NotificationKey, _: ClaimToken) {}

    async fn lock(&self, _: &str) -> Option<Lock> {
        None
    }

    async fn unlock(&self, _: Lock) {}

    async fn count_call(&self, _: &str, _: CallRate) -> Admission {
        Admission::Unavailable
    }

    fn health(&self) -> Health {
        Health::Working
    }
}

impl Telemetry for Nobody {
    fn probe(&self, _: &TenantId, _: &ProviderName) {}

    fn notify(&self, _: &TenantId, _: &ProviderName, _: NotifyKind, _: NotifyOutcome, _: Duration) {}
    fn payment(&self, _: &TenantId, _: &ProviderName, _: PaymentState) {}
    fn refund(&self, _: &TenantId, _: &ProviderName, _: RefundState) {}
    fn provider_call(&self, _: &ProviderName, _: &'static str, _: &'static str, _: Duration) {}
    fn idempotency(&self, _: &'static str, _: IdempotencyOutcome) {}
    fn event(&self, _: &TenantId, _: EventKind) {}
}

impl Clock for Nobody {
    fn now(&self) -> Timestamp {
        moment()
    }
}

struct OneShop(Arc<Tenant>);

impl Tenants for OneShop {
    fn find(&self, id: &str) -> Option<Arc<Tenant>> {
        (id == self.0.id.as_str()).then(|| Arc::clone(&self.0))
    }

    fn all(&self) -> Vec<Arc<Tenant>> {
        vec![Arc::clone(&self.0)]
    }
}

/// Tenants with one tenant, `bookshop`, without providers; keys are name and secret.
pub fn bookshop(keys: &[(&str, &str)]) -> Arc<dyn Tenants> {
    let key = |(id, secret): &(&str, &str)| ApiKey { id: (*id).to_owned(), secret: Secret::new(*secret) };
    Arc::new(OneShop(Arc::new(Tenant {
        id: tenant_id(),
        name: "Afei Books".to_owned(),
        api_keys: keys.iter().map(key).collect(),
        late_payment: LatePayment::Accept,
        trade_no_prefix: String::new(),
        providers: BTreeMap::new(),
        plugins: BTreeMap::new(),
        webhook: None,
    })))
}

/// What was counted: route, method, status.
#[derive(Default)]
pub struct Counted(pub Mutex<Vec<(String, &'static str, u16)>>);

impl HttpTelemetry for Counted {
    fn request(&self, route: &str, method: &'static str, status: u16, _: Duration) {
        self.0.lock().unwrap().push((route.to_owned(), method, status));
    }
}

/// A gateway with one tenant, `bookshop`, whose key is `sk-one`.
pub fn gateway(config: HttpConfig) -> (Gateway, Arc<Away>, Arc<Counted>) {
    let store = Arc::new(Away {
        gate: Semaphore::new(0),
        begun: watch::Sender::new(0),
        forgotten: watch::Sender::new(0),
        answered: watch::Sender::new(0),
        takes_ends: AtomicBool::new(true),
        committed: watch::Sender::new(0),
        log: Mutex::default(),
        lives: Mutex::default(),
    });
    let tenants = bookshop(&[("backend", "sk-one")]);
    let plugins = PluginHost::start(PluginHostConfig {
        store: Arc::clone(&store) as Arc<dyn Store>,
        coordinator: Arc::new(Nobody),
        tenants: Arc::clone(&tenants),
        clock: Arc::new(Nobody),
        telemetry: Arc::new(Nobody),
        render: Arc::new(crate::dto::event_json),
        public_url: "https://pay.example.com".to_owned(),
    })
    .unwrap();
    let engine = Engine::new(
        EngineConfig {
            public_url: "https://pay.example.com".to_owned(),
            expires_after: Duration::from_secs(7200),
            session_expires_after: Duration::from_secs(7200),
            schedule: Schedule::default(),
        },
        Arc::clone(&store) as Arc<dyn Store>,
        Arc::new(Nobody),
        tenants,
        Arc::new(Nobody),
        Arc::new(Nobody),
    );
    let counted = Arc::new(Counted::default());
    let telemetry = Arc::clone(&counted) as Arc<dyn HttpTelemetry>;
    let runtime = tokio::runtime::Handle::current();
    let plugins = (plugins, &offered()[..]);
    (Gateway::new(Arc::new(engine), Uuid::nil(), telemetry, config, plugins, runtime), store, counted)
}

//! An engine over a real store, with tenants that have webhooks.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use dukou_domain::{DeliveryState, EventId, PaymentState, ProviderName, RefundState, Secret, TenantId, Timestamp};
use dukou_engine::delivery::{Backlog, Delivery, DeliveryFilter, Endpoint};
use dukou_engine::ports::{Change, IdempotencyOutcome, NotifyOutcome, PaymentKey, Store, Target, Telemetry};
use dukou_engine::records::{EventKind, NewEvent, Subject};
use dukou_engine::tenant::{LatePayment, Tenant, Tenants, Webhook};
use dukou_engine::{Engine, EngineConfig, Schedule};
use dukou_spi::{Clock, NotifyKind};
use dukou_store::{ProcessCoordinator, ProcessOptions, SqliteOptions, SqliteStore};
use uuid::Uuid;

use super::{eventually, no_roots};
use crate::{Render, WebhookTelemetry, Worker, WorkerOptions};

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A clock that stands until it is moved.
pub struct MovedClock(AtomicI64);

impl MovedClock {
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

#[derive(Default)]
struct Shops(Mutex<HashMap<String, Arc<Tenant>>>);

impl Tenants for Shops {
    fn find(&self, id: &str) -> Option<Arc<Tenant>> {
        self.0.lock().unwrap().get(id).cloned()
    }

    fn all(&self) -> Vec<Arc<Tenant>> {
        self.0.lock().unwrap().values().cloned().collect()
    }
}

/// Counts nothing of the engine's, and everything of the worker's.
#[derive(Default)]
pub struct Counted {
    pub deliveries: Mutex<Vec<(TenantId, DeliveryState)>>,
    pub backlog: Mutex<Vec<Backlog>>,
}

impl WebhookTelemetry for Counted {
    fn delivery(&self, tenant: &TenantId, state: DeliveryState) {
        self.deliveries.lock().unwrap().push((tenant.clone(), state));
    }

    fn backlog(&self, backlog: &[Backlog], _: Timestamp) {
        *self.backlog.lock().unwrap() = backlog.to_vec();
    }
}

impl Telemetry for Counted {
    fn probe(&self, _: &TenantId, _: &ProviderName) {}

    fn notify(&self, _: &TenantId, _: &ProviderName, _: NotifyKind, _: NotifyOutcome, _: Duration) {}
    fn payment(&self, _: &TenantId, _: &ProviderName, _: PaymentState) {}
    fn refund(&self, _: &TenantId, _: &ProviderName, _: RefundState) {}
    fn provider_call(&self, _: &ProviderName, _: &'static str, _: &'static str, _: Duration) {}
    fn idempotency(&self, _: &'static str, _: IdempotencyOutcome) {}
    fn event(&self, _: &TenantId, _: EventKind) {}
}

pub struct World {
    folder: tempfile::TempDir,
    pub store: Arc<SqliteStore>,
    pub clock: Arc<MovedClock>,
    shops: Arc<Shops>,
    pub engine: Arc<Engine>,
    pub counted: Arc<Counted>,
}

fn open(folder: &Path) -> Arc<SqliteStore> {
    Arc::new(SqliteStore::open(SqliteOptions::at(path(folder))).unwrap())
}

fn path(folder: &Path) -> PathBuf {
    folder.join("ledger.db")
}

fn engine(store: &Arc<SqliteStore>, shops: &Arc<Shops>, clock: &Arc<MovedClock>) -> Arc<Engine> {
    Arc::new(Engine::new(
        EngineConfig {
            public_url: "https://pay.example.com".to_owned(),
            expires_after: Duration::from_secs(7200),
            session_expires_after: Duration::from_secs(7200),
            schedule: Schedule::default(),
        },
        Arc::clone(store) as Arc<dyn Store>,
        Arc::new(ProcessCoordinator::new(ProcessOptions::default())),
        Arc::clone(shops) as _,
        Arc::clone(clock) as _,
        Arc::new(Counted::default()),
    ))
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(MovedClock(AtomicI64::new(1_790_000_000_000)));
        let shops = Arc::new(Shops::default());
        let store = open(folder.path());
        let engine = engine(&store, &shops, &clock);
        World { folder, store, clock, shops, engine, counted: Arc::default() }
    }

    /// The process ends and another begins.
    pub async fn restart(&mut self) {
        self.store.close().await;
        self.store = open(self.folder.path());
        self.engine = engine(&self.store, &self.shops, &self.clock);
    }

    /// A tenant whose events go to `url`; `None` for one without a webhook.
    pub fn tenant(&self, id: &str, url: Option<String>) -> TenantId {
        let tenant = TenantId::new(id).unwrap();
        let webhook = url.map(|url| Webhook { url, secrets: vec![Secret::new(SECRET)] });
        self.shops.0.lock().unwrap().insert(
            id.to_owned(),
            Arc::new(Tenant {
                id: tenant.clone(),
                name: id.to_owned(),
                api_keys: Vec::new(),
                late_payment: LatePayment::Accept,
                trade_no_prefix: String::new(),
                providers: BTreeMap::new(),
                plugins: BTreeMap::new(),
                webhook,
            }),
        );
        tenant
    }

    /// Something happens to a tenant, `count` times.
    pub async fn events(&self, tenant: &TenantId, count: usize) -> Vec<EventId> {
        let mut ids = Vec::new();
        for some in (0..count).collect::<Vec<_>>().chunks(500) {
            let events: Vec<NewEvent> = some
                .iter()
                .map(|_| NewEvent {
                    id: EventId::from_uuid(Uuid::now_v7()),
                    tenant: tenant.clone(),
                    kind: EventKind::PaymentUnknownOrder,
                    at: self.clock.now(),
                    subject: Subject::Endpoint(Endpoint::default()),
                })
                .collect();
            ids.extend(events.iter().map(|event| event.id));
            let number = dukou_domain::OutTradeNo::new("B1").unwrap();
            let target = Target::payment(tenant.clone(), PaymentKey::OutTradeNo(number));
            let decide = Box::new(move |_| Change { events: events.clone(), ..Change::default() });
            self.store.apply(target, decide).await.unwrap();
        }
        ids
    }

    /// A worker that may call loopback addresses.
    pub fn worker(&self, limit: Duration) -> Worker {
        self.worker_that_renders(limit, render())
    }

    pub fn worker_that_renders(&self, limit: Duration, render: Render) -> Worker {
        let options = WorkerOptions { timeout: limit, allow_private_networks: true, ..WorkerOptions::new(no_roots()) };
        let engine = Arc::clone(&self.engine);
        Worker::start(engine, render, Arc::clone(&self.counted) as _, options).unwrap()
    }

    pub async fn deliveries(&self, tenant: &TenantId) -> Vec<Delivery> {
        let filter = DeliveryFilter { tenant: tenant.clone(), state: None, cursor: None, limit: 100_000 };
        self.engine.deliveries(filter).await.unwrap().items
    }

    /// The tenant's only delivery, when it is as `wanted`.
    pub async fn delivery(&self, tenant: &TenantId, what: &str, wanted: impl Fn(&Delivery) -> bool) -> Delivery {
        eventually(what, async || self.deliveries(tenant).await.into_iter().find(|delivery| wanted(delivery))).await
    }
}

pub fn render() -> Render {
    Arc::new(|event| Bytes::from(format!(r#"{{"id":"{}","type":"{}"}}"#, event.id, event.kind.as_str())))
}

//! A database whose place a copy takes that had not got everything, while instances run: what they remember of the
//! event log is of a life that has ended.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dukou_domain::{EventKind, PluginName, Secret, TenantId, Timestamp};
use dukou_engine::plugin::{PluginHost, PluginHostConfig, PluginOutcome, PluginTelemetry, TenantPlugin};
use dukou_engine::ports::{Store, StoreError};
use dukou_engine::records::Subject;
use dukou_engine::tenant::{LatePayment, Tenant, Tenants};
use dukou_spi::Clock;
use dukou_spi::plugin::{CallbackOutcome, Host, Plugin, PluginError, PluginEvent, PluginInfo, PluginLimits};
use dukou_store::{PostgresOptions, PostgresStore, ProcessCoordinator};
use dukou_test_servers::Postgres;
use tokio::sync::watch;

use crate::coordinator_behaviour::eventually;
use crate::records::*;
use crate::redis_server::{Mode, Proxy};

/// A copy of a database as it was at one moment.
struct Copy(String);

impl Copy {
    fn of(address: &str) -> Self {
        let copy = Copy(Postgres::database_of(address).to_owned());
        copy.while_nobody_is_connected("CREATE DATABASE {}_copy TEMPLATE {}");
        copy.sql("ALTER DATABASE {} ALLOW_CONNECTIONS true");
        copy
    }

    fn takes_its_place(&self) {
        self.while_nobody_is_connected("ALTER DATABASE {} RENAME TO {}_lost");
        self.sql("ALTER DATABASE {}_copy RENAME TO {}");
    }

    /// Runs the statement, in which `{}` is the database's name, after everybody was thrown out.
    fn while_nobody_is_connected(&self, statement: &str) {
        self.sql("ALTER DATABASE {} ALLOW_CONNECTIONS false");
        self.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'");
        // The server itself waits until they are gone.
        self.sql(statement);
    }

    fn sql(&self, statement: &str) {
        Postgres::shared().sql("postgres", &statement.replace("{}", &self.0));
    }
}

async fn open(address: &str) -> PostgresStore {
    PostgresStore::open(PostgresOptions::at(Secret::new(address))).await.unwrap()
}

/// Appends an event, also on a store that has yet to find its database again.
async fn happens(store: &dyn Store, name: &str) {
    eventually("it is written", async || create(store, &payment(name, 1_000)).await.is_ok()).await;
}

/// Watches: the position that goes down with a new life, on the instance that writes and on the one that only looks.
/// Without it whoever waits for more is not woken until the log has passed its old end.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_its_end_is_followed_from_where_it_is() {
    let address = Postgres::shared().new_database();
    let [first, second] = [open(&address).await, open(&address).await];
    for name in ["B1", "B2", "B3"] {
        happens(&first, name).await;
    }
    let copy = Copy::of(&address);
    for name in ["B4", "B5", "B6"] {
        happens(&first, name).await;
    }
    let mut followed = second.watch();
    followed.wait_for(|position| *position == 6).await.unwrap();
    let before = first.identity().incarnation;
    copy.takes_its_place();
    eventually("the first meets it", async || {
        let _ = first.ready().await;
        first.identity().incarnation != before
    })
    .await;
    assert_eq!(first.position().await.unwrap(), 3);
    happens(&first, "B7").await;
    let seen = followed.wait_for(|position| *position == 4);
    tokio::time::timeout(Duration::from_secs(20), seen).await.expect("it is told").unwrap();
    assert_eq!(second.identity(), first.identity());
    for store in [&first, &second] {
        assert_eq!(store.position().await.unwrap(), 4);
        // Also where the other wrote before this one met it.
        assert_eq!([6, 3, 2].map(|read| store.still_there(before, read)), [3, 3, 2]);
        assert_eq!(store.still_there(store.identity().incarnation, 4), 4);
    }
    // Who read in the life before does not lead the place beyond the log's end.
    let beyond = second.deliveries().enter(0, 6, Vec::new()).await;
    assert!(matches!(beyond, Err(StoreError::Conflict(_))), "{beyond:?}");
    second.deliveries().enter(0, 4, Vec::new()).await.unwrap();
}

/// Watches: the doubt that a broken connection leaves. Without it what Redis knows of the life before is believed while
/// the database is away, and for a moment after it came back without it.
#[tokio::test(flavor = "multi_thread")]
async fn a_life_is_in_doubt_from_a_broken_connection_until_the_database_answers() {
    let address = Postgres::shared().new_database();
    let store = open(&address).await;
    assert!(store.is_certain());
    let copy = Copy(Postgres::database_of(&address).to_owned());
    copy.while_nobody_is_connected("ALTER DATABASE {} RENAME TO {}_away");
    eventually("the instance notices by itself", async || !store.is_certain()).await;
    assert!(store.ready().await.is_err());
    assert!(!store.is_certain());
    copy.sql("ALTER DATABASE {}_away RENAME TO {}");
    copy.sql("ALTER DATABASE {} ALLOW_CONNECTIONS true");
    eventually("it is certain again", async || store.is_certain()).await;
    // All that rested, too: those that broke with it answer nobody.
    for _ in 0..20 {
        store.ready().await.unwrap();
    }
    // One connection of several: the others are not asked anew, the database is.
    copy.sql("SELECT pg_terminate_backend(min(pid)) FROM pg_stat_activity WHERE datname = '{}'");
    eventually("and is so for good", async || store.ready().await.is_ok() && store.is_certain()).await;
}

/// Watches: the connection that only waits. Without it the doubt comes when a connection is used next, which here is a
/// second later, and until then a copy of a message that the exchanged database has not got is acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_of_the_database_is_in_doubt_before_anybody_asks_it() {
    for round in 0..3 {
        let address = Postgres::shared().new_database();
        let store = open(&address).await;
        let copy = Copy::of(&address);
        eventually("it is certain again", async || store.is_certain()).await;
        let before = store.identity();
        copy.takes_its_place();
        assert!(!store.is_certain() || store.identity() != before, "{round}");
        eventually("it is certain", async || store.is_certain()).await;
        assert_ne!(store.identity(), before);
    }
}

/// Watches: how long the database's word counts. One that hangs ends no connection, and what answers next may be
/// another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_falls_silent_is_certain_for_a_second_at_most() {
    let address = Postgres::shared().new_database();
    let (server, database) = address.rsplit_once('/').unwrap();
    let (login, port) = server.rsplit_once(':').unwrap();
    let proxy = Proxy::to(port.parse().unwrap()).await;
    let (user, _) = login.rsplit_once('@').unwrap();
    let store = open(&format!("{user}@{}/{database}", proxy.address)).await;
    let mut certain = 0;
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        certain += u32::from(store.is_certain());
    }
    // All of them, on a machine that is not busy.
    assert!(certain > 10, "{certain}: of one that nobody asks anything");
    proxy.set(Mode::Hang);
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert!(!store.is_certain());
    proxy.set(Mode::Pass);
    eventually("it answers", async || store.is_certain()).await;
}

static INFO: PluginInfo = PluginInfo {
    name: "listener",
    calls: &[],
    pages: &[],
    callback: "",
    events: &[EventKind::PaymentCreated],
    raises: &[],
    limits: PluginLimits {
        call: Duration::from_secs(5),
        callback: Duration::from_secs(5),
        page: Duration::from_secs(5),
        work: Duration::from_secs(5),
        at_once: 2,
        body: 1024,
    },
};

#[derive(Default)]
struct Listener(Mutex<Vec<String>>);

impl Listener {
    fn heard(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

#[async_trait]
impl Plugin for Listener {
    async fn event(&self, _: &dyn Host, event: &PluginEvent) -> Result<(), PluginError> {
        self.0.lock().unwrap().push(event.data.as_str().unwrap_or_default().to_owned());
        Ok(())
    }
}

struct Only(Arc<Tenant>);

impl Tenants for Only {
    fn find(&self, id: &str) -> Option<Arc<Tenant>> {
        (self.0.id.as_str() == id).then(|| Arc::clone(&self.0))
    }

    fn all(&self) -> Vec<Arc<Tenant>> {
        vec![Arc::clone(&self.0)]
    }
}

struct Outside;

impl PluginTelemetry for Outside {
    fn worked(&self, _: &TenantId, _: &'static str, _: &'static str, _: PluginOutcome, _: Duration) {}
    fn callback(&self, _: &TenantId, _: &'static str, _: CallbackOutcome) {}
    fn behind(&self, _: &TenantId, _: &'static str, _: usize) {}
}

impl Clock for Outside {
    fn now(&self) -> Timestamp {
        at(1_000)
    }
}

/// The tenant of these payments with the plugin, and the plugin's threads over a store.
fn host(store: &Arc<PostgresStore>, listener: &Arc<Listener>) -> PluginHost {
    let plugin = TenantPlugin::new(&INFO, Arc::clone(listener) as Arc<dyn Plugin>).unwrap();
    let tenant = Tenant {
        id: tenant(),
        name: "Shop".to_owned(),
        api_keys: Vec::new(),
        late_payment: LatePayment::Accept,
        trade_no_prefix: String::new(),
        providers: BTreeMap::new(),
        plugins: BTreeMap::from([(plugin.name.clone(), Arc::new(plugin))]),
        webhook: None,
    };
    PluginHost::start(PluginHostConfig {
        store: Arc::clone(store) as Arc<dyn Store>,
        coordinator: Arc::new(ProcessCoordinator::default()),
        tenants: Arc::new(Only(Arc::new(tenant))),
        clock: Arc::new(Outside),
        telemetry: Arc::new(Outside),
        render: Arc::new(|event| {
            let number = match &event.subject {
                Subject::Payment(payment) => payment.out_trade_no.as_str(),
                _ => "",
            };
            Bytes::from(format!(r#"{{"data":"{number}"}}"#))
        }),
        public_url: "https://pay.example.com".to_owned(),
    })
    .unwrap()
}

/// Watches: the incarnation beside what a plugin's follower has read. By the position alone it is told of nothing until
/// the log has passed its old end, and of what came before that never.
#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_told_of_what_takes_the_place_of_lost_events() {
    let address = Postgres::shared().new_database();
    let (store, listener) = (Arc::new(open(&address).await), Arc::new(Listener::default()));
    let (_stop, stopping) = watch::channel(false);
    tokio::spawn(host(&store, &listener).follow_events(stopping));
    let hears = async |all: &[&str]| {
        let mut heard = Vec::new();
        eventually(&format!("{all:?}"), async || {
            heard = listener.heard();
            // What was told and not yet noted is told again.
            heard.dedup();
            heard == all
        })
        .await;
    };
    // Its place is where the log is when it is first there.
    let name = PluginName::new(INFO.name).unwrap();
    store.plugins().plugin_cursor(&tenant(), &name).await.unwrap();
    happens(&*store, "B1").await;
    hears(&["B1"]).await;
    eventually("it is noted", async || {
        store.plugins().plugin_cursor(&tenant(), &name).await.is_ok_and(|noted| noted == 1)
    })
    .await;
    let copy = Copy::of(&address);
    for name in ["B2", "B3", "B4"] {
        happens(&*store, name).await;
    }
    hears(&["B1", "B2", "B3", "B4"]).await;
    copy.takes_its_place();
    happens(&*store, "B5").await;
    hears(&["B1", "B2", "B3", "B4", "B5"]).await;
}

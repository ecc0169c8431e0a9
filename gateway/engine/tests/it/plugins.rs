//! Plugins, good and bad, beside a real store.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use dukou_domain::{EventKind, PaymentState, Secret, TenantId};
use dukou_engine::plugin::{PluginFailure, PluginHost, PluginHostConfig, PluginOutcome, PluginTelemetry, TenantPlugin};
use dukou_engine::ports::Store;
use dukou_engine::tenant::{Tenant, Tenants};
use dukou_spi::Clock;
use dukou_spi::plugin::{
    Batch, CallbackOutcome, CallbackReply, Caller, Document, DocumentError, Host, MessageClaim, Plugin, PluginCall,
    PluginError, PluginEvent, PluginInfo, PluginLimits, PluginReply, PluginRequest, RequestMethod,
};
use serde_json::{Map, json};
use tokio::sync::watch;

use crate::support::House;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// For what never ends by itself.
const SHORT: Duration = Duration::from_secs(2);

static INFO: PluginInfo = info(PATIENCE);
static IMPATIENT: PluginInfo = info(SHORT);

const fn info(call: Duration) -> PluginInfo {
    PluginInfo {
        name: "trouble",
        calls: &[],
        pages: &[],
        callback: "",
        events: &[EventKind::PaymentPending, EventKind::PaymentSucceeded],
        raises: &[EventKind::MessageReceived],
        limits: PluginLimits { call, callback: PATIENCE, page: PATIENCE, work: SHORT, at_once: 2, body: 1024 },
    }
}

/// Does what its operation says.
#[derive(Default)]
struct Trouble {
    heard: watch::Sender<Vec<String>>,
    fail_events: AtomicUsize,
    /// A call that blocks its thread does so until the other end is gone.
    blocked: Mutex<Vec<mpsc::Receiver<()>>>,
    due: Mutex<Vec<(String, i64)>>,
}

#[async_trait]
impl Plugin for Trouble {
    async fn call(&self, host: &dyn Host, call: PluginCall) -> Result<PluginReply, PluginError> {
        match call.operation {
            "hang" => std::future::pending().await,
            "block" => {
                let until = self.blocked.lock().unwrap().pop();
                let _ = until.map(|until| until.recv());
                Ok(PluginReply::json(200, &json!({})))
            }
            "panic" => panic!("a test's bug"),
            "nonsense" => Ok(PluginReply { status: 7, headers: Vec::new(), body: Bytes::new() }),
            "lie" => {
                let lie = Batch::default().raise(EventKind::PaymentSucceeded, json!({ "out_trade_no": "B1" }));
                host.documents().write(lie).await?;
                Ok(PluginReply::json(200, &json!({})))
            }
            "keep" => {
                let document = Document::new("things", "a", json!({ "n": 1 }));
                let batch = Batch::default().put(document).raise(EventKind::MessageReceived, json!({ "n": 1 }));
                host.documents().write(batch).await?;
                Ok(PluginReply::json(201, &json!({})))
            }
            _ => Ok(PluginReply::json(200, &json!({ "tenant": host.tenant().as_str() }))),
        }
    }

    async fn callback(&self, host: &dyn Host, request: PluginRequest) -> Result<CallbackReply, PluginError> {
        let said = |outcome| Ok(CallbackReply { outcome, reply: PluginReply::json(200, &json!({})) });
        let claim = match host.claim(&request.rest).await {
            MessageClaim::Done => return said(CallbackOutcome::Duplicate),
            MessageClaim::Mine(claim) => claim,
        };
        let batch = Batch::default()
            .put(Document::new("messages", request.rest, json!({})))
            .raise(EventKind::MessageReceived, json!({}));
        let written = host.documents().write(batch).await;
        host.settle(claim, written.is_ok()).await;
        match written {
            Ok(()) => said(CallbackOutcome::Applied),
            Err(DocumentError::Conflict(_)) => said(CallbackOutcome::Duplicate),
            Err(error) => Err(error.into()),
        }
    }

    async fn event(&self, _: &dyn Host, event: &PluginEvent) -> Result<(), PluginError> {
        let number = event.data["out_trade_no"].as_str().unwrap_or_default();
        self.heard.send_modify(|heard| heard.push(format!("{} {number}", event.kind.as_str())));
        let failing = self.fail_events.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match failing {
            Ok(left) if left % 2 == 0 => panic!("a test's bug"),
            Ok(_) => std::future::pending().await,
            Err(_) => Ok(()),
        }
    }

    async fn due(&self, host: &dyn Host, document: Document) -> Result<(), PluginError> {
        self.due.lock().unwrap().push((document.key.clone(), document.version));
        if document.key == "stubborn" {
            return Err(PluginError::Internal("not now".to_owned()));
        }
        Ok(host.documents().write(Batch::default().delete(&document)).await?)
    }
}

#[derive(Default)]
struct Counted(Mutex<Vec<(&'static str, PluginOutcome)>>, Mutex<Vec<CallbackOutcome>>);

impl PluginTelemetry for Counted {
    fn worked(&self, _: &TenantId, _: &'static str, operation: &'static str, outcome: PluginOutcome, _: Duration) {
        self.0.lock().unwrap().push((operation, outcome));
    }

    fn callback(&self, _: &TenantId, _: &'static str, outcome: CallbackOutcome) {
        self.1.lock().unwrap().push(outcome);
    }

    fn behind(&self, _: &TenantId, _: &'static str, _: usize) {}
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

struct World {
    house: House,
    host: PluginHost,
    tenant: Arc<Tenant>,
    plugin: Arc<Trouble>,
    counted: Arc<Counted>,
}

fn world() -> World {
    let house = House::new();
    let plugin = Arc::new(Trouble::default());
    let tenant = with_plugin(&house, &INFO, &plugin);
    let counted = Arc::new(Counted::default());
    let host = host(&house, &tenant, &counted);
    World { house, host, tenant, plugin, counted }
}

fn with_plugin<P: Plugin + 'static>(house: &House, info: &'static PluginInfo, plugin: &Arc<P>) -> Arc<Tenant> {
    let one = TenantPlugin::new(info, Arc::<P>::clone(plugin)).unwrap();
    let plugins = BTreeMap::from([(one.name.clone(), Arc::new(one))]);
    Arc::new(Tenant { plugins, ..Tenant::clone(&house.tenant) })
}

/// One more instance over the same store.
fn host(house: &House, tenant: &Arc<Tenant>, counted: &Arc<Counted>) -> PluginHost {
    PluginHost::start(PluginHostConfig {
        store: Arc::clone(house.engine.store()),
        coordinator: Arc::new(dukou_store::ProcessCoordinator::default()),
        tenants: Arc::new(Only(Arc::clone(tenant))),
        clock: Arc::clone(&house.clock) as _,
        telemetry: Arc::clone(counted) as _,
        render: Arc::new(|event| {
            let number = match &event.subject {
                dukou_engine::records::Subject::Payment(payment) => payment.out_trade_no.to_string(),
                _ => String::new(),
            };
            Bytes::from(json!({ "data": { "out_trade_no": number } }).to_string())
        }),
        public_url: "https://pay.example.com".to_owned(),
    })
    .unwrap()
}

impl World {
    async fn call(&self, operation: &'static str) -> Result<PluginReply, PluginFailure> {
        self.call_of(&self.tenant, operation).await
    }

    async fn call_of(&self, tenant: &Arc<Tenant>, operation: &'static str) -> Result<PluginReply, PluginFailure> {
        let call = PluginCall {
            operation,
            caller: Caller::Backend { key: "backend".into() },
            path: BTreeMap::new(),
            query: Vec::new(),
            body: Map::new(),
        };
        self.host.call(tenant, "trouble", call).await
    }

    fn store(&self) -> &Arc<dyn Store> {
        self.house.engine.store()
    }
}

#[tokio::test]
async fn a_plugin_that_hangs_panics_or_answers_nonsense_fails_alone() {
    let world = world();
    let impatient = with_plugin(&world.house, &IMPATIENT, &world.plugin);
    assert!(matches!(world.call_of(&impatient, "hang").await, Err(PluginFailure::TimedOut)));
    assert!(matches!(world.call("panic").await, Err(PluginFailure::Panicked)));
    assert!(matches!(world.call("nonsense").await, Err(PluginFailure::Nonsense(_))));
    let lie = world.call("lie").await;
    assert!(
        matches!(&lie, Err(PluginFailure::Refused(PluginError::Documents(DocumentError::Refused(_))))),
        "no plugin speaks of money: {lie:?}"
    );
    assert!(world.house.events().await.is_empty());
    assert_eq!(world.call("well").await.unwrap().status, 200);
    let outcomes: Vec<PluginOutcome> = world.counted.0.lock().unwrap().iter().map(|(_, outcome)| *outcome).collect();
    use PluginOutcome::{Failed, Nonsense, Ok, Panicked, TimedOut};
    assert_eq!(outcomes, [TimedOut, Panicked, Nonsense, Failed, Ok]);
}

#[tokio::test]
async fn plugins_that_block_their_threads_delay_no_payment() {
    let world = world();
    let impatient = with_plugin(&world.house, &IMPATIENT, &world.plugin);
    let (held, blocked): (Vec<_>, Vec<_>) = (0..2).map(|_| mpsc::channel()).unzip();
    *world.plugin.blocked.lock().unwrap() = blocked;
    // As many as may be under way, and as many as there are threads.
    let block = || world.call_of(&impatient, "block");
    let ended = tokio::join!(block(), block(), block());
    assert!(matches!(ended, (Err(PluginFailure::TimedOut), Err(PluginFailure::TimedOut), Err(PluginFailure::Busy))));
    let payment = tokio::time::timeout(PATIENCE, world.house.create("B1")).await.expect("it waits for no plugin");
    assert_eq!(payment.state, PaymentState::Pending);
    let well = world.call_of(&impatient, "well").await;
    assert!(matches!(well, Err(PluginFailure::Busy)), "the threads are still blocked: {well:?}");
    drop(held);
}

#[tokio::test]
async fn a_document_and_its_event_are_written_together_once() {
    let world = world();
    world.call("keep").await.unwrap();
    let again = world.call("keep").await;
    assert!(matches!(again, Err(PluginFailure::Refused(PluginError::Documents(DocumentError::Conflict(_))))));
    let events = world.house.events().await;
    assert_eq!(events.iter().map(|event| event.event.kind).collect::<Vec<_>>(), [EventKind::MessageReceived]);
}

#[tokio::test]
async fn one_message_at_once_over_two_instances_has_one_effect() {
    let world = world();
    let other = host(&world.house, &world.tenant, &world.counted);
    let request = || PluginRequest {
        method: RequestMethod::Post,
        rest: "M1".to_owned(),
        query: Vec::new(),
        headers: Vec::new(),
        body: Bytes::new(),
    };
    let send = |host: PluginHost| async move { host.callback("shop", "trouble", request()).await };
    let copies = futures_util::future::join_all((0..2).flat_map(|_| [send(world.host.clone()), send(other.clone())]));
    for answer in copies.await {
        assert_eq!(answer.unwrap().status, 200);
    }
    send(other).await.unwrap();
    let outcomes = world.counted.1.lock().unwrap().clone();
    let applied = outcomes.iter().filter(|outcome| **outcome == CallbackOutcome::Applied).count();
    assert_eq!((outcomes.len(), applied, world.house.events().await.len()), (5, 1, 1));
}

#[tokio::test]
async fn what_is_due_is_handed_over_and_comes_again_until_it_is_done() {
    let world = world();
    let owner = dukou_engine::ports::DocumentOwner {
        tenant: Some(world.tenant.id.clone()),
        plugin: dukou_domain::PluginName::new("trouble").unwrap(),
    };
    let now = world.house.clock.now();
    let at = |key: &str, seconds| Document::new("things", key, json!({})).due(now.plus(Duration::from_secs(seconds)));
    let writes = [at("later", 3600), at("first", 0), at("stubborn", 0)].map(dukou_spi::plugin::Write::Put);
    world.store().plugins().write_documents(&owner, writes.to_vec(), Vec::new()).await.unwrap();
    assert_eq!(world.host.run_due().await, 2);
    assert_eq!(world.host.run_due().await, 0, "what is leased is left alone");
    world.house.wait(Duration::from_secs(61));
    assert_eq!(world.host.run_due().await, 1);
    let mut seen = world.plugin.due.lock().unwrap().clone();
    seen.sort();
    assert_eq!(seen, [("first".to_owned(), 2), ("stubborn".to_owned(), 2), ("stubborn".to_owned(), 3)]);
    assert!(world.store().plugins().document(&owner, "things", "first").await.unwrap().is_none());
}

#[tokio::test]
async fn events_are_heard_in_order_at_least_once_from_a_place_that_lasts() {
    let world = world();
    world.house.create("BEFORE").await;
    let (stop, stopping) = watch::channel(false);
    let following = tokio::spawn(world.host.clone().follow_events(stopping));
    let heard = |count: usize| {
        let mut heard = world.plugin.heard.subscribe();
        async move {
            let all = heard.wait_for(|heard| heard.len() >= count);
            tokio::time::timeout(Duration::from_secs(15), all).await.expect("it is heard").unwrap().clone()
        }
    };
    // It has its place from the moment it was there, not from the log's beginning.
    let owner = (&world.tenant.id, &dukou_domain::PluginName::new("trouble").unwrap());
    world.store().plugins().plugin_cursor(owner.0, owner.1).await.unwrap();
    // The first fails by hanging, then by a panic; then it goes through.
    world.plugin.fail_events.store(2, Ordering::SeqCst);
    world.house.create("B1").await;
    world.house.create("B2").await;
    let all = heard(4).await;
    let told: Vec<&str> = all.iter().map(String::as_str).collect();
    assert_eq!(told, ["payment.pending B1", "payment.pending B1", "payment.pending B1", "payment.pending B2"]);
    stop.send_replace(true);
    following.await.unwrap();
    // Another life of the process goes on where this one was.
    world.house.create("B3").await;
    let again = host(&world.house, &world.tenant, &world.counted);
    let (_stop, stopping) = watch::channel(false);
    tokio::spawn(again.follow_events(stopping));
    let all = heard(5).await;
    assert_eq!(all[4..], ["payment.pending B3".to_owned()]);
}

#[tokio::test]
async fn sealed_secrets_open_only_where_they_belong() {
    #[derive(Default)]
    struct Sealer(Mutex<Vec<String>>);

    #[async_trait]
    impl Plugin for Sealer {
        async fn call(&self, host: &dyn Host, _: PluginCall) -> Result<PluginReply, PluginError> {
            let sealed = host.documents().seal("token", &Secret::new("hush")).await?;
            assert!(!sealed.contains("hush"));
            assert_eq!(host.documents().open("token", &sealed).await?.expose(), "hush");
            let mut broken = sealed.clone();
            broken.replace_range(..1, if sealed.starts_with('A') { "B" } else { "A" });
            assert!(host.documents().open("token", &broken).await.is_err());
            assert!(host.documents().open("other", &sealed).await.is_err());
            assert!(host.shared_documents().open("token", &sealed).await.is_err());
            self.0.lock().unwrap().push(sealed);
            Ok(PluginReply::json(200, &json!({})))
        }
    }

    let mut world = world();
    let sealer = Arc::new(Sealer::default());
    world.tenant = with_plugin(&world.house, &INFO, &sealer);
    world.call("seal").await.unwrap();
    world.call("seal").await.unwrap();
    let sealed = sealer.0.lock().unwrap();
    assert_ne!(sealed[0], sealed[1], "no nonce is used twice");
}

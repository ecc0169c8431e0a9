//! Takes what is due, sends it, and hands on what became of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use dukou_domain::{DeliveryState, TenantId, Timestamp};
use dukou_engine::delivery::{Backlog, Leased, Try};
use dukou_engine::ports::StoreError;
use dukou_engine::records::NewEvent;
use dukou_engine::{Engine, LastingTrouble, Made, OwnThreads, Place, TRACE_TARGET};
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tracing::{Instrument as _, Span};

use crate::load::{Load, UNPROVEN};
use crate::recorder;
use crate::sender::Sender;

/// How often to look when nothing wakes: clocks move, and people ask for a retry.
const LOOK_PERIOD: Duration = Duration::from_millis(500);
/// Events that come within this time are entered together; a read for each commit would cost
/// those who pay.
const GATHER: Duration = Duration::from_millis(5);
/// Between two attempts at a store that is away.
const PAUSE: Duration = Duration::from_secs(1);
/// How often what waits is counted.
const COUNT_PERIOD: Duration = Duration::from_secs(5);
/// Threads that messages are sent on: more than the deliveries that an endpoint has at the same time which took nothing
/// yet, so that one that keeps its threads busy leaves others to the rest. It can: interim answers without end are read
/// by the HTTP library within one turn, which holds up whatever else is on the same thread.
const THREADS: usize = UNPROVEN as usize + 2;
/// How long what is under way may go on after the stop was asked for; the rest is repeated.
const GRACE: Duration = Duration::from_secs(5);

/// Writes an event as the event log shows it.
pub type Render = Arc<dyn Fn(&NewEvent) -> Bytes + Send + Sync>;

/// Counts. Labels come from the configuration and from a closed list.
pub trait WebhookTelemetry: Send + Sync {
    /// A try ended, and left its delivery in this state.
    fn delivery(&self, tenant: &TenantId, state: DeliveryState);

    /// What a message is sent with, so that its receiver goes on with the trace (W3C Trace Context).
    fn traceparent(&self) -> Option<String> {
        None
    }

    /// A span began that is about a payment.
    fn about(&self, _span: &tracing::Span, _tenant: &TenantId, _out_trade_no: &str) {}

    /// What waits at this moment; a tenant that is not in it has nothing waiting.
    fn backlog(&self, backlog: &[Backlog], now: Timestamp);
}

/// The limits of the worker.
pub struct WorkerOptions {
    /// Whom to trust.
    pub tls: rustls::ClientConfig,
    /// From connecting to the head of the answer.
    pub timeout: Duration,
    /// Deliver to loopback and private addresses too: for a sandbox.
    pub allow_private_networks: bool,
    /// Deliveries of one tenant at the same time.
    pub per_tenant: u32,
    /// Deliveries at the same time.
    pub in_all: u32,
}

impl WorkerOptions {
    /// The usual limits.
    pub fn new(tls: rustls::ClientConfig) -> Self {
        let timeout = Duration::from_secs(15);
        WorkerOptions { tls, timeout, allow_private_networks: false, per_tenant: 16, in_all: 512 }
    }
}

/// What the worker needs cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum InvalidWorker {
    #[error("the client of the webhooks cannot be made: {0}")]
    Client(reqwest::Error),
    #[error("the threads of the webhooks cannot be started: {0}")]
    Threads(std::io::Error),
}

/// Deliveries being made.
pub struct Worker {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    /// Ends with the worker.
    _threads: OwnThreads,
}

impl Worker {
    /// Begins to deliver; to be called on a runtime, which does the bookkeeping. Messages are sent on threads of the
    /// worker's own.
    ///
    /// # Errors
    /// [`InvalidWorker`].
    pub fn start(
        engine: Arc<Engine>,
        render: Render,
        telemetry: Arc<dyn WebhookTelemetry>,
        options: WorkerOptions,
    ) -> Result<Self, InvalidWorker> {
        let sender =
            Sender::new(options.tls, options.timeout, options.allow_private_networks, dukou_transport::system_lookup())
                .map_err(InvalidWorker::Client)?;
        let own_threads = OwnThreads::start("webhooks", THREADS).map_err(InvalidWorker::Threads)?;
        let threads = own_threads.handle().clone();
        let (stop, stopping) = watch::channel(false);
        let (tried, tries) = mpsc::unbounded_channel();
        let load = Mutex::new(Load::new(options.per_tenant.max(1), options.in_all.max(1)));
        let (own, heard, wake) = (Arc::clone(&engine), Arc::clone(&telemetry), Notify::new());
        let shared = Arc::new(Shared { engine: own, telemetry: heard, render, sender, threads, load, wake });
        let tasks = vec![
            tokio::spawn(enter(Arc::clone(&shared), stopping.clone())),
            tokio::spawn(dispatch(shared, tried, stopping.clone())),
            tokio::spawn(recorder::run(Arc::clone(&engine), Arc::clone(&telemetry), tries, stopping.clone())),
            tokio::spawn(count(engine, telemetry, stopping)),
        ];
        Ok(Worker { stop, tasks, _threads: own_threads })
    }

    /// Takes nothing more, gives what is under way a few seconds and enters what became of it.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a part of the webhook worker ended by a panic");
            }
        }
    }
}

struct Shared {
    engine: Arc<Engine>,
    telemetry: Arc<dyn WebhookTelemetry>,
    render: Render,
    sender: Sender,
    threads: Handle,
    load: Mutex<Load>,
    /// Something may be due, or somebody may have room again.
    wake: Notify,
}

impl Shared {
    fn load(&self) -> MutexGuard<'_, Load> {
        self.load.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows the event log.
async fn enter(shared: Arc<Shared>, mut stopping: watch::Receiver<bool>) {
    let mut committed = shared.engine.store().watch();
    let mut place = Place::default();
    let trouble = LastingTrouble::default();
    while !*stopping.borrow() {
        match shared.engine.enter_deliveries(&mut place).await {
            Ok(entered) => {
                if trouble.ends() {
                    tracing::info!("deliveries are entered again");
                }
                if entered.deliveries > 0 {
                    shared.wake.notify_one();
                }
                if entered.more {
                    continue;
                }
                tokio::select! {
                    // A store that is gone wakes nobody any more, and fails the next call.
                    _ = tokio::time::timeout(LOOK_PERIOD, committed.changed()) => tokio::time::sleep(GATHER).await,
                    () = stopped(&mut stopping) => {}
                }
            }
            // Whoever shares the log was faster, as one of them always is.
            Err(error @ StoreError::Conflict(_)) => {
                tracing::debug!(%error, "deliveries are entered by another");
                pause(GATHER, &mut stopping).await;
            }
            Err(error @ (StoreError::Unavailable(_) | StoreError::Unknown(_) | StoreError::Corrupt(_))) => {
                if trouble.begins() {
                    tracing::warn!(%error, "cannot enter deliveries");
                }
                pause(PAUSE, &mut stopping).await;
            }
        }
    }
}

/// Takes what is due as long as there is room.
async fn dispatch(shared: Arc<Shared>, tried: mpsc::UnboundedSender<Made>, mut stopping: watch::Receiver<bool>) {
    let mut under_way = JoinSet::new();
    let trouble = LastingTrouble::default();
    while !*stopping.borrow() {
        while let Some(ended) = under_way.try_join_next() {
            note_panic(ended);
        }
        let taken = take(&shared, &tried, &mut under_way).await;
        if taken.is_ok() && trouble.ends() {
            tracing::info!("due deliveries are looked for again");
        }
        let wait = match taken {
            Ok(None) => continue,
            Ok(Some(wait)) => wait,
            Err(error) => {
                if trouble.begins() {
                    tracing::warn!(%error, "cannot look for due deliveries");
                }
                pause(PAUSE, &mut stopping).await;
                continue;
            }
        };
        tokio::select! {
            () = shared.wake.notified() => {}
            () = tokio::time::sleep(wait) => {}
            () = stopped(&mut stopping) => {}
        }
    }
    let all = async {
        while let Some(ended) = under_way.join_next().await {
            note_panic(ended);
        }
    };
    if tokio::time::timeout(GRACE, all).await.is_err() {
        tracing::info!(count = under_way.len(), "deliveries under way are broken off and repeated at the next start");
        under_way.shutdown().await;
    }
}

/// Takes once. `None` when there may be more at once, else how long to wait for it.
async fn take(
    shared: &Arc<Shared>,
    tried: &mpsc::UnboundedSender<Made>,
    under_way: &mut JoinSet<()>,
) -> Result<Option<Duration>, StoreError> {
    let load = shared.load().clone();
    let free = load.free();
    if free == 0 {
        return Ok(Some(LOOK_PERIOD));
    }
    let engine = Arc::clone(&shared.engine);
    // Without a webhook there is nowhere to send it to; it waits until there is.
    let room =
        Box::new(move |tenant: &TenantId| if engine.has_webhook(tenant) == Some(true) { load.room(tenant) } else { 0 });
    let lease = shared.engine.lease_deliveries(free, room).await?;
    if lease.taken.is_empty() {
        let now = shared.engine.clock().now();
        return Ok(Some(lease.next_at.map_or(LOOK_PERIOD, |at| at.since(now)).min(LOOK_PERIOD)));
    }
    for leased in lease.taken {
        let slot = Slot::begin(Arc::clone(shared), leased.delivery.tenant.clone());
        under_way.spawn_on(deliver(leased, slot, tried.clone()), &shared.threads);
    }
    Ok(None)
}

/// One try.
async fn deliver(leased: Leased, mut slot: Slot, tried: mpsc::UnboundedSender<Made>) {
    let shared = Arc::clone(&slot.shared);
    let tenant = shared.engine.tenants().find_even_removed(leased.delivery.tenant.as_str());
    // Taken out of the configuration a moment ago: it comes again when the lease is over.
    let Some(webhook) = tenant.as_ref().and_then(|tenant| tenant.webhook.as_ref()) else { return };
    let body = (shared.render)(&leased.event);
    let at = shared.engine.clock().now();
    let started = Instant::now();
    let span = span(&shared, &leased);
    let answer = async {
        let traceparent = shared.telemetry.traceparent();
        shared.sender.send(webhook, leased.delivery.event, at, body, traceparent).await
    };
    let answer = answer.instrument(span).await;
    let millis = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
    slot.failed = Some(answer.error.is_some());
    let attempt = Try { number: 0, at, status: answer.status, error: answer.error, millis };
    // The recorder ends only after us.
    let _ = tried.send(Made::new(leased, attempt));
}

/// For those who collect traces; otherwise none.
fn span(shared: &Shared, leased: &Leased) -> Span {
    let (tenant, kind) = (&leased.delivery.tenant, leased.delivery.kind.as_str());
    let span = tracing::debug_span!(
        target: TRACE_TARGET, "webhook", %tenant, event_type = kind, request_id = %leased.delivery.id
    );
    if !span.is_disabled()
        && let Some(number) = leased.event.subject.out_trade_no()
    {
        shared.telemetry.about(&span, tenant, number.as_str());
    }
    span
}

/// One delivery under way, counted for as long as it lives, also through a panic.
struct Slot {
    shared: Arc<Shared>,
    tenant: TenantId,
    failed: Option<bool>,
}

impl Slot {
    fn begin(shared: Arc<Shared>, tenant: TenantId) -> Self {
        shared.load().begin(&tenant);
        Slot { shared, tenant, failed: None }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.load().end(&self.tenant, self.failed);
        self.shared.wake.notify_one();
    }
}

/// Counts what waits.
async fn count(engine: Arc<Engine>, telemetry: Arc<dyn WebhookTelemetry>, mut stopping: watch::Receiver<bool>) {
    while !*stopping.borrow() {
        match engine.store().deliveries().backlog().await {
            Ok(mut backlog) => {
                // What another instance wants, or somebody wanted once, is nobody's trouble here.
                backlog.retain(|one| engine.has_webhook(&one.tenant) != Some(false));
                telemetry.backlog(&backlog, engine.clock().now());
            }
            Err(error) => tracing::debug!(%error, "cannot count what waits for webhooks"),
        }
        pause(COUNT_PERIOD, &mut stopping).await;
    }
}

async fn pause(period: Duration, stopping: &mut watch::Receiver<bool>) {
    // Either is an end of the pause.
    let _ = tokio::time::timeout(period, stopped(stopping)).await;
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    let _ = stopping.wait_for(|stop| *stop).await;
}

fn note_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a delivery panicked; it comes again when its lease is over");
    }
}

#[cfg(test)]
mod tests;

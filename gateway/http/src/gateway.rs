//! What the routes share, and what they need from outside.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use dukou_engine::Engine;
use dukou_engine::plugin::PluginHost;
use dukou_spi::plugin::PluginInfo;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::client_address::TrustedProxies;
use crate::endpoints::{self, Endpoint};
use crate::hub::EventHub;
use crate::limits::{LimitConfig, Limits};
use crate::openapi::Document;
use crate::unkept::Unkept;

/// The limits of a listener.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// Largest request body, in bytes.
    pub body_limit: usize,
    /// A connection that has not sent a whole request head after this long is cut.
    pub header_read_timeout: Duration,
    /// A request body that is not complete after this long is refused and the connection cut.
    pub body_read_timeout: Duration,
    /// A connection whose reader takes nothing of a long answer for so long is cut.
    pub stall_timeout: Duration,
    /// How long an idle connection is kept open for the next request.
    pub keep_alive: Duration,
    /// Open connections at the same time, over all threads; half of them may be event streams.
    pub max_connections: usize,
    /// Threads that serve connections.
    pub workers: usize,
    /// How long requests in flight may go on after a stop was asked for.
    pub shutdown_timeout: Duration,
    /// How often a mini-program may ask.
    pub limits: LimitConfig,
    /// Proxies whose word about a client's address is believed.
    pub trusted_proxies: TrustedProxies,
}

impl Default for HttpConfig {
    fn default() -> Self {
        HttpConfig {
            body_limit: 256 * 1024,
            header_read_timeout: Duration::from_secs(5),
            body_read_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(5),
            max_connections: 20_000,
            workers: std::thread::available_parallelism().map_or(1, usize::from),
            shutdown_timeout: Duration::from_secs(30),
            limits: LimitConfig::default(),
            trusted_proxies: TrustedProxies::default(),
        }
    }
}

/// Counts requests. Every label comes from a closed list.
pub trait HttpTelemetry: Send + Sync {
    /// A request was answered. `route` is the pattern of the route (`/v1/{tenant}/payments`) or
    /// `unmatched`; `method` is one of HTTP's own or `OTHER`.
    fn request(&self, route: &str, method: &'static str, status: u16, took: Duration);

    /// A request's span is about to begin; its caller may have named the trace that it belongs to (W3C
    /// Trace Context).
    fn begin(&self, _span: &tracing::Span, _traceparent: Option<&str>) {}
}

/// What every route of the public listener works with.
pub struct Gateway {
    pub engine: Arc<Engine>,
    /// Names this process as the one that runs a call under an idempotency key.
    pub instance: Uuid,
    pub telemetry: Arc<dyn HttpTelemetry>,
    pub config: HttpConfig,
    pub plugins: PluginHost,
    /// Everything that the public listener serves, the plugins' own included.
    pub(crate) endpoints: Arc<[Endpoint]>,
    pub document: Document,
    pub(crate) limits: Limits,
    pub(crate) hub: Arc<EventHub>,
    pub(crate) unkept: Arc<Unkept>,
    /// Where calls run that move money: they go on when their caller hangs up.
    runtime: Handle,
    running: watch::Sender<usize>,
}

impl Gateway {
    /// Calls that move money run on `runtime`, which must outlive the server. `offered` are the plugins
    /// that a tenant may have.
    pub fn new(
        engine: Arc<Engine>,
        instance: Uuid,
        telemetry: Arc<dyn HttpTelemetry>,
        config: HttpConfig,
        (plugins, offered): (PluginHost, &[&'static PluginInfo]),
        runtime: Handle,
    ) -> Self {
        let limits = Limits::new(&config.limits);
        let hub = EventHub::start(Arc::clone(engine.store()), config.max_connections / 2, &runtime);
        let endpoints = endpoints::public(offered).into();
        let document = Document::new(offered);
        let unkept = Arc::new(Unkept::default());
        let settling = Arc::clone(&unkept).keep_settling(Arc::clone(engine.store()), instance, hub.stopping());
        runtime.spawn(settling);
        Gateway {
            engine,
            instance,
            telemetry,
            config,
            plugins,
            endpoints,
            document,
            limits,
            hub,
            unkept,
            runtime,
            running: watch::Sender::new(0),
        }
    }

    /// Ends the event streams, which would otherwise go on until a stop's last moment.
    pub fn end_streams(&self) {
        self.hub.stop();
    }

    /// Runs work that is finished even when nobody waits for it any more.
    pub(crate) fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        let guard = Running::begin(self.running.clone());
        self.runtime.spawn(async move {
            let _guard = guard;
            work.await
        })
    }

    /// Waits until no spawned call is under way, and writes how calls ended that the store did not take before, if
    /// it does now; to be called between the stop of the server and the end of the process, with a deadline around it.
    pub async fn idle(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        let _ = self.running.subscribe().wait_for(|running| *running == 0).await;
        if !self.unkept.settle_all(self.engine.store().as_ref(), self.instance).await {
            tracing::error!("some idempotency keys stay in progress until another start");
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.hub.stop();
    }
}

/// Counts one call for as long as it lives, also through a panic.
struct Running(watch::Sender<usize>);

impl Running {
    fn begin(counter: watch::Sender<usize>) -> Self {
        counter.send_modify(|running| *running += 1);
        Running(counter)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.send_modify(|running| *running = running.saturating_sub(1));
    }
}

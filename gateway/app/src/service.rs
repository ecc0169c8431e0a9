//! Puts the parts together, and takes them apart in the right order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::web::{Data, ServiceConfig};
use anyhow::Context as _;
use dukou_console::Console;
use dukou_engine::plugin::{PluginHost, PluginHostConfig};
use dukou_engine::ports::{Coordinator, Store};
use dukou_engine::{Engine, EngineConfig};
use dukou_http::{AdminState, AdminToken, Gateway, HttpConfig};
use dukou_store::{ProcessCoordinator, ProcessOptions, RedisCoordinator, RedisOptions, SteadySchedules};
use dukou_webhook::{Worker, WorkerOptions};
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use crate::config::{GatewaySettings, RedisSettings, StoragePlace, TenantFiles};
use crate::jobs::Jobs;
use crate::ledger::{Ledger, Waiting};
use crate::listeners::{listen, run};
use crate::metrics::{Announcer, Metrics, ReloadMetrics};
use crate::open_files;
use crate::open_work;
use crate::others::Others;
use crate::outside::{Outside, SystemClock};
use crate::plugins;
use crate::readiness::{self, GatewayReadiness};
use crate::reload::{Asked, Reload};
use crate::retention::Retention;
use crate::tenants::ServedTenants;
use crate::trust;

/// How long what is in flight may go on after the stop was asked for.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);

/// A running gateway.
pub struct Service {
    /// Where it really listens; the configuration may have said port 0.
    pub public: SocketAddr,
    pub admin: SocketAddr,
    public_server: ServerHandle,
    admin_server: ServerHandle,
    gateway: Data<Gateway>,
    engine: Arc<Engine>,
    console: Arc<Console>,
    jobs: Jobs,
    webhooks: Worker,
    plugins: PluginHost,
    ledger: Ledger,
    draining: Arc<AtomicBool>,
    tenants: Arc<ServedTenants>,
    announcer: Announcer,
    reload_metrics: Arc<ReloadMetrics>,
    others: Others,
}

impl Service {
    /// Starts everything; returns when requests are answered.
    ///
    /// # Errors
    /// When an address or the store cannot be had; the text says which.
    pub async fn start(settings: GatewaySettings, tenants: &TenantFiles, outside: &Outside) -> anyhow::Result<Self> {
        let max_connections = open_files::room_for(HttpConfig::default().max_connections);
        let (public_listener, public) = listen(settings.listen, "server.listen")?;
        let (admin_listener, admin) = listen(settings.admin_listen, "admin.listen")?;

        let waiting = Waiting::new(&public_listener, &admin_listener);
        let (ledger, console_key) = Ledger::open(&settings.storage, waiting).await?;
        let store = ledger.store();
        let mut metrics = Metrics::new().context("metrics")?;
        let redis = match settings.redis {
            None => None,
            Some(RedisSettings { url, prefix }) => {
                // Redis may be away: then this says so, and the gateway works without it.
                let options = RedisOptions { url, prefix };
                let redis = Arc::new(RedisCoordinator::connect(options, ledger.served()).await);
                metrics.watch_redis(Arc::clone(&redis)).context("metrics")?;
                Some(redis)
            }
        };
        let others = Others::meet(redis.as_ref(), &ledger);
        let coordinator: Arc<dyn Coordinator> = match &redis {
            None => Arc::new(ProcessCoordinator::new(ProcessOptions::default())),
            Some(redis) => Arc::clone(redis) as _,
        };
        metrics.watch_clocks(Arc::clone(&outside.clocks)).context("metrics")?;
        if let StoragePlace::Sqlite(path) = &settings.storage.place {
            metrics.watch_store_files(path).context("metrics")?;
        }
        let announcer = metrics.announcer();
        for settings in tenants.served() {
            announcer.announce(&settings.tenant);
        }
        metrics.reload.refused_files.set(i64::try_from(tenants.refused()).unwrap_or(i64::MAX));
        let tenants = Arc::new(ServedTenants::new(tenants.served()));
        let time = Arc::new(ledger.time().await.context("the time that plans are kept in")?);
        let steady = SteadySchedules::new(store, Arc::clone(&time));
        let measured: Arc<dyn Store> = Arc::new(metrics.measure(Arc::new(steady)));
        outside.shelf.open(Arc::clone(&measured));
        let shared = outside.shared.open(Arc::clone(&measured), Arc::clone(&coordinator), Arc::new(SystemClock));
        shared.context("the state that providers share")?;
        metrics.watch_trust(Arc::clone(&tenants)).context("metrics")?;
        let plugins = PluginHost::start(PluginHostConfig {
            store: Arc::clone(&measured),
            coordinator: Arc::clone(&coordinator),
            tenants: Arc::clone(&tenants) as _,
            clock: Arc::new(SystemClock),
            telemetry: Arc::clone(&metrics.plugin) as _,
            render: Arc::new(dukou_http::dto::event_json),
            public_url: settings.public_url.clone(),
        })
        .context("cannot start the plugins' threads")?;
        let engine = Arc::new(Engine::new(
            EngineConfig {
                public_url: settings.public_url,
                expires_after: settings.expires_after,
                session_expires_after: settings.session_expires_after,
                schedule: settings.schedule,
            },
            Arc::clone(&measured),
            Arc::clone(&coordinator),
            Arc::clone(&tenants) as _,
            Arc::new(SystemClock),
            Arc::clone(&metrics.engine) as _,
        ));

        let draining = Arc::new(AtomicBool::new(false));
        let readiness =
            Arc::new(GatewayReadiness { store: measured, coordinator, redis, clocks: Arc::clone(&outside.clocks) });
        let config = HttpConfig {
            body_limit: settings.body_limit,
            shutdown_timeout: DRAIN_LIMIT,
            limits: settings.limits,
            trusted_proxies: settings.trusted_proxies,
            max_connections,
            ..HttpConfig::default()
        };
        let admin_config = config.clone();
        let gateway = Data::new(Gateway::new(
            Arc::clone(&engine),
            uuid::Uuid::now_v7(),
            Arc::clone(&metrics.http) as _,
            config,
            (plugins.clone(), &plugins::infos()),
            Handle::current(),
        ));
        let (open_metrics, reload_metrics) = (Arc::clone(&metrics.open), Arc::clone(&metrics.reload));
        let (webhook_metrics, ready_metrics) = (Arc::clone(&metrics.webhook), Arc::clone(&metrics.ready));
        let checks = Arc::clone(&readiness);
        let retention = Retention { settings: settings.retention, metrics: Arc::clone(&metrics.retention) };
        let render_metrics: Arc<dyn Fn() -> String + Send + Sync> = Arc::new(move || metrics.render());
        let token = AdminToken::new(settings.admin_token, admin_config.trusted_proxies.clone());
        let console = Console::new(
            Arc::clone(&engine),
            Arc::clone(&readiness) as _,
            token.clone(),
            &console_key,
            Arc::clone(&render_metrics),
        );
        let console = Arc::new(console.context("the console")?);
        let state = Data::new(AdminState {
            render_metrics,
            readiness,
            draining: Arc::clone(&draining),
            document: gateway.document.clone(),
            engine: Arc::clone(&engine),
            token,
        });
        let public_server = run(dukou_http::serve_public(public_listener, gateway.clone())?);
        let admin_server = {
            let console = Arc::clone(&console);
            let more = move |routes: &mut ServiceConfig| dukou_console::configure(routes, &console);
            run(dukou_http::serve_admin(admin_listener, admin_config, state, more)?)
        };
        let mut jobs = Jobs::start(&engine, retention);
        let served = Arc::clone(&tenants);
        jobs.add(|stopping| trust::renew(served, stopping));
        jobs.add(|stopping| ledger.clone().keep_time(time, stopping));
        let recorder = Arc::clone(&engine);
        jobs.add(|stopping| async move { recorder.keep_calls(stopping).await });
        jobs.add(|stopping| Arc::clone(&console).watch(stopping));
        jobs.add(|stopping| plugins.clone().follow_events(stopping));
        jobs.add(|stopping| plugins.clone().look_after_documents(stopping));
        jobs.add(|stopping| readiness::watch(checks, ready_metrics, stopping));
        jobs.add(|stopping| open_work::watch(Arc::clone(&engine), open_metrics, stopping));
        let webhooks = Worker::start(
            Arc::clone(&engine),
            Arc::new(dukou_http::dto::event_json),
            webhook_metrics,
            WorkerOptions {
                timeout: settings.webhook_timeout,
                allow_private_networks: settings.allow_private_networks,
                ..WorkerOptions::new(dukou_transport::public_tls().context("the webhooks' TLS")?)
            },
        )?;
        Ok(Service {
            public,
            admin,
            public_server,
            admin_server,
            gateway,
            engine,
            console,
            jobs,
            webhooks,
            plugins,
            ledger,
            draining,
            tenants,
            announcer,
            reload_metrics,
            others,
        })
    }

    /// Follows changes of the tenants' files from now on, which are those it was started with, and looks at once when
    /// it is `asked`.
    pub fn follow(&mut self, files: TenantFiles, asked: Asked) {
        let reload = Reload {
            files,
            tenants: Arc::clone(&self.tenants),
            metrics: Arc::clone(&self.reload_metrics),
            announcer: self.announcer.clone(),
            others: std::mem::take(&mut self.others),
            asked,
        };
        self.jobs.add(|stopping| reload.run(stopping));
    }

    /// Stops taking requests, finishes what is in flight (30 s at most), and closes the store. The
    /// admin listener goes last, so that a probe can see what happens.
    pub async fn stop(self) {
        let deadline = Instant::now() + DRAIN_LIMIT;
        self.draining.store(true, Ordering::Release);
        self.gateway.end_streams();
        self.console.end_streams();
        let requests = async {
            tokio::join!(self.public_server.stop(true), self.webhooks.stop());
            self.gateway.idle().await;
        };
        let (requests, questions) =
            tokio::join!(timeout_at(deadline, requests), timeout_at(deadline, self.jobs.stop()));
        if requests.is_err() {
            tracing::warn!("some requests were still running after {DRAIN_LIMIT:?}");
        }
        if questions.is_err() {
            tracing::warn!("some questions to platforms were still out after {DRAIN_LIMIT:?}");
        }
        // What was called until now is part of its payment's history.
        self.engine.write_calls().await;
        self.plugins.stop();
        self.ledger.close().await;
        self.admin_server.stop(false).await;
    }
}

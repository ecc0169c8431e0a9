//! Running a plugin, with everything that is the same for all of them around it.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use dukou_domain::{PluginName, TenantId};
use dukou_spi::Clock;
use dukou_spi::plugin::{CallbackOutcome, Plugin, PluginCall, PluginError, PluginReply, PluginRequest};
use futures_util::FutureExt;
use tokio::sync::Semaphore;

use super::documents::SealingKeys;
use super::host::TenantHost;
use super::{PluginFailure, PluginOutcome, PluginTelemetry, TenantPlugin};
use crate::lasting_trouble::LastingTrouble;
use crate::log_limit::LogLimit;
use crate::own_threads::OwnThreads;
use crate::ports::{Coordinator, Store};
use crate::records::NewEvent;
use crate::tenant::{Tenant, Tenants};

/// Threads of the plugins. One that blocks takes nothing from the payments.
const THREADS: usize = 2;
/// How long to wait for a place while as many are under way as may be.
const ROOM_PATIENCE: Duration = Duration::from_secs(1);
/// A longer answer is none.
const LARGEST_REPLY: usize = 1024 * 1024;
/// Headers that are the listener's affair.
const NOT_A_PLUGINS: [&str; 5] = ["connection", "content-length", "date", "transfer-encoding", "x-request-id"];

/// Writes an event as the API shows it.
pub type Render = Arc<dyn Fn(&NewEvent) -> Bytes + Send + Sync>;

/// What the plugins work with.
pub struct PluginHostConfig {
    pub store: Arc<dyn Store>,
    pub coordinator: Arc<dyn Coordinator>,
    pub tenants: Arc<dyn Tenants>,
    pub clock: Arc<dyn Clock>,
    pub telemetry: Arc<dyn PluginTelemetry>,
    pub render: Render,
    /// Where the gateway is reached, without a trailing slash.
    pub public_url: String,
}

/// Runs the plugins of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct PluginHost {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub config: PluginHostConfig,
    pub keys: Arc<SealingKeys>,
    /// Which messages at callback addresses were refused lately: anybody can send them.
    refused: Arc<LogLimit<RefusedKind>>,
    /// What is due cannot be looked for.
    pub due_trouble: LastingTrouble,
    threads: OwnThreads,
}

/// What a plugin is asked to do, and within what.
pub(super) struct Task {
    pub operation: &'static str,
    pub limit: Duration,
    pub room: Arc<Semaphore>,
}

/// Whose message at a callback address was refused, which plugin's, and why.
type RefusedKind = (TenantId, &'static str, &'static str);

impl Shared {
    fn tell_of_refused(&self, tenant: TenantId, plugin: &'static str, outcome: CallbackOutcome) {
        let reason = outcome.as_str();
        match outcome {
            CallbackOutcome::BadSignature | CallbackOutcome::Malformed => {
                self.refused.note((tenant.clone(), plugin, reason), move |left_out| {
                    tracing::warn!(%tenant, plugin, reason, left_out, "a message at a callback address was refused");
                });
            }
            CallbackOutcome::Applied
            | CallbackOutcome::Duplicate
            | CallbackOutcome::Unknown
            | CallbackOutcome::PassedOn => {}
        }
    }
}

impl PluginHost {
    /// Starts the plugins' threads.
    ///
    /// # Errors
    /// When the system refuses them.
    pub fn start(config: PluginHostConfig) -> std::io::Result<Self> {
        let threads = OwnThreads::start("plugins", THREADS)?;
        let shared = Shared {
            config,
            keys: Arc::default(),
            refused: Arc::default(),
            due_trouble: LastingTrouble::default(),
            threads,
        };
        Ok(PluginHost { shared: Arc::new(shared) })
    }

    /// Ends the threads, whatever they do. Who asks afterwards is told that the plugin is busy.
    pub fn stop(&self) {
        self.shared.threads.stop();
    }

    /// Makes one of the plugin's own calls.
    ///
    /// # Errors
    /// [`PluginFailure`].
    pub async fn call(
        &self,
        tenant: &Arc<Tenant>,
        plugin: &str,
        call: PluginCall,
    ) -> Result<PluginReply, PluginFailure> {
        let plugin = find(tenant, plugin)?;
        let task =
            Task { operation: call.operation, limit: plugin.info.limits.call, room: Arc::clone(&plugin.rooms.calls) };
        self.answer(tenant, &plugin, task, move |plugin, host| async move { plugin.call(&host, call).await }).await
    }

    /// Shows one of the plugin's own pages.
    ///
    /// # Errors
    /// [`PluginFailure`].
    pub async fn page(
        &self,
        tenant: &str,
        plugin: &str,
        operation: &'static str,
        request: PluginRequest,
    ) -> Result<PluginReply, PluginFailure> {
        let tenant = self.shared.config.tenants.find(tenant).ok_or(PluginFailure::NotThere)?;
        let plugin = find(&tenant, plugin)?;
        let task = Task { operation, limit: plugin.info.limits.page, room: Arc::clone(&plugin.rooms.pages) };
        self.answer(&tenant, &plugin, task, move |plugin, host| async move { plugin.page(&host, request).await }).await
    }

    /// Hands over what came to the plugin's callback address.
    ///
    /// # Errors
    /// [`PluginFailure`].
    pub async fn callback(
        &self,
        tenant: &str,
        plugin: &str,
        request: PluginRequest,
    ) -> Result<PluginReply, PluginFailure> {
        let tenant = self.shared.config.tenants.find(tenant).ok_or(PluginFailure::NotThere)?;
        let plugin = find(&tenant, plugin)?;
        let (id, name, shared) = (tenant.id.clone(), plugin.info.name, Arc::clone(&self.shared));
        let task = Task {
            operation: "callback",
            limit: plugin.info.limits.callback,
            room: Arc::clone(&plugin.rooms.callbacks),
        };
        self.answer(&tenant, &plugin, task, move |plugin, host| async move {
            let answered = plugin.callback(&host, request).await?;
            shared.config.telemetry.callback(&id, name, answered.outcome);
            shared.tell_of_refused(id, name, answered.outcome);
            Ok(answered.reply)
        })
        .await
    }

    /// The largest body that a plugin's call or callback takes; 0 where there is no such plugin.
    pub fn body_limit(&self, tenant: &str, plugin: &str) -> usize {
        let tenant = self.shared.config.tenants.find(tenant);
        tenant.and_then(|tenant| find(&tenant, plugin).ok()).map_or(0, |plugin| plugin.info.limits.body)
    }

    async fn answer<F, W>(
        &self,
        tenant: &Arc<Tenant>,
        plugin: &Arc<TenantPlugin>,
        task: Task,
        work: F,
    ) -> Result<PluginReply, PluginFailure>
    where
        F: FnOnce(Arc<dyn Plugin>, TenantHost) -> W + Send + 'static,
        W: Future<Output = Result<PluginReply, PluginError>> + Send + 'static,
    {
        self.run(tenant, plugin, task, work, sound).await
    }

    /// Runs `work` on the plugins' threads and looks at what it gave.
    pub(super) async fn run<T, F, W>(
        &self,
        tenant: &Arc<Tenant>,
        plugin: &Arc<TenantPlugin>,
        task: Task,
        work: F,
        look: fn(T) -> Result<T, &'static str>,
    ) -> Result<T, PluginFailure>
    where
        T: Send + 'static,
        F: FnOnce(Arc<dyn Plugin>, TenantHost) -> W + Send + 'static,
        W: Future<Output = Result<T, PluginError>> + Send + 'static,
    {
        let (operation, started) = (task.operation, Instant::now());
        let ended = self.guarded(tenant, plugin, task, work).await;
        let result = ended.and_then(|given| look(given).map_err(PluginFailure::Nonsense));
        let outcome = result.as_ref().map_or_else(PluginOutcome::of, |_| PluginOutcome::Ok);
        let took = started.elapsed();
        self.shared.config.telemetry.worked(&tenant.id, plugin.info.name, operation, outcome, took);
        match &result {
            Ok(_) => {}
            Err(error) if outcome == PluginOutcome::Refused => {
                tracing::info!(tenant = %tenant.id, plugin = plugin.info.name, operation, %error, "a plugin refused");
            }
            Err(error) => {
                tracing::warn!(tenant = %tenant.id, plugin = plugin.info.name, operation, %error, "a plugin failed");
            }
        }
        result
    }

    async fn guarded<T, F, W>(
        &self,
        tenant: &Arc<Tenant>,
        plugin: &Arc<TenantPlugin>,
        task: Task,
        work: F,
    ) -> Result<T, PluginFailure>
    where
        T: Send + 'static,
        F: FnOnce(Arc<dyn Plugin>, TenantHost) -> W + Send + 'static,
        W: Future<Output = Result<T, PluginError>> + Send + 'static,
    {
        let patience = ROOM_PATIENCE.min(task.limit);
        let permit = match tokio::time::timeout(patience, task.room.acquire_owned()).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) | Err(_) => return Err(PluginFailure::Busy),
        };
        let host = TenantHost::new(&self.shared, tenant, plugin);
        let code = Arc::clone(&plugin.plugin);
        let mut running = self.shared.threads.handle().spawn(async move {
            // Given back when the work has really ended, which may be long after its time limit.
            let _permit = permit;
            AssertUnwindSafe(async move { work(code, host).await }).catch_unwind().await
        });
        match tokio::time::timeout(task.limit, &mut running).await {
            Ok(Ok(Ok(result))) => result.map_err(PluginFailure::Refused),
            Ok(Ok(Err(_))) => Err(PluginFailure::Panicked),
            // The threads have ended.
            Ok(Err(_)) => Err(PluginFailure::Busy),
            Err(_) => {
                running.abort();
                Err(PluginFailure::TimedOut)
            }
        }
    }
}

pub(super) fn find(tenant: &Tenant, plugin: &str) -> Result<Arc<TenantPlugin>, PluginFailure> {
    let found = tenant.plugins.iter().find(|(name, _)| PluginName::as_str(name) == plugin);
    found.map(|(_, plugin)| Arc::clone(plugin)).ok_or(PluginFailure::NotThere)
}

/// Whether an answer can be sent as it is.
fn sound(reply: PluginReply) -> Result<PluginReply, &'static str> {
    let name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !NOT_A_PLUGINS.contains(&name)
    };
    let value = |value: &str| value.bytes().all(|b| matches!(b, b' '..=b'~'));
    if !(200..=599).contains(&reply.status) {
        Err("its status is not one from 200 to 599")
    } else if !reply.headers.iter().all(|(key, text)| name(key) && value(text)) {
        Err("one of its headers cannot be sent")
    } else if reply.body.len() > LARGEST_REPLY {
        Err("its body is longer than 1 MiB")
    } else {
        Ok(reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_not_sent() {
        let reply = |status, name, value: &str, length| PluginReply {
            status,
            headers: vec![(name, value.to_owned())],
            body: Bytes::from(vec![b'x'; length]),
        };
        for (reply, good) in [
            (reply(200, "content-type", "text/html; charset=utf-8", 10), true),
            (reply(599, "location", "https://a/", 0), true),
            (reply(101, "upgrade", "h2c", 0), false),
            (reply(0, "a", "", 0), false),
            (reply(999, "a", "", 0), false),
            (reply(200, "Content-Type", "text/html", 0), false),
            (reply(200, "content-length", "7", 0), false),
            (reply(200, "x", "a\r\nset-cookie: b", 0), false),
            (reply(200, "", "a", 0), false),
            (reply(200, "a b", "a", 0), false),
            (reply(200, "x", "书", 0), false),
            (reply(200, "x", "a", LARGEST_REPLY + 1), false),
        ] {
            assert_eq!(sound(reply.clone()).is_ok(), good, "{} {:?}", reply.status, reply.headers);
        }
    }
}

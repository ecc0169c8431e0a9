//! Tenants come and go while the gateway runs: their files are looked at again and again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dukou_spi::settings::Severity;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::config::{Change, Look, Patience, TenantFiles};
use crate::metrics::{Announcer, ReloadMetrics};
use crate::others::Others;
use crate::tenants::ServedTenants;

/// Between two looks. A change is in force at the second look that sees it: within 5 s, on a busy
/// machine too.
const PERIOD: Duration = Duration::from_secs(2);
/// Until the second look at something that is changing.
const SETTLING: Duration = Duration::from_millis(300);

/// What a reload changes.
pub struct Reload {
    pub files: TenantFiles,
    pub tenants: Arc<ServedTenants>,
    pub metrics: Arc<ReloadMetrics>,
    pub announcer: Announcer,
    pub others: Others,
    pub asked: Asked,
}

impl Reload {
    /// Looks every 2 s, and at once when the process gets SIGHUP, which the other instances are told, or one of them
    /// was asked so.
    pub async fn run(self, mut stopping: watch::Receiver<bool>) {
        let mut reload = self;
        let mut pause = PERIOD;
        loop {
            let (patience, tell) = tokio::select! {
                // An error means that the sender is gone, which is a stop as well.
                _ = stopping.wait_for(|stop| *stop) => return,
                () = sleep(pause) => (Patience::Settled, false),
                () = reload.asked.next() => (Patience::AtOnce, true),
                () = reload.others.asked_to_reload() => {
                    tracing::info!("another instance was asked to reload");
                    (Patience::AtOnce, false)
                }
            };
            if tell {
                reload.others.tell_reload().await;
            }
            // Files and certificates are read beside the threads that answer requests.
            let round = tokio::task::spawn_blocking(move || {
                let unsettled = catch_unwind(AssertUnwindSafe(|| reload.look(patience)));
                (reload, unsettled)
            });
            let unsettled = match round.await {
                Ok((back, unsettled)) => {
                    reload = back;
                    unsettled.unwrap_or_default()
                }
                // The runtime is going away.
                Err(_) => return,
            };
            pause = if unsettled { SETTLING } else { PERIOD };
        }
    }

    /// One look, and everything that follows from it. Says whether something is still changing.
    fn look(&mut self, patience: Patience) -> bool {
        let started = Instant::now();
        let look = self.files.look(patience);
        report(&look, patience);
        self.metrics.applied.inc_by(look.changes.len() as u64);
        self.metrics.refused.inc_by(look.refused.len() as u64);
        self.metrics.refused_files.set(i64::try_from(self.files.refused()).unwrap_or(i64::MAX));
        for change in &look.changes {
            if let Change::Served(settings) = change {
                self.announcer.announce(&settings.tenant);
            }
        }
        if !look.changes.is_empty() {
            let changed = look.changes.len();
            self.tenants.apply(look.changes);
            let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(changed, took_ms, "tenants are in force as their files say");
        }
        look.unsettled
    }
}

fn report(look: &Look, patience: Patience) {
    for problem in &look.problems {
        match problem.severity {
            Severity::Error => tracing::error!("{problem}"),
            Severity::Warning => tracing::warn!("{problem}"),
        }
    }
    for file in &look.refused {
        tracing::error!(file = %file.display(), "refused; what was in force before still is");
    }
    for change in &look.changes {
        match change {
            Change::Served(settings) => {
                tracing::info!(tenant = %settings.tenant.id, file = settings.file, "a tenant's file was read anew");
            }
            Change::Removed(tenant) => tracing::info!(
                %tenant,
                "a tenant's file is gone: its keys work no longer; its payments can be notified until the next start"
            ),
        }
    }
    if look.gateway_changed {
        tracing::warn!("gateway.toml or a file it names changed, which takes effect at the next start");
    }
    if patience == Patience::AtOnce && look.changes.is_empty() && look.refused.is_empty() {
        tracing::info!("asked to reload: no tenant's file has changed");
    }
}

/// SIGHUP, which ends a process that does not listen for it: it is listened for from the start, and remembered until
/// somebody looks.
pub struct Asked {
    #[cfg(unix)]
    signal: Option<tokio::signal::unix::Signal>,
}

impl Asked {
    #[cfg(unix)]
    pub fn listen() -> Self {
        let signal = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup());
        if let Err(error) = &signal {
            tracing::warn!(%error, "SIGHUP cannot be listened for; changes are seen within seconds all the same");
        }
        Asked { signal: signal.ok() }
    }

    #[cfg(not(unix))]
    pub fn listen() -> Self {
        Asked {}
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.signal
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}

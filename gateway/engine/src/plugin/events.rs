//! The event log, told to the plugins that asked for some of it: each of them in its own time, from
//! a place of its own, so that one that fails or hangs delays no other.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use dukou_domain::{PluginName, TenantId};
use dukou_spi::plugin::PluginEvent;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::run::{PluginHost, Task, find};
use super::{PluginFailure, PluginOutcome};
use crate::ports::StoreError;
use crate::records::Event;

/// Entries of a tenant's log read at once.
const PAGE: u32 = 64;
/// Entries of the whole log looked through at once, for whom they concern.
const HEADS: u32 = 256;
/// How far a tenant's log may be read without keeping the place, while nothing in it is wanted.
const UNKEPT: i64 = 1_000;
/// Plugins that are told something at the same time.
const AT_ONCE: usize = 16;
/// Commits that come within this time are looked at together.
const GATHER: Duration = Duration::from_millis(10);
/// How often to look for tenants that came, when nothing wakes.
const PERIOD: Duration = Duration::from_secs(1);
/// When an event that failed is told again. After the last of these the log goes on without it.
const AGAIN: [Duration; 5] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(120),
    Duration::from_secs(600),
];

type Name = (TenantId, PluginName);

/// A plugin that wants events, and where it stands.
#[derive(Debug, Default)]
struct Follower {
    /// There may be something for it.
    pending: bool,
    /// It is being told.
    busy: bool,
    /// How far its log was read since its place was kept, in the present incarnation of the store.
    read: Option<i64>,
    /// How often the event it is at has failed, and until when it is left alone.
    failed: usize,
    rests_until: Option<Instant>,
}

/// How telling ended.
struct Told {
    name: Name,
    /// The incarnation of the store whose log it was.
    incarnation: Uuid,
    /// How far the log was read; `None`: not known, look again.
    read: Option<i64>,
    end: End,
}

enum End {
    /// Nothing is left.
    Caught,
    /// There may be more.
    More,
    /// The event after `read` failed once more.
    Failed,
    /// The store failed.
    Store,
}

/// Why the loop goes round.
enum Woken {
    Stopped,
    Committed,
    Told(Told),
    Late,
}

impl PluginHost {
    /// Tells the plugins what happens until `stopping` says so.
    pub async fn follow_events(self, mut stopping: watch::Receiver<bool>) {
        let mut committed = self.shared.config.store.watch();
        let (done, mut ended) = mpsc::channel::<Told>(AT_ONCE);
        let mut followers: HashMap<Name, Follower> = HashMap::new();
        let mut incarnation = self.shared.config.store.identity().incarnation;
        let mut seen = *committed.borrow_and_update();
        let (mut running, mut looked) = (0, None::<Instant>);
        loop {
            if looked.is_none_or(|at| at.elapsed() >= PERIOD) {
                self.find_followers(&mut followers).await;
                looked = Some(Instant::now());
            }
            let now = self.shared.config.store.identity().incarnation;
            if now != incarnation {
                // Their places are looked up again: what was read may be lost, and something else be in its place.
                incarnation = now;
                seen = *committed.borrow_and_update();
                followers.values_mut().for_each(Follower::begin_anew);
            }
            if !followers.is_empty() {
                seen = self.mark_pending(&mut followers, seen).await;
            } else {
                seen = *committed.borrow_and_update();
            }
            let now = Instant::now();
            for (name, follower) in &mut followers {
                let rests = follower.rests_until.is_some_and(|until| now < until);
                if running >= AT_ONCE || !follower.pending || follower.busy || rests {
                    continue;
                }
                (follower.busy, follower.pending) = (true, false);
                running += 1;
                let (host, name, read, failed) = (self.clone(), name.clone(), follower.read, follower.failed);
                let done = done.clone();
                tokio::spawn(async move {
                    let told = host.tell(name, incarnation, read, failed).await;
                    // The receiver lives as long as this loop; after it nobody counts.
                    let _ = done.send(told).await;
                });
            }
            let woken = tokio::select! {
                // An error means that the sender is gone, which is a stop as well.
                _ = stopping.wait_for(|stop| *stop) => Woken::Stopped,
                changed = committed.changed() => if changed.is_ok() { Woken::Committed } else { Woken::Stopped },
                Some(told) = ended.recv() => Woken::Told(told),
                () = sleep(PERIOD) => Woken::Late,
            };
            match woken {
                Woken::Stopped => return,
                Woken::Committed => {
                    sleep(GATHER).await;
                    committed.borrow_and_update();
                }
                Woken::Told(mut told) => {
                    running -= 1;
                    if told.incarnation != incarnation {
                        (told.read, told.end) = (None, End::More);
                    }
                    if let Some(follower) = followers.get_mut(&told.name) {
                        follower.enter(told);
                    }
                }
                Woken::Late => {}
            }
        }
    }

    /// Keeps the list of those who want events; who is new has a place in the log from now on.
    async fn find_followers(&self, followers: &mut HashMap<Name, Follower>) {
        let config = &self.shared.config;
        let tenants = config.tenants.all();
        let wanting = tenants.iter().flat_map(|tenant| {
            let plugins = tenant.plugins.values().filter(|plugin| !plugin.info.events.is_empty());
            plugins.map(|plugin| (tenant.id.clone(), plugin.name.clone()))
        });
        let wanting: HashSet<Name> = wanting.collect();
        followers.retain(|name, follower| follower.busy || wanting.contains(name));
        for name in wanting {
            if followers.contains_key(&name) {
                continue;
            }
            match config.store.plugins().plugin_cursor(&name.0, &name.1).await {
                Ok(_) => {
                    followers.insert(name, Follower { pending: true, ..Follower::default() });
                }
                Err(error) => {
                    tracing::warn!(tenant = %name.0, plugin = %name.1, %error, "a plugin's place cannot be read")
                }
            }
        }
    }

    /// Looks through what was committed for whom it concerns. Returns how far.
    async fn mark_pending(&self, followers: &mut HashMap<Name, Follower>, seen: i64) -> i64 {
        let config = &self.shared.config;
        let mut seen = seen;
        loop {
            let heads = match config.store.deliveries().event_heads(seen, HEADS).await {
                Ok(heads) => heads,
                Err(error) => {
                    tracing::warn!(%error, "plugins wait: the log cannot be read");
                    return seen;
                }
            };
            for head in &heads {
                let Some(tenant) = config.tenants.find(head.tenant.as_str()) else { continue };
                for plugin in tenant.plugins.values().filter(|plugin| plugin.info.events.contains(&head.kind)) {
                    if let Some(follower) = followers.get_mut(&(tenant.id.clone(), plugin.name.clone())) {
                        follower.pending = true;
                    }
                }
            }
            seen = heads.last().map_or(seen, |head| head.position);
            if heads.len() < HEADS as usize {
                return seen;
            }
        }
    }

    /// Tells a plugin a page of its tenant's log.
    async fn tell(&self, name: Name, incarnation: Uuid, read: Option<i64>, failed: usize) -> Told {
        match self.tell_page(&name, read, failed).await {
            Ok((read, end)) => Told { name, incarnation, read: Some(read), end },
            Err(error) => {
                tracing::warn!(tenant = %name.0, plugin = %name.1, %error, "a plugin cannot be told what happened");
                Told { name, incarnation, read: None, end: End::Store }
            }
        }
    }

    async fn tell_page(&self, name: &Name, read: Option<i64>, failed: usize) -> Result<(i64, End), StoreError> {
        let config = &self.shared.config;
        let records = config.store.plugins();
        let kept = records.plugin_cursor(&name.0, &name.1).await?;
        let from = read.unwrap_or(kept).max(kept);
        let Some(tenant) = config.tenants.find(name.0.as_str()) else { return Ok((from, End::Caught)) };
        let Ok(plugin) = find(&tenant, name.1.as_str()) else { return Ok((from, End::Caught)) };
        let events = config.store.events(&name.0, from, PAGE).await?;
        let full = events.len() == PAGE as usize;
        let wanted = |event: &&Event| plugin.info.events.contains(&event.event.kind);
        let waiting = events.iter().filter(wanted).count();
        config.telemetry.behind(&name.0, plugin.info.name, waiting);
        let (mut at, mut told, mut failed) = (from, 0, failed);
        for event in &events {
            if wanted(&event) {
                let task =
                    Task { operation: "event", limit: plugin.info.limits.work, room: Arc::clone(&plugin.rooms.work) };
                let shown = self.shown(event);
                let work = move |plugin: Arc<dyn dukou_spi::plugin::Plugin>, host| async move {
                    let host: super::host::TenantHost = host;
                    plugin.event(&host, &shown).await
                };
                match self.run(&tenant, &plugin, task, work, Ok).await {
                    Ok(()) => {}
                    // It was not even tried.
                    Err(PluginFailure::Busy) => break,
                    Err(_) if failed < AGAIN.len() => {
                        if at > kept {
                            records.move_plugin_cursor(&name.0, &name.1, kept, at).await?;
                        }
                        return Ok((at, End::Failed));
                    }
                    Err(_) => {
                        let (id, kind) = (event.event.id, event.event.kind.as_str());
                        tracing::error!(tenant = %name.0, plugin = %name.1, event = %id, kind, "a plugin is not told of this event again");
                        let took = Duration::ZERO;
                        let outcome = PluginOutcome::GivenUp;
                        config.telemetry.worked(&name.0, plugin.info.name, "event", outcome, took);
                    }
                }
                failed = 0;
                told += 1;
                config.telemetry.behind(&name.0, plugin.info.name, waiting - told);
            }
            at = event.position;
        }
        if (told > 0 && at > kept) || at - kept >= UNKEPT {
            records.move_plugin_cursor(&name.0, &name.1, kept, at).await?;
        }
        let whole = events.last().is_none_or(|last| last.position == at);
        Ok((at, if full || !whole { End::More } else { End::Caught }))
    }

    /// The event as the API shows it.
    fn shown(&self, event: &Event) -> PluginEvent {
        let text = (self.shared.config.render)(&event.event);
        let body: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        PluginEvent { id: event.event.id, kind: event.event.kind, at: event.event.at, data: body["data"].clone() }
    }
}

impl Follower {
    fn begin_anew(&mut self) {
        (self.read, self.pending) = (None, true);
    }

    fn enter(&mut self, told: Told) {
        self.busy = false;
        self.read = told.read;
        match told.end {
            End::Caught => (self.failed, self.rests_until) = (0, None),
            End::More => (self.failed, self.rests_until, self.pending) = (0, None, true),
            End::Failed => {
                let wait = AGAIN[self.failed.min(AGAIN.len() - 1)];
                self.failed += 1;
                self.rests_until = Some(Instant::now() + wait);
                self.pending = true;
            }
            End::Store => {
                self.rests_until = Some(Instant::now() + AGAIN[0]);
                self.pending = true;
            }
        }
    }
}

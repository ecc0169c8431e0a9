//! Live events: one task reads the log as it grows and hands each event, written once, to all who
//! follow its tenant.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use dukou_domain::TenantId;
use dukou_engine::ports::{Store, StoreError};
use dukou_engine::records::Event;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, SemaphorePermit, broadcast, watch};
use uuid::Uuid;

use crate::dto::EventBody;

/// Events read from the log at once.
const PAGE: u32 = 128;
/// Events of a tenant that a follower may be behind before it goes back to the log.
const BEHIND: usize = 256;
/// Followers that read the log at the same time, so that many who come back do not crowd payments out.
const READING_AT_ONCE: usize = 16;
/// Streams of one tenant that are open at the same time.
const STREAMS_PER_TENANT: usize = 4_000;
/// After a failed read.
const PAUSE: Duration = Duration::from_secs(1);

/// An event as it goes to every follower.
#[derive(Debug, Clone)]
pub struct Shown {
    pub position: i64,
    /// In the form of server-sent events.
    pub text: Bytes,
}

/// Where followers find what is new.
pub struct EventHub {
    store: Arc<dyn Store>,
    /// One channel a tenant, for as long as somebody follows it.
    channels: Mutex<HashMap<TenantId, Channel>>,
    /// Streams of all tenants that may be open at the same time.
    most: usize,
    reading: Semaphore,
    stopping: watch::Sender<bool>,
}

struct Channel {
    sender: broadcast::Sender<Shown>,
    /// Open streams.
    streams: usize,
}

impl EventHub {
    /// Hands events out on `runtime` until [`EventHub::stop`]. `most` is how many streams may be open at
    /// the same time.
    pub fn start(store: Arc<dyn Store>, most: usize, runtime: &Handle) -> Arc<Self> {
        // Before anybody can follow, so that nothing is committed between the two.
        let incarnation = store.identity().incarnation;
        let committed = store.watch();
        let position = *committed.borrow();
        let hub = Arc::new(EventHub::new(store, most));
        runtime.spawn(Arc::clone(&hub).run(committed, position, incarnation));
        hub
    }

    fn new(store: Arc<dyn Store>, most: usize) -> Self {
        EventHub {
            store,
            most,
            channels: Mutex::default(),
            reading: Semaphore::new(READING_AT_ONCE),
            stopping: watch::Sender::new(false),
        }
    }

    async fn run(self: Arc<Self>, committed: watch::Receiver<i64>, position: i64, incarnation: Uuid) {
        let mut stopping = self.stopping();
        tokio::select! {
            () = self.hand_out(committed, position, incarnation) => tracing::error!("the store no longer tells what is new"),
            // An error means that the hub is gone, which is a stop as well.
            _ = stopping.wait_for(|stop| *stop) => {}
        }
    }

    /// Ends all streams, now and later.
    pub fn stop(&self) {
        self.stopping.send_replace(true);
    }

    pub fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    /// A place for one more stream; `None` where the tenant or the gateway has as many as it may.
    pub fn place(self: &Arc<Self>, tenant: &TenantId) -> Option<Place> {
        let mut channels = self.channels();
        let of_tenant = channels.get(tenant).map_or(0, |channel| channel.streams);
        let of_all: usize = channels.values().map(|channel| channel.streams).sum();
        if of_tenant >= STREAMS_PER_TENANT || of_all >= self.most {
            return None;
        }
        let new = || Channel { sender: broadcast::Sender::new(BEHIND), streams: 0 };
        let channel = channels.entry(tenant.clone()).or_insert_with(new);
        channel.streams += 1;
        Some(Place { hub: Arc::clone(self), tenant: tenant.clone() })
    }

    /// The right to read the log, for one follower.
    pub async fn reading(&self) -> Option<SemaphorePermit<'_>> {
        self.reading.acquire().await.ok()
    }

    async fn hand_out(&self, mut committed: watch::Receiver<i64>, mut position: i64, mut incarnation: Uuid) {
        loop {
            loop {
                // Looked at before the channels: whoever begins to follow after them reads this much
                // from the log.
                let mut newest = *committed.borrow_and_update();
                let now = self.store.identity().incarnation;
                if now != incarnation {
                    // The log may have lost what was handed out, and hold something else at its positions.
                    incarnation = now;
                    newest = *committed.borrow_and_update();
                    position = newest;
                    self.back_to_the_log();
                }
                if self.channels().is_empty() {
                    position = newest;
                }
                if position >= newest {
                    break;
                }
                match self.store.events_from(position, PAGE).await {
                    Ok(events) => {
                        for event in &events {
                            self.send(event);
                        }
                        position = events.last().map_or(newest, |event| event.position);
                    }
                    // One record that cannot be read must not hold up everybody's.
                    Err(StoreError::Corrupt(error)) => {
                        tracing::error!(error, "the log holds what cannot be read; live events go around it");
                        self.back_to_the_log();
                        position = newest;
                    }
                    Err(error) => {
                        tracing::warn!(%error, "live events wait: the log cannot be read");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
            if committed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Makes everybody who listens look into the log of its own tenant again.
    pub(crate) fn back_to_the_log(&self) {
        for channel in self.channels().values_mut() {
            channel.sender = broadcast::Sender::new(BEHIND);
        }
    }

    fn send(&self, event: &Event) {
        let sender = self.channels().get(&event.event.tenant).map(|channel| channel.sender.clone());
        if let Some(sender) = sender {
            // Fails only when nobody listens (yet, or any more).
            let _ = sender.send(Shown { position: event.position, text: Bytes::from(show(event)) });
        }
    }

    fn channels(&self) -> MutexGuard<'_, HashMap<TenantId, Channel>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One open stream's place, which is free again when it is dropped.
pub struct Place {
    hub: Arc<EventHub>,
    tenant: TenantId,
}

impl Place {
    /// Everything of the tenant that is committed from now on. Where that cannot be had the channel is
    /// closed: look into the log, and listen again.
    pub fn listen(&self) -> broadcast::Receiver<Shown> {
        let closed = || broadcast::channel(1).1;
        self.hub.channels().get(&self.tenant).map_or_else(closed, |channel| channel.sender.subscribe())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut channels = self.hub.channels();
        let Some(channel) = channels.get_mut(&self.tenant) else { return };
        channel.streams = channel.streams.saturating_sub(1);
        if channel.streams == 0 {
            channels.remove(&self.tenant);
        }
    }
}

/// An event in the form of server-sent events (HTML standard, section 9.2).
pub fn show(event: &Event) -> Vec<u8> {
    let (id, kind) = (&event.event.id, event.event.kind.as_str());
    let mut text = format!("id: {id}\nevent: {kind}\ndata: ").into_bytes();
    // Writes no line break within the document.
    if let Err(error) = serde_json::to_writer(&mut text, &EventBody::from(event)) {
        tracing::error!(%error, "an event cannot be written as JSON");
    }
    text.extend_from_slice(b"\n\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{moment, payment, tenant_id};
    use dukou_domain::EventId;
    use dukou_engine::records::{EventKind, NewEvent, Subject};

    #[test]
    fn an_event_is_three_lines_and_an_empty_one() {
        let mut payment = payment();
        payment.description = "one\nline\r".into();
        let event = NewEvent {
            id: EventId::from_uuid(Uuid::from_u128(9)),
            tenant: tenant_id(),
            kind: EventKind::PaymentSucceeded,
            at: moment(),
            subject: Subject::Payment(Box::new(payment)),
        };
        let event = Event { position: 1, event };
        let text = String::from_utf8(show(&event)).unwrap();
        let lines: Vec<&str> = text.split('\n').collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert_eq!(lines[0], "id: evt_00000000000000000000000000000009");
        assert_eq!(lines[1], "event: payment.succeeded");
        let data: serde_json::Value = serde_json::from_str(lines[2].strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(data, serde_json::to_value(EventBody::from(&event)).unwrap());
        assert!(lines[3].is_empty() && lines[4].is_empty());
    }

    #[tokio::test]
    async fn streams_have_a_limit_by_tenant_and_for_all() {
        let (gateway, _, _) = crate::testing_engine::gateway(crate::HttpConfig::default());
        let hub = Arc::clone(&gateway.hub);
        let full: Vec<Place> = (0..STREAMS_PER_TENANT).filter_map(|_| hub.place(&tenant_id())).collect();
        assert_eq!(full.len(), STREAMS_PER_TENANT);
        assert!(hub.place(&tenant_id()).is_none());
        let other = TenantId::new("teahouse").unwrap();
        assert!(hub.place(&other).is_some());
        drop(full);
        assert!(hub.channels().is_empty(), "nothing is left behind");
        let few = Arc::new(EventHub::new(Arc::clone(gateway.engine.store()), 1));
        let _one = few.place(&tenant_id()).unwrap();
        assert!(few.place(&other).is_none());
    }
}

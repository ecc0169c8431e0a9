//! Live events: one task reads the log as it grows and hands each event, written once, to all who
//! follow its tenant.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use dukou_domain::TenantId;
use dukou_engine::ports::Store;
use dukou_engine::records::Event;
use tokio::sync::{Semaphore, SemaphorePermit, broadcast, watch};

use crate::dto::EventBody;

/// Events read from the log at once.
const PAGE: u32 = 128;
/// Events of a tenant that a follower may be behind before it goes back to the log.
const BEHIND: usize = 256;
/// Followers that read the log at the same time, so that many who come back do not crowd payments out.
const READING_AT_ONCE: usize = 16;
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
    channels: Mutex<HashMap<TenantId, broadcast::Sender<Shown>>>,
    reading: Semaphore,
    stopping: watch::Sender<bool>,
}

impl EventHub {
    pub fn new(store: Arc<dyn Store>) -> Self {
        EventHub {
            store,
            channels: Mutex::default(),
            reading: Semaphore::new(READING_AT_ONCE),
            stopping: watch::Sender::new(false),
        }
    }

    /// Hands events out until [`EventHub::stop`].
    pub async fn run(self: Arc<Self>) {
        let mut stopping = self.stopping();
        tokio::select! {
            () = self.hand_out() => tracing::error!("the store no longer tells what is new"),
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

    /// Everything of the tenant that is committed from now on.
    pub fn listen(self: &Arc<Self>, tenant: &TenantId) -> Listener {
        let mut channels = self.channels();
        let sender = channels.entry(tenant.clone()).or_insert_with(|| broadcast::Sender::new(BEHIND));
        Listener { hub: Arc::clone(self), tenant: tenant.clone(), events: sender.subscribe() }
    }

    /// The right to read the log, for one follower.
    pub async fn reading(&self) -> Option<SemaphorePermit<'_>> {
        self.reading.acquire().await.ok()
    }

    async fn hand_out(&self) {
        let mut committed = self.store.watch();
        let mut position = *committed.borrow_and_update();
        while committed.changed().await.is_ok() {
            loop {
                // Looked at before the channels: whoever begins to follow after them reads this much
                // from the log.
                let newest = *committed.borrow_and_update();
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
                    Err(error) => {
                        tracing::warn!(%error, "live events wait: the log cannot be read");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
        }
    }

    fn send(&self, event: &Event) {
        let sender = self.channels().get(&event.event.tenant).cloned();
        if let Some(sender) = sender {
            // Fails only when nobody follows any more.
            let _ = sender.send(Shown { position: event.position, text: Bytes::from(show(event)) });
        }
    }

    fn channels(&self) -> MutexGuard<'_, HashMap<TenantId, broadcast::Sender<Shown>>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One follower's end of its tenant's channel.
pub struct Listener {
    hub: Arc<EventHub>,
    tenant: TenantId,
    pub events: broadcast::Receiver<Shown>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        let mut channels = self.hub.channels();
        // This one still counts.
        if channels.get(&self.tenant).is_some_and(|sender| sender.receiver_count() <= 1) {
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
    use uuid::Uuid;

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
    async fn a_channel_is_there_while_somebody_follows() {
        let (gateway, _, _) = crate::testing_engine::gateway(crate::HttpConfig::default());
        let hub = Arc::clone(&gateway.hub);
        let (one, other) = (hub.listen(&tenant_id()), hub.listen(&tenant_id()));
        assert_eq!(hub.channels().len(), 1);
        drop(one);
        assert_eq!(hub.channels().len(), 1);
        drop(other);
        assert!(hub.channels().is_empty());
    }
}

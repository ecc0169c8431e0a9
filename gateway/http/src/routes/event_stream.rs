//! The event log as a live stream: what is in the log first, page by page, then what is committed,
//! each event once and in the log's order.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, HeaderMap};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use dukou_domain::EventId;
use dukou_engine::tenant::Tenant;
use futures_util::stream;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::auth::Authenticated;
use crate::connection::{Activity, Busy};
use crate::errors::ErrorCode;
use crate::gateway::Gateway;
use crate::hub::{Place, Shown, show};
use crate::problem::Problem;

const LAST_EVENT: &str = "Last-Event-ID";
/// Events in one piece of the answer: so much may wait in memory for a slow reader.
const PAGE: u32 = 20;
/// A comment after so much silence, so that both ends see that the other is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const COMMENT: &[u8] = b":\n\n";

/// Opens the stream behind `after`, or behind what the request's own header names.
pub async fn open(
    gateway: Data<Gateway>,
    caller: Authenticated,
    request: &HttpRequest,
    after: Option<EventId>,
) -> Result<HttpResponse, Problem> {
    // A reader that comes back keeps its address, so that the header is the later word.
    let begin = match last_event(request.headers())? {
        Some(id) => Some((LAST_EVENT, id)),
        None => after.map(|id| ("after", id)),
    };
    let incarnation = gateway.engine.store().identity().incarnation;
    let position = match begin {
        None => 0,
        Some((field, id)) => {
            let position = gateway.engine.store().event_position(&caller.tenant.id, id).await?;
            position.ok_or_else(|| Problem::invalid_field(field, "is not an event of this tenant"))?
        }
    };
    let place = gateway.hub.place(&caller.tenant.id).ok_or_else(too_many)?;
    let busy = request.conn_data::<Activity>().map(Activity::begin);
    let follower = Follower::new(gateway, caller.tenant, place, (incarnation, position), busy);
    let pieces = stream::unfold(follower, |mut follower| async {
        let piece = follower.next().await?;
        Some((Ok::<_, Infallible>(piece), follower))
    });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((CACHE_CONTROL, "no-store"))
        // Some proxies collect an answer unless they are told not to.
        .insert_header(("X-Accel-Buffering", "no"))
        .streaming(Box::pin(pieces)))
}

fn too_many() -> Problem {
    let problem =
        Problem::new(ErrorCode::RateLimited, "too many event streams are open; close those that are not read");
    Problem { retry_after: Some(10), ..problem }
}

fn last_event(headers: &HeaderMap) -> Result<Option<EventId>, Problem> {
    let Some(value) = headers.get(LAST_EVENT) else { return Ok(None) };
    let text = value.to_str().unwrap_or("?").trim();
    if text.is_empty() {
        return Ok(None);
    }
    let id = EventId::parse(text);
    id.map(Some).map_err(|_| Problem::invalid_field(LAST_EVENT, "expected the id of an event, evt_…"))
}

/// One open stream.
struct Follower {
    place: Place,
    stopping: watch::Receiver<bool>,
    gateway: Data<Gateway>,
    tenant: Arc<Tenant>,
    /// Of the last event that was sent, in the incarnation of the store below.
    position: i64,
    incarnation: Uuid,
    /// Everything committed since it is there.
    news: Option<broadcast::Receiver<Shown>>,
    /// Everything committed before that was sent.
    caught_up: bool,
    /// When it was last seen that the caller may still read.
    looked_at: Instant,
    _busy: Option<Busy>,
}

impl Follower {
    fn new(
        gateway: Data<Gateway>,
        tenant: Arc<Tenant>,
        place: Place,
        (incarnation, position): (Uuid, i64),
        busy: Option<Busy>,
    ) -> Self {
        let stopping = gateway.hub.stopping();
        let looked_at = Instant::now();
        Follower {
            place,
            stopping,
            gateway,
            tenant,
            position,
            incarnation,
            news: None,
            caught_up: false,
            looked_at,
            _busy: busy,
        }
    }

    /// What to send next; `None` ends the stream, and the reader comes back when it wants more.
    async fn next(&mut self) -> Option<Bytes> {
        let mut stopping = self.stopping.clone();
        tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => None,
            piece = self.piece() => piece,
        }
    }

    async fn piece(&mut self) -> Option<Bytes> {
        loop {
            if self.looked_at.elapsed() >= KEEP_ALIVE && !self.may_go_on() {
                return None;
            }
            if self.caught_up {
                return self.live().await;
            }
            // Listening begins before the last look into the log: what is committed after that look
            // comes live, and what comes both ways is known by its position.
            let listened = self.news.is_some();
            let (text, full) = self.read_log().await?;
            if !full && !listened {
                self.news = Some(self.place.listen());
            }
            self.caught_up = !full && listened;
            if !text.is_empty() {
                return Some(text);
            }
        }
    }

    /// The next page of the log, and whether there may be more.
    async fn read_log(&mut self) -> Option<(Bytes, bool)> {
        let _permit = self.gateway.hub.reading().await?;
        let store = self.gateway.engine.store();
        let incarnation = store.identity().incarnation;
        if incarnation != self.incarnation {
            self.position = store.still_there(self.incarnation, self.position);
            self.incarnation = incarnation;
        }
        let page = store.events(&self.tenant.id, self.position, PAGE).await;
        let events =
            page.map_err(|error| tracing::warn!(%error, "an event stream ends: the log cannot be read")).ok()?;
        let text = events.iter().flat_map(show).collect::<Vec<u8>>();
        self.position = events.last().map_or(self.position, |last| last.position);
        Some((Bytes::from(text), u32::try_from(events.len()).is_ok_and(|length| length >= PAGE)))
    }

    async fn live(&mut self) -> Option<Bytes> {
        let news = self.news.as_mut()?;
        loop {
            match timeout(KEEP_ALIVE, news.recv()).await {
                Err(_) => return Some(Bytes::from_static(COMMENT)),
                Ok(Ok(event)) if event.position <= self.position => {}
                Ok(Ok(event)) => {
                    self.position = event.position;
                    return Some(event.text);
                }
                // It reads too slowly for what comes, or the hub could not go on in order: it goes on
                // from the log, at its own pace.
                Ok(Err(_)) => {
                    self.news = None;
                    self.caught_up = false;
                    return Some(Bytes::from_static(COMMENT));
                }
            }
        }
    }

    /// Whether the tenant is still served as it was when the caller showed its key. After any change
    /// the reader comes back and shows it again.
    fn may_go_on(&mut self) -> bool {
        self.looked_at = Instant::now();
        let tenant = self.gateway.engine.tenants().find(self.tenant.id.as_str());
        tenant.is_some_and(|tenant| Arc::ptr_eq(&tenant, &self.tenant))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HttpConfig;
    use crate::testing::{moment, payment, tenant_id};
    use crate::testing_engine::{Away, bookshop, gateway};
    use dukou_engine::records::{Event, EventKind, NewEvent, Subject};

    const PATIENCE: Duration = Duration::from_secs(10);

    /// Puts `count` more events into the log.
    fn happen(store: &Away, count: u32) {
        let mut log = store.log.lock().unwrap();
        for _ in 0..count {
            let position = i64::try_from(log.len()).unwrap() + 1;
            let id = EventId::from_uuid(Uuid::from_u128(u128::try_from(position).unwrap()));
            let subject = Subject::Payment(Box::new(payment()));
            let event = NewEvent { id, tenant: tenant_id(), kind: EventKind::PaymentCreated, at: moment(), subject };
            log.push(Event { position, event });
        }
        store.committed.send_replace(i64::try_from(log.len()).unwrap());
    }

    /// The numbers of the next events.
    async fn read(follower: &mut Follower, count: usize) -> Vec<u128> {
        let mut read = Vec::new();
        while read.len() < count {
            let piece = timeout(PATIENCE, follower.next()).await.expect("in time").expect("it goes on");
            let text = String::from_utf8(piece.to_vec()).unwrap();
            let ids = text.lines().filter_map(|line| line.strip_prefix("id: evt_"));
            read.extend(ids.map(|id| u128::from_str_radix(id, 16).unwrap()));
        }
        read
    }

    fn follow(gateway: &Data<Gateway>) -> Follower {
        let tenant = gateway.engine.tenants().find("bookshop").unwrap();
        let place = gateway.hub.place(&tenant.id).unwrap();
        let incarnation = gateway.engine.store().identity().incarnation;
        Follower::new(gateway.clone(), tenant, place, (incarnation, 0), None)
    }

    #[tokio::test]
    async fn who_falls_behind_reads_on_in_the_log() {
        let (gateway, store, _) = gateway(HttpConfig::default());
        let gateway = Data::new(gateway);
        happen(&store, 45);
        let mut follower = follow(&gateway);
        assert_eq!(read(&mut follower, 45).await, (1..=45).collect::<Vec<_>>());
        // Turns to what is new, which is certain once the next one came.
        happen(&store, 1);
        assert_eq!(read(&mut follower, 1).await, [46]);
        happen(&store, 1);
        assert_eq!(read(&mut follower, 1).await, [47]);
        assert!(follower.caught_up);

        // Far more than it may be behind, handed out before it reads again.
        happen(&store, 1_000);
        let handed_out = async {
            while follower.news.as_ref().is_some_and(|news| news.len() < 1_000) {
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, handed_out).await.expect("in time");
        assert_eq!(read(&mut follower, 1_000).await, (48..=1_047).collect::<Vec<_>>());
        happen(&store, 1);
        assert_eq!(read(&mut follower, 1).await, [1_048]);

        // The hub may have to leave something out.
        happen(&store, 1);
        assert_eq!(read(&mut follower, 1).await, [1_049]);
        gateway.hub.back_to_the_log();
        happen(&store, 2);
        assert_eq!(read(&mut follower, 2).await, [1_050, 1_051]);
    }

    /// Watches: the incarnation beside the position. By the position alone what takes the place of lost events is
    /// never sent.
    #[tokio::test]
    async fn what_takes_the_place_of_lost_events_is_sent() {
        let (gateway, store, _) = gateway(HttpConfig::default());
        let gateway = Data::new(gateway);
        happen(&store, 11);
        let mut follower = follow(&gateway);
        assert_eq!(read(&mut follower, 11).await, (1..=11).collect::<Vec<_>>());
        happen(&store, 1);
        assert_eq!(read(&mut follower, 1).await, [12]);
        assert!(follower.caught_up);

        // The database fails over to a copy that has nine of them, and somebody pays.
        store.lose_all_after(9);
        happen(&store, 1);
        assert_eq!(read(&mut follower, 1).await, [10]);
        happen(&store, 4);
        assert_eq!(read(&mut follower, 4).await, [11, 12, 13, 14]);
        happen(&store, 1);
        assert_eq!(read(&mut follower, 1).await, [15]);
        assert!(follower.caught_up, "it goes on live");
    }

    #[tokio::test]
    async fn a_stop_and_a_changed_tenant_end_it() {
        let (gateway, store, _) = gateway(HttpConfig::default());
        let gateway = Data::new(gateway);
        happen(&store, 1);
        let mut stopped = follow(&gateway);
        let mut changed = follow(&gateway);
        changed.tenant = bookshop(&[]).find("bookshop").unwrap();
        assert_eq!(read(&mut changed, 1).await, [1]);
        changed.looked_at = Instant::now().checked_sub(KEEP_ALIVE).unwrap();
        assert!(timeout(PATIENCE, changed.next()).await.unwrap().is_none());
        gateway.end_streams();
        assert!(timeout(PATIENCE, stopped.next()).await.unwrap().is_none());
    }
}

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

use crate::auth::Authenticated;
use crate::connection::{Activity, Busy};
use crate::gateway::Gateway;
use crate::hub::{EventHub, Listener, show};
use crate::problem::Problem;
use crate::query::Parameters;

const LAST_EVENT: &str = "Last-Event-ID";
/// Events in one piece of the answer: so much may wait in memory for a slow reader.
const PAGE: u32 = 20;
/// A comment after so much silence, so that both ends see that the other is there.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const COMMENT: &[u8] = b":\n\n";

/// Opens the stream.
pub async fn open(
    gateway: Data<Gateway>,
    caller: Authenticated,
    request: &HttpRequest,
) -> Result<HttpResponse, Problem> {
    let mut parameters = Parameters::read(request.query_string(), &["after"])?;
    let after = parameters.get("after", "the id of an event, evt_…", |text| EventId::parse(text).ok());
    parameters.finish()?;
    // A reader that comes back keeps its address, so that the header is the later word.
    let begin = match last_event(request.headers())? {
        Some(id) => Some((LAST_EVENT, id)),
        None => after.map(|id| ("after", id)),
    };
    let position = match begin {
        None => 0,
        Some((field, id)) => {
            let position = gateway.engine.store().event_position(&caller.tenant.id, id).await?;
            position.ok_or_else(|| Problem::invalid_field(field, "is not an event of this tenant"))?
        }
    };
    let follower = Follower {
        hub: Arc::clone(&gateway.hub),
        stopping: gateway.hub.stopping(),
        gateway,
        tenant: caller.tenant,
        position,
        listener: None,
        caught_up: false,
        looked_at: Instant::now(),
        _busy: request.conn_data::<Activity>().map(Activity::begin),
    };
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
    hub: Arc<EventHub>,
    stopping: watch::Receiver<bool>,
    gateway: Data<Gateway>,
    tenant: Arc<Tenant>,
    /// Of the last event that was sent.
    position: i64,
    listener: Option<Listener>,
    /// Everything committed before the listener was there was sent.
    caught_up: bool,
    /// When it was last seen that the caller may still read.
    looked_at: Instant,
    _busy: Option<Busy>,
}

impl Follower {
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
            let listened = self.listener.is_some();
            let (text, full) = self.from_log().await?;
            if !full && !listened {
                self.listener = Some(self.hub.listen(&self.tenant.id));
            }
            self.caught_up = !full && listened;
            if !text.is_empty() {
                return Some(text);
            }
        }
    }

    /// The next page of the log, and whether there may be more.
    async fn from_log(&mut self) -> Option<(Bytes, bool)> {
        let _permit = self.hub.reading().await?;
        let page = self.gateway.engine.store().events(&self.tenant.id, self.position, PAGE).await;
        let events = page.map_err(|error| tracing::warn!(%error, "an event stream ends: the log cannot be read")).ok()?;
        let text = events.iter().flat_map(show).collect::<Vec<u8>>();
        self.position = events.last().map_or(self.position, |last| last.position);
        Some((Bytes::from(text), u32::try_from(events.len()).is_ok_and(|length| length >= PAGE)))
    }

    async fn live(&mut self) -> Option<Bytes> {
        let listener = self.listener.as_mut()?;
        loop {
            match timeout(KEEP_ALIVE, listener.events.recv()).await {
                Err(_) => return Some(Bytes::from_static(COMMENT)),
                Ok(Ok(event)) if event.position <= self.position => {}
                Ok(Ok(event)) => {
                    self.position = event.position;
                    return Some(event.text);
                }
                // It reads too slowly for what comes: it goes on from the log, at its own pace.
                Ok(Err(broadcast::error::RecvError::Lagged(_))) => {
                    self.listener = None;
                    self.caught_up = false;
                    return Some(Bytes::from_static(COMMENT));
                }
                Ok(Err(broadcast::error::RecvError::Closed)) => return None,
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

//! Tells open pages that something changed. They ask for what they show themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use crate::Console;
use crate::visitor::Visitor;

/// Open pages at the same time.
const MOST: usize = 32;
/// However much happens, a page is told no more often.
const AT_MOST_EVERY: Duration = Duration::from_secs(1);
/// Changes by themselves are told too (ages, health), so that a page is never older than this.
const AT_LEAST_EVERY: Duration = Duration::from_secs(10);

pub struct Live {
    committed: watch::Receiver<i64>,
    stop: watch::Sender<bool>,
    open: Arc<AtomicUsize>,
}

impl Live {
    pub fn new(committed: watch::Receiver<i64>) -> Self {
        Live { committed, stop: watch::Sender::new(false), open: Arc::default() }
    }

    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

/// A place among the open pages, given back when the stream ends.
struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub async fn stream(console: Data<Console>, request: HttpRequest) -> HttpResponse {
    if Visitor::of(&console, &request).await.is_err() {
        // A stream cannot be led to a page.
        return HttpResponse::build(StatusCode::NO_CONTENT).finish();
    }
    let open = Arc::clone(&console.live.open);
    let place = Place(Arc::clone(&open));
    if open.fetch_add(1, Ordering::Relaxed) >= MOST {
        return HttpResponse::build(StatusCode::NO_CONTENT).finish();
    }
    let mut committed = console.live.committed.clone();
    committed.mark_changed();
    let state = (committed, console.live.stop.subscribe(), place, Instant::now());
    let events = stream::unfold(state, |(mut committed, mut stop, place, not_before)| async move {
        if *stop.borrow() {
            return None;
        }
        tokio::select! {
            () = sleep_until(not_before) => {}
            _ = stop.wait_for(|stop| *stop) => return None,
        }
        tokio::select! {
            // An error means that the store is gone: then there is nothing to wait for.
            _ = timeout(AT_LEAST_EVERY, committed.changed()) => {}
            _ = stop.wait_for(|stop| *stop) => return None,
        }
        let position = *committed.borrow_and_update();
        let event = Bytes::from(format!("id: {position}\nevent: changed\ndata: {position}\n\n"));
        let next = (committed, stop, place, Instant::now() + AT_MOST_EVERY);
        Some((Ok::<_, std::convert::Infallible>(event), next))
    });
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .streaming(Box::pin(events))
}

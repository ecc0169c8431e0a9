//! What happens, as it happens: the gateway's event stream, passed on to the pages.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::{Bytes, Data, ServiceConfig, get};
use anyhow::ensure;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{sleep, timeout};

use super::Backend;
use crate::commands::demo::client::Client;

/// Events kept for a page that is opened later.
const KEPT: usize = 12;
/// Events that a slow page may be behind.
const BEHIND: usize = 64;
/// Between two tries to reach the gateway.
const AGAIN: Duration = Duration::from_millis(500);
/// A page hears something at least this often.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// The events of the shop, and who listens to them.
pub struct Live {
    pages: broadcast::Sender<String>,
    latest: Mutex<VecDeque<Value>>,
}

impl Default for Live {
    fn default() -> Self {
        Live { pages: broadcast::channel(BEHIND).0, latest: Mutex::default() }
    }
}

impl Live {
    /// The latest events, the newest first.
    pub fn latest(&self) -> Vec<Value> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Follows the gateway's events as long as it is polled, and takes up again after the last one
    /// when the stream breaks off.
    pub async fn follow(&self, client: &Client) {
        let mut last = None;
        loop {
            if let Err(error) = self.read(client, &mut last).await {
                tracing::debug!("the event stream broke off: {error:#}");
            }
            sleep(AGAIN).await;
        }
    }

    async fn read(&self, client: &Client, last: &mut Option<String>) -> anyhow::Result<()> {
        let mut stream = client.event_stream(last.as_deref()).await?;
        ensure!(stream.status() == 200, "the gateway answered {}", stream.status());
        let mut text = Vec::new();
        while let Some(chunk) = stream.chunk().await? {
            text.extend_from_slice(&chunk);
            while let Some(end) = text.windows(2).position(|pair| pair == b"\n\n") {
                let message = String::from_utf8_lossy(&text[..end]).into_owned();
                text.drain(..end + 2);
                if let Some((id, event)) = read_message(&message) {
                    *last = id.or(last.take());
                    self.enter(&event);
                }
            }
        }
        Ok(())
    }

    fn enter(&self, event: &Value) {
        let data = &event["data"];
        let shown = json!({
            "type": event["type"], "at": event["timestamp"], "number": data["out_trade_no"], "amount": data["amount"],
            "share": data["share_id"], "title": data["title"],
        });
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.push_front(shown.clone());
        latest.truncate(KEPT);
        drop(latest);
        // That no page is open is no error.
        let _ = self.pages.send(shown.to_string());
    }
}

/// The id and the data of one message of an event stream (HTML standard, server-sent events).
fn read_message(message: &str) -> Option<(Option<String>, Value)> {
    let mut id = None;
    let mut data = String::new();
    for line in message.lines() {
        match line.split_once(':').map(|(field, value)| (field, value.strip_prefix(' ').unwrap_or(value))) {
            Some(("id", value)) => id = Some(value.to_owned()),
            Some(("data", value)) => data.push_str(value),
            _ => {}
        }
    }
    serde_json::from_str(&data).ok().map(|event| (id, event))
}

pub fn routes(config: &mut ServiceConfig) {
    config.route("/live", get().to(stream));
}

async fn stream(backend: Data<Backend>) -> HttpResponse {
    let first = Some("retry: 1000\n\n".to_owned());
    let messages = futures_util::stream::unfold((first, backend.live.pages.subscribe()), |(first, mut pages)| async {
        let text = match first {
            Some(text) => text,
            None => match timeout(HEARTBEAT, pages.recv()).await {
                Ok(Ok(message)) => format!("data: {message}\n\n"),
                // Too slow for every single one: what matters is that it looks again.
                Ok(Err(RecvError::Lagged(_))) => "data: {\"type\":\"shop.changed\"}\n\n".to_owned(),
                Ok(Err(RecvError::Closed)) => return None,
                Err(_) => ": still here\n\n".to_owned(),
            },
        };
        Some((Ok::<_, Infallible>(Bytes::from(text)), (None, pages)))
    });
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .streaming(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_an_event_stream_holds() {
        for (message, expected) in [
            ("id: evt_1\nevent: payment.succeeded\ndata: {\"a\":1}", Some((Some("evt_1"), json!({ "a": 1 })))),
            ("data:{\ndata:\"a\":2}", Some((None, json!({ "a": 2 })))),
            (": heartbeat", None),
            ("retry: 1000", None),
            ("data: not json", None),
            ("", None),
        ] {
            let read = read_message(message);
            assert_eq!(read, expected.map(|(id, data)| (id.map(str::to_owned), data)), "{message}");
        }
    }
}

//! The server that the gateway is compared with; `measure::least` says what it is.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};

use actix_web::error::{ErrorBadGateway, ErrorBadRequest, ErrorInternalServerError, ErrorNotFound};
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};
use anyhow::{Context as _, Result};
use reqwest::Client;
use rusqlite::{Connection as Database, params};
use tokio::sync::oneshot;

use crate::messages::Order;
use crate::server;

pub const COMMAND: &str = "least-server";

/// As durable as the gateway's ledger.
const SETTINGS: &str = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 16000; \
     CREATE TABLE orders (number TEXT PRIMARY KEY, asked BLOB NOT NULL, answered BLOB, paid BLOB);";

/// The server, in a process of its own.
pub fn serve(platform: SocketAddr, store: &Path) -> Result<()> {
    let database = Database::open(store).with_context(|| store.display().to_string())?;
    database.execute_batch(SETTINGS)?;
    let (entries, queue) = channel();
    std::thread::Builder::new().name("writer".into()).spawn(move || {
        if let Err(error) = write(&database, &queue) {
            eprintln!("the writer ended: {error}");
        }
    })?;
    let client = Client::builder().no_proxy().build()?;
    let order = Bytes::from(Order(1).notify());
    let least = Data::new(Least { entries, client, order, url: format!("http://{platform}/pay/unifiedorder") });
    server::run(|| {
        let app = move || {
            let routes = App::new().app_data(least.clone());
            routes.route("/create", web::post().to(create)).route("/notify", web::post().to(notify))
        };
        let server = HttpServer::new(app).disable_signals().bind("127.0.0.1:0")?;
        let addresses = server.addrs();
        Ok((server.run(), addresses))
    })
}

struct Least {
    entries: Sender<Entry>,
    client: Client,
    /// What the platform is sent.
    order: Bytes,
    url: String,
}

/// A row to make or to change, by its number and with what goes in.
struct Entry {
    statement: &'static str,
    number: String,
    bytes: Bytes,
    /// How many rows it was.
    done: oneshot::Sender<usize>,
}

/// What is queued shares a commit.
fn write(database: &Database, queue: &Receiver<Entry>) -> rusqlite::Result<()> {
    let mut done = Vec::new();
    while let Ok(first) = queue.recv() {
        database.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        for entry in std::iter::once(first).chain(queue.try_iter()) {
            let rows = database.prepare_cached(entry.statement)?.execute(params![entry.number, &entry.bytes[..]])?;
            done.push((entry.done, rows));
        }
        database.prepare_cached("COMMIT")?.execute([])?;
        for (caller, rows) in done.drain(..) {
            // It has gone, perhaps.
            let _ = caller.send(rows);
        }
    }
    Ok(())
}

impl Least {
    async fn record(&self, statement: &'static str, number: String, bytes: Bytes) -> actix_web::Result<usize> {
        let (done, written) = oneshot::channel();
        let entry = Entry { statement, number, bytes, done };
        self.entries.send(entry).map_err(|_| ErrorInternalServerError("no writer"))?;
        written.await.map_err(|_| ErrorInternalServerError("no writer"))
    }

    async fn ask(&self) -> reqwest::Result<Bytes> {
        self.client.post(&self.url).body(self.order.clone()).send().await?.error_for_status()?.bytes().await
    }
}

async fn create(least: Data<Least>, body: Bytes) -> actix_web::Result<HttpResponse> {
    let number = between(&body, "\"out_trade_no\":\"", "\"").ok_or_else(|| ErrorBadRequest("no number"))?;
    least.record("INSERT INTO orders (number, asked) VALUES (?1, ?2)", number.clone(), body).await?;
    let answer = least.ask().await.map_err(ErrorBadGateway)?;
    least.record("UPDATE orders SET answered = ?2 WHERE number = ?1", number, answer.clone()).await?;
    Ok(HttpResponse::Created().body(answer))
}

async fn notify(least: Data<Least>, body: Bytes) -> actix_web::Result<&'static str> {
    let number = between(&body, "<out_trade_no><![CDATA[", "]]>").ok_or_else(|| ErrorBadRequest("no number"))?;
    let rows = least.record("UPDATE orders SET paid = ?2 WHERE number = ?1", number, body).await?;
    if rows == 1 { Ok("<xml><return_code><![CDATA[SUCCESS]]></return_code></xml>") } else { Err(ErrorNotFound("")) }
}

fn between(body: &[u8], before: &str, after: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once(before)?;
    rest.split_once(after).map(|(number, _)| number.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_what_is_sent() {
        let order = Order(7);
        assert_eq!(between(order.create().as_bytes(), "\"out_trade_no\":\"", "\""), Some(order.number()));
        assert_eq!(between(order.notify().as_bytes(), "<out_trade_no><![CDATA[", "]]>"), Some(order.number()));
    }
}

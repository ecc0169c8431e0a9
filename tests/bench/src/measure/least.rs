//! The least that a create can be: recorded, sent, recorded, answered. No checks, no signatures,
//! no database: what the gateway's own rate is compared with.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use actix_web::error::ErrorServiceUnavailable;
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpResponse, HttpServer};
use anyhow::{Context as _, Result};
use tokio::sync::oneshot;

use super::{Bench, at, spread};
use crate::interface::Interface;
use crate::load::{self, Answer, Connection, Plan, Requests};
use crate::messages::Order;
use crate::platform::Platform;
use crate::report::Report;
use crate::server;

pub const NAME: &str = "least create";

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let platform = Platform::start(Interface::V2)?;
    let journal = bench.directory.join("least");
    let arguments = ["least-server".to_owned(), platform.address.to_string(), journal.display().to_string()];
    let (process, address) = server::start(&arguments)?;
    let requests = vec![load::post("/", "content-type: application/json\r\n", &Order(1).create())];
    let requests = Arc::new(Requests::over_and_over(requests));
    let plan = Plan { address, connections: 64, requests: &requests, wanted: is_created };
    let before = process.cpu()?;
    let mut outcome = load::closed(&plan, bench.time)?.whole(NAME)?;
    let cpu = (process.cpu()? - before).as_secs_f64() * 1e6 / outcome.done as f64;
    let detail = format!("{}, server CPU {cpu:.0} µs each", spread(&mut outcome.latencies));
    report.line(&at(NAME, 64), outcome.rate(), "/s", detail);
    Ok(())
}

fn is_created(answer: &Answer<'_>) -> bool {
    answer.status == 201
}

/// The server, in a process of its own.
pub fn serve(platform: SocketAddr, journal: &Path) -> Result<()> {
    let file = File::create(journal).with_context(|| journal.display().to_string())?;
    let (entries, queue) = channel();
    std::thread::Builder::new().name("journal".into()).spawn(move || {
        if let Err(error) = write(file, &queue) {
            eprintln!("the journal ended: {error}");
        }
    })?;
    let least = Data::new(Least { entries, order: load::post("/pay/unifiedorder", "", &Order(1).notify()), platform });
    server::run(|| {
        let app = move || App::new().app_data(least.clone()).route("/", web::post().to(create));
        let server = HttpServer::new(app).disable_signals().bind("127.0.0.1:0")?;
        let addresses = server.addrs();
        Ok((server.run(), addresses))
    })
}

struct Least {
    entries: Sender<Entry>,
    order: Vec<u8>,
    platform: SocketAddr,
}

struct Entry {
    bytes: Bytes,
    done: oneshot::Sender<()>,
}

/// What is queued shares a flush.
fn write(mut file: File, queue: &Receiver<Entry>) -> io::Result<()> {
    let mut batch = Vec::new();
    while let Ok(first) = queue.recv() {
        batch.push(first);
        batch.extend(queue.try_iter());
        let lines: Vec<u8> = batch.iter().flat_map(|entry| entry.bytes.iter().copied()).collect();
        file.write_all(&lines)?;
        file.sync_data()?;
        for entry in batch.drain(..) {
            // Its caller has gone, perhaps.
            let _ = entry.done.send(());
        }
    }
    Ok(())
}

impl Least {
    async fn record(&self, bytes: Bytes) -> actix_web::Result<()> {
        let (done, written) = oneshot::channel();
        self.entries.send(Entry { bytes, done }).map_err(|_| ErrorServiceUnavailable("no journal"))?;
        written.await.map_err(|_| ErrorServiceUnavailable("no journal"))
    }

    /// Over a connection of this thread's own.
    async fn ask(&self) -> io::Result<Bytes> {
        thread_local! {
            static IDLE: RefCell<Vec<Connection>> = const { RefCell::new(Vec::new()) };
        }
        let idle = IDLE.with_borrow_mut(Vec::pop);
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::open(self.platform).await?,
        };
        let answer = Bytes::copy_from_slice(connection.exchange(&self.order).await?.body);
        IDLE.with_borrow_mut(|idle| idle.push(connection));
        Ok(answer)
    }
}

async fn create(least: Data<Least>, body: Bytes) -> actix_web::Result<HttpResponse> {
    least.record(body).await?;
    let answer = least.ask().await?;
    least.record(answer.clone()).await?;
    Ok(HttpResponse::Created().body(answer))
}

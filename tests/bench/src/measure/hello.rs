//! The least an actix-web server can do: what the gateway's rates are compared with.

use std::sync::Arc;

use actix_web::{App, HttpServer, web};
use anyhow::Result;

use super::{Bench, at, spread};
use crate::load::{self, Answer, Plan, Requests};
use crate::report::Report;
use crate::server;

pub const NAME: &str = "hello world";

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let (process, address) = server::start(&["hello-server".to_owned()])?;
    for connections in [64, 256] {
        let requests = Arc::new(Requests::over_and_over(vec![load::get("/")]));
        let plan = Plan { address, connections, requests: &requests, wanted: is_hello };
        let before = process.cpu()?;
        let mut outcome = load::closed(&plan, bench.time)?.whole(NAME)?;
        let cpu = (process.cpu()? - before).as_secs_f64() * 1e6 / outcome.done as f64;
        let detail = format!("{}, server CPU {cpu:.1} µs each", spread(&mut outcome.latencies));
        report.line(&at(NAME, connections), outcome.rate(), "/s", detail);
    }
    Ok(())
}

fn is_hello(answer: &Answer<'_>) -> bool {
    answer.status == 200 && answer.body == b"hello world"
}

/// The server, in a process of its own.
pub fn serve() -> Result<()> {
    server::run(|| {
        let app = || App::new().route("/", web::get().to(async || "hello world"));
        let server = HttpServer::new(app).disable_signals().bind("127.0.0.1:0")?;
        let addresses = server.addrs();
        Ok((server.run(), addresses))
    })
}

//! The least an actix-web server can do: what the gateway's rates are compared with.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::Arc;

use actix_web::{App, HttpServer, web};
use anyhow::{Context as _, Result};

use super::{Bench, at, spread};
use crate::load::{self, Answer, Plan, Requests};
use crate::process::Process;
use crate::report::Report;

pub const NAME: &str = "hello world";

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let (process, address) = start()?;
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

fn start() -> Result<(Process, SocketAddr)> {
    let child = Command::new(std::env::current_exe()?)
        .arg("hello-server")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start the hello world server")?;
    let mut process = Process::new(child);
    let mut line = String::new();
    let output = process.child().stdout.take().context("no output")?;
    BufReader::new(output).read_line(&mut line)?;
    let address = line.trim().parse().context("the hello world server did not say where it listens")?;
    Ok((process, address))
}

fn is_hello(answer: &Answer<'_>) -> bool {
    answer.status == 200 && answer.body == b"hello world"
}

/// The server itself, in a process of its own; as many workers as actix-web takes by itself, as in
/// the gateway. Ends with its standard input.
pub fn serve() -> Result<()> {
    std::thread::Builder::new().name("end".into()).spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    })?;
    actix_web::rt::System::new().block_on(async {
        let server = HttpServer::new(|| App::new().route("/", web::get().to(async || "hello world")))
            .disable_signals()
            .bind("127.0.0.1:0")?;
        for address in server.addrs() {
            println!("{address}");
        }
        server.run().await
    })?;
    Ok(())
}

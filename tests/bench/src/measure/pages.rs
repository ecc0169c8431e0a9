//! The list of payments, as a merchant's backend reads it: page after page, from the newest to the oldest.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Bench;
use crate::gateway::{API_KEY, Gateway};
use crate::ledger::Ledger;
use crate::load::{Connection, Latencies};
use crate::messages::TENANT;
use crate::report::{Aim, Report};
use crate::session::Session;

const PAYMENTS: usize = 1_000_000;
const PAGE: usize = 50;
const AIM: Aim = Aim::AtMost(5.0);

/// All pages, without a filter and by state. The time is the caller's, over HTTP.
pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let directory = bench.directory.join("pages");
    let mut session = Session::start(&bench.binary, &directory)?;
    session.notify(1, 1, |plan| crate::load::closed(plan, Duration::from_secs(10)))?;
    let Session { gateway, platform, .. } = session;
    gateway.stop()?;
    Ledger::open(&directory)?.copy_payment(u32::try_from(PAYMENTS - 1)?)?;
    let gateway = Gateway::start(&bench.binary, &directory, &platform, None)?;
    for (name, filter, count) in [
        ("a page of 50 of a million, p99", "", PAYMENTS),
        ("the same, the closed tenth, p99", "&status=closed", PAYMENTS / 10 - 1),
        ("the same, the others, p99", "&status=succeeded", PAYMENTS / 10 * 9 + 1),
    ] {
        let mut thirds = walk(&gateway, filter, count).with_context(|| gateway.log_tail())?;
        let parts: Vec<String> = thirds.iter_mut().map(|third| format!("{:.2}", third.millis(0.99))).collect();
        let mut all = Latencies::default();
        thirds.into_iter().for_each(|third| all.merge(third));
        let detail = format!(
            "{} pages, p50 {:.2} ms, most {:.2} ms; newest, middle, oldest third {} ms",
            all.count(),
            all.millis(0.5),
            all.millis(1.0),
            parts.join(", ")
        );
        report.aimed(name, all.millis(0.99), "ms", AIM, detail);
    }
    gateway.stop()
}

/// Reads the whole list over one connection; the times of its first, middle and last third.
fn walk(gateway: &Gateway, filter: &str, count: usize) -> Result<Vec<Latencies>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut times: Vec<Duration> = Vec::with_capacity(count.div_ceil(PAGE));
    runtime.block_on(async {
        let mut connection = Connection::open(gateway.address).await?;
        let (mut cursor, mut seen) = (String::new(), 0);
        loop {
            let path = format!("/v1/{TENANT}/payments?limit={PAGE}{filter}{cursor}");
            let request = format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {API_KEY}\r\n\r\n");
            let from = Instant::now();
            let answer = connection.exchange(request.as_bytes()).await?;
            times.push(from.elapsed());
            ensure!(answer.status == 200, "{answer}");
            let page: Value = serde_json::from_slice(answer.body)?;
            seen += page["data"].as_array().map_or(0, Vec::len);
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        ensure!(seen == count, "{seen} of {count} payments were in the list");
        anyhow::Ok(())
    })?;
    Ok(times.chunks(times.len().div_ceil(3)).map(collect).collect())
}

fn collect(times: &[Duration]) -> Latencies {
    let mut latencies = Latencies::default();
    times.iter().for_each(|time| latencies.record(*time));
    latencies
}

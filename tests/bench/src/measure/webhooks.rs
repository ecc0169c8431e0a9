//! Events to merchants' webhooks: signed, sent, answered, recorded.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Bench;
use crate::gateway::{Gateway, Shop};
use crate::ledger::Ledger;
use crate::platform::Platform;
use crate::report::{Aim, Report};
use crate::session::Session;
use crate::sink::Sink;

const TENANTS: usize = 100;
/// For each of them.
const EVENTS: usize = 300;
const PATIENCE: Duration = Duration::from_secs(60);

/// What delivering everything took.
struct Delivered {
    time: Duration,
    cpu: Duration,
}

/// A hundred tenants with as much waiting for each; then the same with an endpoint among them that never answers. The
/// others are the same in number both times.
pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let others = (TENANTS - 1) * EVENTS;
    let well = deliver(bench, "webhooks-well", false)?;
    let rate = |time: Duration| others as f64 / time.as_secs_f64();
    let cpu = well.cpu.as_secs_f64() * 1e6 / others as f64;
    let detail = format!("{TENANTS} tenants, {EVENTS} events each, server CPU {cpu:.0} µs each");
    report.aimed("webhook deliveries", rate(well.time), "/s", Aim::AtLeast(3_000.0), detail);
    let dead = deliver(bench, "webhooks-dead", true)?;
    let cost = rate(dead.time) / rate(well.time);
    let detail = format!("{:.0} /s to the other {}", rate(dead.time), TENANTS - 1);
    report.aimed("one dead endpoint / none", cost, "", Aim::AtLeast(0.9), detail);
    let added = dead.time.as_secs_f64() - well.time.as_secs_f64();
    report.aimed("one dead endpoint, added until all", added, "s", Aim::AtMost(2.0), "have what waited for them");
    Ok(())
}

/// To every tenant but the first, which is the dead one, or has nothing.
fn deliver(bench: &Bench, name: &str, dead: bool) -> Result<Delivered> {
    let directory = bench.directory.join(name);
    let sink = Sink::start()?;
    let shops: Vec<Shop> = (0..TENANTS)
        .map(|place| Shop {
            id: format!("shop-{place}"),
            url: if dead && place == 0 { sink.dead() } else { sink.well() },
        })
        .collect();
    let waiting: Vec<String> = shops.iter().skip(usize::from(!dead)).map(|shop| shop.id.clone()).collect();
    let platform = fill(bench, &directory, &waiting)?;
    let gateway = Gateway::start_with(&bench.binary, &directory, &platform, None, &shops)?;
    let before = gateway.process.cpu()?;
    let time = sink.wait((TENANTS - 1) * EVENTS, PATIENCE).with_context(|| gateway.log_tail())?;
    let cpu = gateway.process.cpu()?.saturating_sub(before);
    gateway.stop()?;
    Ok(Delivered { time, cpu })
}

/// A store in which as many events wait for each tenant, copies of one that the API made.
fn fill(bench: &Bench, directory: &Path, tenants: &[String]) -> Result<Platform> {
    let mut session = Session::start(&bench.binary, directory)?;
    session.create(1, 1, PATIENCE)?;
    let Session { platform, gateway, .. } = session;
    gateway.stop()?;
    Ledger::open(directory)?.copy_event(u32::try_from(tenants.len() * EVENTS)?, tenants)?;
    Ok(platform)
}

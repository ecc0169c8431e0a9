//! Payments made through the API: two commits and one call to the platform each.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Bench, at, least, machine, spread};
use crate::report::{Aim, Report};
use crate::session::Session;

const NAME: &str = "create";
const DELAY: Duration = Duration::from_millis(100);
/// More than any machine makes in the time.
const PER_SECOND: usize = 25_000;

/// Against a platform that answers at once.
pub fn at_once(bench: &Bench, session: &mut Session, report: &mut Report) -> Result<()> {
    for (connections, time) in [(1, bench.time / 2), (64, bench.time)] {
        session.platform.take_times();
        let orders = session.platform.answered();
        let cpu = session.gateway.process.cpu()?;
        let mut outcome = session.create(connections, (time.as_secs_f64() * PER_SECOND as f64) as usize, time)?;
        let cpu = (session.gateway.process.cpu()? - cpu).as_secs_f64() * 1e6 / outcome.done as f64;
        let orders = session.platform.answered() - orders;
        ensure!(orders == outcome.done as u64, "{} payments made, but {orders} orders sent", outcome.done);
        let detail = format!("{}, server CPU {cpu:.0} µs each", spread(&mut outcome.latencies));
        let name = at(NAME, connections);
        report.line(&name, outcome.rate(), "/s", detail);
        if let Some(least) = report.value(&at(least::NAME, connections)) {
            report.aimed("create / least create", outcome.rate() / least, "", Aim::AtLeast(0.7), "");
        }
    }
    Ok(())
}

/// Against a platform as slow as a real one: what the gateway adds to its time.
pub fn slow_platform(bench: &Bench, session: &mut Session, report: &mut Report) -> Result<()> {
    session.platform.set_delay(DELAY);
    session.platform.take_times();
    let created = session.create(64, (bench.time.as_secs_f64() * 64.0 * 10.0) as usize, bench.time);
    session.platform.set_delay(Duration::ZERO);
    let mut outcome = created?;
    let platform = session.platform.take_times().millis(0.5);
    let detail = spread(&mut outcome.latencies);
    report.line("create, 64 connections, 100 ms platform", outcome.rate(), "/s", detail);
    let added = outcome.latencies.millis(0.5) - platform;
    let detail = format!("at p50, over the platform's own {platform:.2} ms");
    match report.value(machine::FLUSH) {
        Some(flush) => {
            let aim = Aim::AtMost(2.0 * flush + 2.0);
            report.aimed(
                "create, added to the platform's time",
                added,
                "ms",
                aim,
                detail + "; aim: two flushes and 2 ms",
            );
        }
        None => report.line("create, added to the platform's time", added, "ms", detail),
    }
    Ok(())
}

//! Payments made through the API: two commits and one call to the platform each.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{Bench, at, least, machine, spread};
use crate::load;
use crate::report::{Aim, Report};
use crate::session::Session;

const NAME: &str = "create";
const DELAY: Duration = Duration::from_millis(100);
const CONNECTIONS: usize = 64;
/// The even load's share of what the connections can carry.
const SHARE: f64 = 0.7;
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
        if let Some(least) = report.value(&at(least::CREATE, connections)) {
            report.aimed("create / least create", outcome.rate() / least, "", Aim::AtLeast(0.7), "");
        }
    }
    Ok(())
}

/// Against a platform as slow as a real one: what the gateway adds to its time.
///
/// Connections that each wait for the same time soon send in step: that measures how long the last of so many at
/// once waits. What one payment is kept waiting is seen where they come evenly.
pub fn slow_platform(bench: &Bench, session: &mut Session, report: &mut Report) -> Result<()> {
    session.platform.set_delay(DELAY);
    let measured = slow(bench, session, report);
    session.platform.set_delay(Duration::ZERO);
    measured
}

fn slow(bench: &Bench, session: &mut Session, report: &mut Report) -> Result<()> {
    let most = CONNECTIONS as f64 / DELAY.as_secs_f64();
    let within = |rate: f64| (bench.time.as_secs_f64() * rate) as usize;
    session.platform.take_times();
    let mut in_step = session.create(CONNECTIONS, within(most), bench.time)?;
    let added_in_step = in_step.latencies.millis(0.5) - session.platform.take_times().millis(0.5);
    let detail = format!("{}, added {added_in_step:.2} ms at p50", spread(&mut in_step.latencies));
    report.line("create, 100 ms platform, 64 in step", in_step.rate(), "/s", detail);

    let rate = most * SHARE;
    let mut evenly = session.create_as(CONNECTIONS, within(rate), |plan| load::open(plan, rate, bench.time))?;
    let platform = session.platform.take_times().millis(0.5);
    report.line("create, 100 ms platform, evenly", evenly.rate(), "/s", spread(&mut evenly.latencies));
    let added = evenly.latencies.millis(0.5) - platform;
    let detail = format!("at p50, over the platform's own {platform:.2} ms");
    match report.value(machine::FLUSH) {
        Some(flush) => {
            let aim = Aim::AtMost(2.0 * flush + 2.0);
            let detail = detail + "; aim: two flushes and 2 ms";
            report.aimed("create, added to the platform's time", added, "ms", aim, detail);
        }
        None => report.line("create, added to the platform's time", added, "ms", detail),
    }
    Ok(())
}

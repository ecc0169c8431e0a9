//! Notifies, each of another payment: verified, compared, durable, and only then acknowledged.

use std::time::Duration;

use anyhow::Result;

use super::{Bench, at, hello, least, spread};
use crate::load::{self, Outcome};
use crate::report::{Aim, Report};
use crate::session::Session;

const NAME: &str = "notify";
/// The open loop's share of the most that was reached.
const SHARE: f64 = 0.7;
/// How many a connection count uses up, at most.
const MOST: usize = 24_000;
/// Every one committed alone takes a flush each.
const MOST_ALONE: usize = 6_000;
const MOST_SINGLE: usize = 3_000;

/// At 64 and 256 connections: the most, then the times at a part of it.
pub fn saturated(bench: &Bench, session: &mut Session, report: &mut Report) -> Result<()> {
    for connections in [64, 256] {
        session.fill(MOST)?;
        let before = session.gateway.process.cpu()?;
        let mut most = most(bench, session, connections, MOST)?;
        let cpu_each = (session.gateway.process.cpu()? - before).as_secs_f64() * 1e6 / most.done as f64;
        report.line(&at(NAME, connections), most.rate(), "/s", spread(&mut most.latencies));
        let name = at("notify, server CPU each", connections);
        report.aimed(&name, cpu_each, "µs", Aim::AtMost(75.0), "user and kernel, all threads");
        if let Some(hello) = report.value(&at(hello::NAME, connections)) {
            let ratio = most.rate() / hello;
            let name = at("notify / hello world", connections);
            if connections == 256 {
                report.aimed(&name, ratio, "", Aim::AtLeast(0.28), "");
            } else {
                report.line(&name, ratio, "", "");
            }
        }
        if let Some(least) = report.value(&at(least::NOTIFY, connections)) {
            report.line(&at("notify / least notify", connections), most.rate() / least, "", "");
        }
        let rate = most.rate() * SHARE;
        let count = ((rate * bench.time.as_secs_f64()) as usize).min(MOST);
        let time = bench.time;
        let mut calm = session.notify(connections, count, |plan| load::open(plan, rate, time))?;
        let detail = format!("{}, from the moment each was due", spread(&mut calm.latencies));
        report.line(&at("notify at 70 %", connections), calm.rate(), "/s", detail);
    }
    Ok(())
}

/// The shared commit against one commit each. Ends the session.
pub fn grouping(bench: &Bench, mut session: Session, report: &mut Report) -> Result<()> {
    session.fill(MOST + MOST_SINGLE * 2 + MOST_ALONE)?;
    let mut single = single(bench, &mut session)?;
    // Right before the other side, since a disk that others use as well changes its pace.
    let grouped = most(bench, &mut session, 64, MOST)?.rate();
    let mut session = session.restart(Some(1))?;
    let mut single_alone = self::single(bench, &mut session)?;
    let mut alone = most(bench, &mut session, 64, MOST_ALONE)?;
    session.gateway.stop()?;

    report.line("notify, 64 connections, max_batch 1", alone.rate(), "/s", spread(&mut alone.latencies));
    report.aimed("shared commit / commit each, 64", grouped / alone.rate(), "", Aim::AtLeast(6.0), "");
    report.line("notify, 1 connection", single.rate(), "/s", spread(&mut single.latencies));
    report.line("notify, 1 connection, max_batch 1", single_alone.rate(), "/s", spread(&mut single_alone.latencies));
    let wait = single.latencies.millis(0.5) / single_alone.latencies.millis(0.5).max(f64::EPSILON);
    // The disk's own noise is about this wide.
    report.aimed("p50 shared / each, 1 connection", wait, "", Aim::AtMost(1.15), "1 is: sharing adds no wait");
    Ok(())
}

pub(super) fn most(bench: &Bench, session: &mut Session, connections: usize, count: usize) -> Result<Outcome> {
    session.notify(connections, count, |plan| load::closed(plan, bench.time))
}

fn single(bench: &Bench, session: &mut Session) -> Result<Outcome> {
    let time = bench.time.min(Duration::from_secs(2));
    session.notify(1, MOST_SINGLE, |plan| load::closed(plan, time))
}

//! APIv3: each notify an RSA signature verified and a resource decrypted, each create a signature made.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use super::{Bench, at, spread};
use crate::interface::Interface;
use crate::load;
use crate::machine;
use crate::report::{Aim, Report};
use crate::session::Session;
use crate::wechat_v3::Keys;

/// Every one is signed before the clock starts, which takes the better part of a millisecond.
const MOST: usize = 12_000;
/// More than any machine makes in a second: a signature each.
const CREATES_PER_SECOND: usize = 5_000;
const SIGNING: Duration = Duration::from_secs(1);

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let keys = Arc::new(Keys::make()?);
    report.line("RSA signatures, one core", keys.rate(1, SIGNING)?, "/s", "2048 bits, made");
    let signatures = keys.rate(machine::cores(), SIGNING)?;
    report.line("RSA signatures, all cores", signatures, "/s", "");
    let directory = bench.directory.join("wechat-v3");
    let mut session = Session::start_with(&bench.binary, &directory, Interface::V3(keys))?;
    for connections in [64, 256] {
        create(bench, &mut session, connections, signatures, report)?;
    }
    for connections in [64, 256] {
        notify(bench, &mut session, connections, report)?;
    }
    session.gateway.stop()
}

fn create(
    bench: &Bench,
    session: &mut Session,
    connections: usize,
    signatures: f64,
    report: &mut Report,
) -> Result<()> {
    let count = (bench.time.as_secs_f64() * CREATES_PER_SECOND as f64) as usize;
    let cpu = session.gateway.process.cpu()?;
    let mut outcome = session.create(connections, count, bench.time)?;
    let cpu = (session.gateway.process.cpu()? - cpu).as_secs_f64() * 1e6 / outcome.done as f64;
    report.line(&at("v3 create", connections), outcome.rate(), "/s", spread(&mut outcome.latencies));
    let (cpu_each, ratio) = (at("v3 create, server CPU each", connections), outcome.rate() / signatures);
    report.aimed(&cpu_each, cpu, "µs", Aim::AtMost(900.0), "two RSA signatures among it");
    let detail = "of all cores; two are made for each, so that 0.5 is the end";
    report.aimed(&at("v3 create / RSA signatures", connections), ratio, "", Aim::AtLeast(0.35), detail);
    Ok(())
}

fn notify(bench: &Bench, session: &mut Session, connections: usize, report: &mut Report) -> Result<()> {
    session.fill(MOST)?;
    let cpu = session.gateway.process.cpu()?;
    let mut outcome = session.notify(connections, MOST, |plan| load::closed(plan, bench.time))?;
    let cpu = (session.gateway.process.cpu()? - cpu).as_secs_f64() * 1e6 / outcome.done as f64;
    report.line(&at("v3 notify", connections), outcome.rate(), "/s", spread(&mut outcome.latencies));
    let name = at("v3 notify, server CPU each", connections);
    report.aimed(&name, cpu, "µs", Aim::AtMost(100.0), "one RSA verification among it");
    Ok(())
}

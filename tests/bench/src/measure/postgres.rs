//! Notifies with payments in PostgreSQL, on this machine beside everything else.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use dukou_test_servers::Postgres;

use super::{Bench, at, notify, spread};
use crate::process;
use crate::report::{Aim, Report};
use crate::session::Session;

const CONNECTIONS: usize = 256;
const MOST: usize = 24_000;
/// One by one it is slower.
const MOST_ALONE: usize = 6_000;
/// The second instance's payments have numbers of their own.
const SECOND: usize = 10_000_000;

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let embedded = embedded(bench, report)?;
    // It writes to the disk as it does in earnest.
    let server = Postgres::start_with(&["shared_buffers=256MB", "max_wal_size=4GB"]);
    let one = one(bench, report, &server)?;
    report.aimed("embedded / PostgreSQL, 256", embedded / one, "", Aim::AtMost(2.0), "one instance");
    two(bench, report, &server)
}

fn embedded(bench: &Bench, report: &mut Report) -> Result<f64> {
    let mut session = Session::start(&bench.binary, &bench.directory.join("embedded"))?;
    session.fill(MOST)?;
    let before = session.gateway.process.cpu()?;
    let mut most = notify::most(bench, &mut session, CONNECTIONS, MOST)?;
    let cpu = (session.gateway.process.cpu()? - before).as_secs_f64() * 1e3 / most.done as f64;
    report.line(&at("notify, embedded", CONNECTIONS), most.rate(), "/s", spread(&mut most.latencies));
    report.line("CPU s a 1,000 notifies, embedded", cpu, "s", "gateway");
    session.gateway.stop()?;
    Ok(most.rate())
}

fn one(bench: &Bench, report: &mut Report, server: &Postgres) -> Result<f64> {
    let database = server.new_database();
    let mut session = Session::start_on(&database, &bench.binary, &bench.directory.join("one"), 0)?;
    session.fill(MOST)?;
    let before = (session.gateway.process.cpu()?, database_cpu(server)?);
    let mut most = notify::most(bench, &mut session, CONNECTIONS, MOST)?;
    let gateway = session.gateway.process.cpu()? - before.0;
    let name = at("notify, PostgreSQL, one instance", CONNECTIONS);
    report.aimed(&name, most.rate(), "/s", Aim::AtLeast(5_000.0), spread(&mut most.latencies));
    used(report, "one instance", most.done, gateway, database_cpu(server)? - before.1);
    let mut single = session.notify(1, MOST_ALONE, |plan| crate::load::closed(plan, bench.time))?;
    report.line("notify, PostgreSQL, 1 connection", single.rate(), "/s", spread(&mut single.latencies));
    let mut session = session.restart(Some(1))?;
    let mut alone = notify::most(bench, &mut session, CONNECTIONS, MOST_ALONE)?;
    report.line("notify, PostgreSQL, max_batch 1, 256", alone.rate(), "/s", spread(&mut alone.latencies));
    report.line("batches / one by one, 256", most.rate() / alone.rate(), "", "");
    session.gateway.stop()?;
    Ok(most.rate())
}

fn two(bench: &Bench, report: &mut Report, server: &Postgres) -> Result<()> {
    let database = server.new_database();
    let mut first = Session::start_on(&database, &bench.binary, &bench.directory.join("first"), 0)?;
    let mut second = Session::start_on(&database, &bench.binary, &bench.directory.join("second"), SECOND)?;
    first.fill(MOST)?;
    second.fill(MOST)?;
    let gateways = |first: &Session, second: &Session| -> Result<Duration> {
        Ok(first.gateway.process.cpu()? + second.gateway.process.cpu()?)
    };
    let before = (gateways(&first, &second)?, database_cpu(server)?);
    let (mut one, mut other) = thread::scope(|scope| {
        let one = scope.spawn(|| notify::most(bench, &mut first, CONNECTIONS / 2, MOST));
        let other = scope.spawn(|| notify::most(bench, &mut second, CONNECTIONS / 2, MOST));
        let join = |load: thread::ScopedJoinHandle<'_, _>| load.join().map_err(|_| anyhow!("the load panicked"))?;
        anyhow::Ok((join(one)?, join(other)?))
    })?;
    let gateway = gateways(&first, &second)? - before.0;
    let rate = one.rate() + other.rate();
    let detail = format!("{}; {}", spread(&mut one.latencies), spread(&mut other.latencies));
    report.aimed("notify, PostgreSQL, two instances, 2 × 128", rate, "/s", Aim::AtLeast(5_000.0), detail);
    used(report, "two instances", one.done + other.done, gateway, database_cpu(server)? - before.1);
    first.gateway.stop()?;
    second.gateway.stop()
}

fn used(report: &mut Report, who: &str, done: usize, gateway: Duration, database: Duration) {
    let each = |cpu: Duration| cpu.as_secs_f64() * 1e3 / done as f64;
    let detail = format!("gateway {:.3}, database {:.3}", each(gateway), each(database));
    report.line(&format!("CPU s a 1,000 notifies, {who}"), each(gateway) + each(database), "s", detail);
}

/// Of the server and its children, those that have ended included.
fn database_cpu(server: &Postgres) -> Result<Duration> {
    let main = server.pid();
    let mut sum = process::cpu_with_ended_children(main)?;
    for entry in std::fs::read_dir("/proc").context("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that ends meanwhile is counted with its parent.
        if process::parent(pid).is_ok_and(|parent| parent == main) {
            sum += process::cpu(pid).unwrap_or_default();
        }
    }
    Ok(sum)
}

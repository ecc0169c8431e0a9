//! The least that can do the job at all: actix-web, reqwest, and one SQLite writer whose requests share commits. An
//! order is recorded, sent, and its answer recorded; a message about it is recorded with it. No signatures, no
//! rules, no events: what the gateway's own rates are compared with.

use std::sync::Arc;

use anyhow::Result;

use super::{Bench, at, hello, spread};
use crate::interface::Interface;
use crate::least;
use crate::load::{self, Answer, Outcome, Plan, Requests};
use crate::messages::Order;
use crate::platform::Platform;
use crate::report::Report;
use crate::server;

pub const CREATE: &str = "least create";
pub const NOTIFY: &str = "least notify";
/// More than any machine makes in the time.
const PER_SECOND: usize = 50_000;
/// As many as a measurement of the gateway's notifies uses up.
const MOST: usize = 24_000;

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let platform = Platform::start(Interface::V2)?;
    let store = bench.directory.join("least.db");
    let arguments = [least::COMMAND.to_owned(), platform.address.to_string(), store.display().to_string()];
    let (process, address) = server::start(&arguments)?;
    let mut next = 0;
    let mut made = Vec::new();
    let mut create = |connections, count: usize, line: Option<&mut Report>| -> Result<Vec<Order>> {
        let orders: Vec<Order> = (next..next + count).map(Order).collect();
        let requests = orders.iter().map(|order| load::post("/create", "", &order.create())).collect();
        let requests = Arc::new(Requests::once(requests));
        let before = process.cpu()?;
        let plan = Plan { address, connections, requests: &requests, wanted: is_created };
        let outcome = load::closed(&plan, bench.time)?.whole(CREATE)?;
        if let Some(report) = line {
            entered(report, CREATE, connections, outcome, process.cpu()? - before);
        }
        next += requests.taken();
        Ok(orders[..requests.taken()].to_vec())
    };
    made.extend(create(64, (bench.time.as_secs_f64() * PER_SECOND as f64) as usize, Some(report))?);
    for connections in [64, 256] {
        while made.len() < MOST {
            made.extend(create(64, MOST - made.len(), None)?);
        }
        let paid = made.split_off(made.len() - MOST);
        let requests = paid.iter().map(|order| load::post("/notify", "", &order.notify())).collect();
        let requests = Arc::new(Requests::once(requests));
        let before = process.cpu()?;
        let plan = Plan { address, connections, requests: &requests, wanted: is_taken };
        let outcome = load::closed(&plan, bench.time)?.whole(NOTIFY)?;
        let rate = outcome.rate();
        entered(report, NOTIFY, connections, outcome, process.cpu()? - before);
        if let Some(hello) = report.value(&at(hello::NAME, connections)) {
            report.line(&at("least notify / hello world", connections), rate / hello, "", "");
        }
    }
    Ok(())
}

fn entered(report: &mut Report, name: &str, connections: usize, mut outcome: Outcome, cpu: std::time::Duration) {
    let each = cpu.as_secs_f64() * 1e6 / outcome.done as f64;
    let detail = format!("{}, server CPU {each:.0} µs each", spread(&mut outcome.latencies));
    report.line(&at(name, connections), outcome.rate(), "/s", detail);
}

fn is_created(answer: &Answer<'_>) -> bool {
    answer.status == 201
}

fn is_taken(answer: &Answer<'_>) -> bool {
    answer.status == 200
}

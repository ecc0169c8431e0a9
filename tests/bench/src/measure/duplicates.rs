//! Notifies about what is paid already: acknowledged again, with no second effect.

use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::{Bench, at, spread};
use crate::load::{self, Plan, Requests};
use crate::report::Report;
use crate::session::Session;

/// How many different messages are repeated.
const MESSAGES: usize = 2_000;

pub fn run(bench: &Bench, session: &mut Session, report: &mut Report) -> Result<()> {
    if session.paid.len() < MESSAGES {
        let missing = MESSAGES - session.paid.len();
        session.notify(64, missing, |plan| load::closed(plan, bench.time * 4))?;
    }
    let messages = session.platform.interface().notifies(&session.paid[session.paid.len() - MESSAGES..])?;
    let requests = Arc::new(Requests::over_and_over(messages));
    let address = session.gateway.address;
    let plan =
        Plan { address, connections: 64, requests: &requests, wanted: session.platform.interface().acknowledged() };
    let cpu = session.gateway.process.cpu()?;
    let mut outcome =
        load::closed(&plan, bench.time)?.whole("duplicates").with_context(|| session.gateway.log_tail())?;
    let cpu = (session.gateway.process.cpu()? - cpu).as_secs_f64() * 1e6 / outcome.done as f64;
    let detail = format!("{}, server CPU {cpu:.1} µs each", spread(&mut outcome.latencies));
    report.line(&at("duplicate notify", 64), outcome.rate(), "/s", detail);
    Ok(())
}

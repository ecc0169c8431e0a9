//! Which measurements run, in which order.

use anyhow::Result;

use crate::measure::{Bench, create, duplicates, hello, idle, least, machine, notify};
use crate::report::Report;
use crate::session::Session;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Card,
    Hello,
    Notify,
    Create,
    Duplicates,
    Idle,
}

/// # Errors
/// When the gateway does not start, or one request is not answered as it must be: a rate of wrong
/// answers is no rate.
pub fn run(what: What, bench: &Bench) -> Result<Report> {
    let mut report = Report::default();
    let report_to = &mut report;
    machine::run(bench, report_to)?;
    if matches!(what, What::Card | What::Hello | What::Notify) {
        hello::run(bench, report_to)?;
    }
    if matches!(what, What::Card | What::Idle) {
        idle::run(bench, report_to)?;
    }
    if matches!(what, What::Hello | What::Idle) {
        return Ok(report);
    }
    if matches!(what, What::Card | What::Create) {
        least::run(bench, report_to)?;
    }
    let mut session = Session::start(&bench.binary, &bench.directory.join("load"))?;
    if matches!(what, What::Card | What::Create) {
        create::at_once(bench, &mut session, report_to)?;
        create::slow_platform(bench, &mut session, report_to)?;
    }
    if matches!(what, What::Card | What::Notify) {
        notify::saturated(bench, &mut session, report_to)?;
    }
    if matches!(what, What::Card | What::Duplicates) {
        duplicates::run(bench, &mut session, report_to)?;
    }
    if matches!(what, What::Card | What::Notify) {
        notify::grouping(bench, session, report_to)?;
    } else {
        session.gateway.stop()?;
    }
    Ok(report)
}

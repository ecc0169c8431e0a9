//! Which measurements run, in which order.

use anyhow::Result;

use crate::measure::{
    Bench, create, duplicates, hello, idle, least, machine, notify, pages, postgres, webhooks, wechat_v3,
};
use crate::report::Report;
use crate::session::Session;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Card,
    Hello,
    Notify,
    Create,
    Duplicates,
    Webhooks,
    WechatV3,
    Pages,
    Postgres,
    Idle,
}

/// # Errors
/// When the gateway does not start, or one request is not answered as it must be: a rate of wrong
/// answers is no rate.
pub fn run(what: What, bench: &Bench) -> Result<Report> {
    let mut report = Report::default();
    machine::run(bench, &mut report)?;
    if matches!(what, What::Card | What::Hello | What::Notify) {
        hello::run(bench, &mut report)?;
    }
    if matches!(what, What::Card | What::Idle) {
        idle::run(bench, &mut report)?;
    }
    if matches!(what, What::Card | What::Create | What::Notify | What::Duplicates) {
        load(what, bench, &mut report)?;
    }
    if matches!(what, What::Card | What::Webhooks) {
        webhooks::run(bench, &mut report)?;
    }
    if matches!(what, What::Card | What::WechatV3) {
        wechat_v3::run(bench, &mut report)?;
    }
    if what == What::Pages {
        pages::run(bench, &mut report)?;
    }
    if what == What::Postgres {
        postgres::run(bench, &mut report)?;
    }
    machine::end(&mut report);
    Ok(report)
}

/// What needs a gateway with payments on it.
fn load(what: What, bench: &Bench, report: &mut Report) -> Result<()> {
    if matches!(what, What::Card | What::Create | What::Notify) {
        least::run(bench, report)?;
    }
    let mut session = Session::start(&bench.binary, &bench.directory.join("load"))?;
    if matches!(what, What::Card | What::Create) {
        create::at_once(bench, &mut session, report)?;
        create::slow_platform(bench, &mut session, report)?;
    }
    if matches!(what, What::Card | What::Notify) {
        notify::saturated(bench, &mut session, report)?;
    }
    if matches!(what, What::Card | What::Duplicates) {
        duplicates::run(bench, &mut session, report)?;
    }
    if matches!(what, What::Card | What::Notify) {
        notify::grouping(bench, session, report)?;
    } else {
        session.gateway.stop()?;
    }
    Ok(())
}

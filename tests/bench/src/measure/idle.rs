//! An empty gateway: how soon it is there, and what it takes to do nothing.

use std::thread;
use std::time::Duration;

use anyhow::Result;

use super::Bench;
use crate::gateway::Gateway;
use crate::interface::Interface;
use crate::platform::Platform;
use crate::report::{Aim, Report};

const STARTS: usize = 3;
/// For what the start leaves to be done after it is ready.
const SETTLING: Duration = Duration::from_secs(1);
const MEBIBYTE: f64 = 1024.0 * 1024.0;

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    let platform = Platform::start(Interface::V2)?;
    let mut starts = Vec::with_capacity(STARTS);
    let mut resident = 0;
    for start in 0..STARTS {
        let directory = bench.directory.join(format!("idle-{start}"));
        let gateway = Gateway::start(&bench.binary, &directory, &platform, None)?;
        starts.push(gateway.started_in.as_secs_f64());
        if start + 1 == STARTS {
            thread::sleep(SETTLING);
            resident = gateway.process.resident()?;
        }
        gateway.stop()?;
    }
    starts.sort_by(f64::total_cmp);
    let detail = format!("an empty store; the median of {STARTS} starts, the slowest {:.3} s", starts[STARTS - 1]);
    report.aimed("start to ready", starts[STARTS / 2], "s", Aim::AtMost(0.3), detail);
    report.aimed("idle memory", resident as f64 / MEBIBYTE, "MiB", Aim::AtMost(40.0), "resident, one tenant");
    Ok(())
}

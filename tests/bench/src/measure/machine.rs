//! The machine: what every other line has to be read against.

use anyhow::Result;

use super::Bench;
use crate::machine;
use crate::report::Report;

pub const FLUSH: &str = "disk flush, p50";

pub fn run(bench: &Bench, report: &mut Report) -> Result<()> {
    report.line("cores", machine::cores() as f64, "", "");
    if let Some(load) = machine::load_average() {
        let detail = if load > 0.5 { "others are at work: the rates below are too low" } else { "" };
        report.line("load average before", load, "", detail);
    }
    let mut flushes = machine::flush_times(&bench.directory)?;
    let kind = machine::file_system(&bench.directory).unwrap_or_else(|| "unknown".to_owned());
    let warning =
        if kind == "tmpfs" { ": not a disk, so that nothing below says anything about durability" } else { "" };
    let detail = format!("fdatasync of 4 KiB, p99 {:.2} ms, {kind}{warning}", flushes.millis(0.99));
    report.line(FLUSH, flushes.millis(0.5), "ms", detail);
    Ok(())
}

/// How much was going on while the rest was measured, this program included.
pub fn end(report: &mut Report) {
    if let Some(load) = machine::load_average() {
        report.line("load average after", load, "", "");
    }
}

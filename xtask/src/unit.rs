//! systemd's own judgement of the unit in ops/: what a gateway that was taken over could reach.

use std::process::Command;

use crate::step::{is_installed, run};

const UNIT: &str = "ops/systemd/dukou.service";
/// Tenths of systemd's exposure level; "OK" ends at 49, and the unit stands at 12.
const THRESHOLD: &str = "--threshold=20";

pub fn check() -> anyhow::Result<()> {
    if !is_installed("systemd-analyze") {
        eprintln!("== the systemd unit: SKIPPED, there is no systemd on this machine");
        return Ok(());
    }
    let judge = ["security", "--offline=true", THRESHOLD, "--no-pager", UNIT];
    run("the systemd unit", Command::new("systemd-analyze").args(judge).stdout(std::process::Stdio::null()))
}

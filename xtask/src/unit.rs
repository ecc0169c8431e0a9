//! systemd's own judgement of the unit in ops/: that it knows every key, and what a gateway that was taken over could reach.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::step::{is_installed, run};

const UNIT: &str = "ops/systemd/dukou.service";
/// Tenths of systemd's exposure level; "OK" ends at 49, and the unit stands at 12.
const THRESHOLD: &str = "--threshold=20";
/// Where the unit expects the program, which need not be installed here, and one that is.
const PROGRAM: (&str, &str) = ("/usr/local/bin/dukou", "/bin/true");

pub fn check() -> anyhow::Result<()> {
    if !is_installed("systemd-analyze") {
        eprintln!("== the systemd unit: SKIPPED, there is no systemd on this machine");
        return Ok(());
    }
    let unit = unit()?;
    let mut judge = Command::new("systemd-analyze");
    judge.args(["security", "--offline=true", THRESHOLD, "--no-pager"]).arg(&unit).stdout(Stdio::null());
    run("the systemd unit", &mut judge)?;
    every_key_is_known(&std::fs::read_to_string(&unit).context(UNIT)?)
}

fn unit() -> anyhow::Result<PathBuf> {
    Ok(Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the root")?.join(UNIT))
}

/// One that systemd does not know it ignores, with a word.
fn every_key_is_known(text: &str) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join(format!("dukou-unit-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let copy = folder.join("dukou.service");
    std::fs::write(&copy, text.replace(PROGRAM.0, PROGRAM.1))?;
    let said = Command::new("systemd-analyze").arg("verify").arg(&copy).output();
    std::fs::remove_dir_all(&folder)?;
    let said = String::from_utf8(said?.stderr)?;
    let about_it: Vec<&str> = said.lines().filter(|line| line.contains("dukou.service")).collect();
    ensure!(about_it.is_empty(), "{UNIT}: {}", about_it.join("\n"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_takes_the_unit_and_no_key_that_it_does_not_know() {
        check().unwrap();
        if is_installed("systemd-analyze") {
            let text = std::fs::read_to_string(unit().unwrap()).unwrap();
            let refused = every_key_is_known(&text.replace("RestartSec=", "RestartSecs=")).unwrap_err().to_string();
            assert!(refused.contains("RestartSecs"), "{refused}");
        }
    }
}

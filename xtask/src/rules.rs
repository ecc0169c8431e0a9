//! Prometheus' own look at its files in ops/: that they can be loaded, and that each alert fires when
//! it should and is silent when it should not.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::step::run;

const FOLDER: &str = "ops/prometheus";

pub fn check() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the root")?;
    let promtool = |words: &[&str]| {
        let mut command = Command::new("promtool");
        command.current_dir(root).args(words);
        command
    };
    let configuration = format!("{FOLDER}/prometheus.yml");
    run("Prometheus' configuration", &mut promtool(&["check", "config", &configuration]))?;
    let tests = yaml_files(&root.join(FOLDER).join("tests"))?;
    run("the rules of alerts", promtool(&["test", "rules"]).args(tests))
}

/// # Errors
/// When there is none: then nothing would be checked.
fn yaml_files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yml") {
            files.push(path);
        }
    }
    ensure!(!files.is_empty(), "{} holds no .yml file", folder.display());
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    #[test]
    fn prometheus_takes_its_files_and_every_alert_does_as_its_tests_say() {
        super::check().unwrap();
    }
}

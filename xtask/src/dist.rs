//! What is handed out: the program without the sandbox, and what an operator needs beside it, in one
//! archive.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::step::{cargo_with, output, run};
use crate::trained;

/// Files and folders of the repository. In the archive they stand in the same place, so that what the
/// documents say is true of both.
const CONTENTS: &[&str] = &[
    "README.md",
    "README.zh-CN.md",
    "config",
    "ops/systemd",
    "ops/nginx",
    "ops/prometheus",
    "ops/grafana",
    "ops/runbooks",
    // What the README refers to.
    "ARCHITECTURE.md",
    "docs",
    "plugins/douyin-share/docs.md",
    "providers/wechat/docs.md",
];

/// The shells that completions are made for, and the names that they look for.
const COMPLETIONS: &[(&str, &str)] = &[("bash", "dukou.bash"), ("zsh", "_dukou"), ("fish", "dukou.fish")];

pub fn make(trained: bool) -> anyhow::Result<()> {
    let build = ["build", "--profile", "dist", "--locked", "--package", "dukou", "--no-default-features"];
    // A build that was made before would name the commit of that time.
    let commit = output(Command::new("git").args(["rev-parse", "--short=12", "HEAD"]))?;
    let environment = [("DUKOU_COMMIT", commit.trim())];
    let program = if trained {
        trained::build(&build, &environment)?
    } else {
        cargo_with("the program", &build, &environment)?;
        PathBuf::from("target/dist/dukou")
    };
    let program = program.as_path();
    let version = output(Command::new(program).arg("--version"))?;
    let number = version.split_whitespace().nth(1).context("the program says no version")?;
    let name = format!("dukou-{number}-{}-{}", std::env::consts::OS, std::env::consts::ARCH);

    let folder = Path::new("target/dist").join(&name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
    }
    std::fs::create_dir_all(folder.join("completions"))?;
    std::fs::copy(program, folder.join("dukou"))?;
    for path in CONTENTS {
        ensure!(Path::new(path).exists(), "{path} is not there; run this in the root of the repository");
        run(path, Command::new("cp").args(["-R", "--parents", path]).arg(&folder))?;
    }
    for (shell, file) in COMPLETIONS {
        let path = folder.join("completions").join(file);
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        run("completions", Command::new(program).args(["completions", shell]).stdout(Stdio::from(file)))?;
    }
    let archive = PathBuf::from(format!("target/dist/{name}.tar.gz"));
    // The same input makes the same archive: no owner, no order of the file system's.
    let stable = ["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--directory", "target/dist"];
    run("the archive", Command::new("tar").args(stable).arg("-czf").arg(&archive).arg(&name))?;
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |data| data.len());
    eprintln!(
        "== {} ({} bytes): {}, program {} bytes",
        archive.display(),
        bytes(&archive),
        version.trim(),
        bytes(program)
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What only who has the sources can use; the README says so.
    const OF_THE_REPOSITORY: &[&str] =
        &["ops/Containerfile", "ops/compose-two.yaml", "tests/bench/README.md", "tests/sandbox/README.md"];

    #[test]
    fn what_the_readme_leads_to_is_in_the_archive() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for name in ["README.md", "README.zh-CN.md"] {
            let text = std::fs::read_to_string(root.join(name)).unwrap();
            let links = text.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
            for link in links.filter(|link| !link.is_empty() && !link.starts_with("http")) {
                let there = CONTENTS.iter().chain(OF_THE_REPOSITORY).any(|path| Path::new(link).starts_with(path));
                assert!(there && root.join(link).exists(), "{name} leads to {link}");
            }
        }
    }
}

//! What the tests need besides Rust, from the system's packages.

use std::process::Command;

use anyhow::bail;

use crate::step::{is_installed, run};

/// A program the tests start, and the package that brings it.
struct Need {
    program: &'static str,
    debian: &'static str,
    homebrew: &'static str,
}

const NEEDS: &[Need] = &[
    Need { program: "redis-server", debian: "redis-server", homebrew: "redis" },
    Need { program: "psql", debian: "postgresql", homebrew: "postgresql" },
    Need { program: "haproxy", debian: "haproxy", homebrew: "haproxy" },
    Need { program: "nginx", debian: "nginx", homebrew: "nginx" },
    Need { program: "chromium", debian: "chromium", homebrew: "chromium" },
    Need { program: "chromedriver", debian: "chromium-driver", homebrew: "chromedriver" },
    Need { program: "prometheus", debian: "prometheus", homebrew: "prometheus" },
    Need { program: "promtool", debian: "prometheus", homebrew: "prometheus" },
];

/// Installs what is missing; asks for sudo where it must.
fn install(missing: &[&Need]) -> anyhow::Result<()> {
    if is_installed("apt-get") {
        let packages: Vec<&str> = missing.iter().map(|need| need.debian).collect();
        run("the package lists", administrator("apt-get").arg("update"))?;
        let mut install = administrator("apt-get");
        // Only the program: the tests start their own servers on ports of their own.
        install.args(["install", "--yes", "--no-install-recommends"]).args(packages);
        return run("installing", &mut install);
    }
    if is_installed("brew") {
        let packages: Vec<&str> = missing.iter().map(|need| need.homebrew).collect();
        return run("installing", Command::new("brew").arg("install").args(packages));
    }
    let names: Vec<&str> = missing.iter().map(|need| need.program).collect();
    bail!("the tests need {} on the path; install it with your system's package manager", names.join(", "))
}

pub fn ensure() -> anyhow::Result<()> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !is_installed(need.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)
}

fn administrator(program: &str) -> Command {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    let mut command = if is_root || !is_installed("sudo") { Command::new(program) } else { Command::new("sudo") };
    if !is_root && is_installed("sudo") {
        command.arg(program);
    }
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

//! The pictures that the documents show.

use std::path::Path;

use anyhow::{Context, ensure};

use crate::step::cargo;
use crate::{build, setup};

/// A longer one keeps readers waiting.
const LONGEST: u64 = 300 * 1024;

/// The console's pages that are shown.
const CONSOLE: &[&str] = &[
    "overview",
    "overview-phone",
    "overview-dark",
    "payments",
    "payment",
    "payment-phone",
    "requests",
    "approve",
    "deliveries",
    "health",
];

/// Runs the walks through the pages, which leave their pictures, and takes over those that are shown.
pub fn take() -> anyhow::Result<()> {
    setup::ensure()?;
    build()?;
    let test =
        ["test", "--package", "dukou-e2e", "--test", "it", "--locked", "--", "shop_page", "landing_page", "console"];
    cargo("the walks through the pages", &test)?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the root")?;
    for name in ["demo.png", "douyin-share.png"] {
        take_over(root, name, name)?;
    }
    for page in CONSOLE {
        take_over(root, &format!("console-{page}.png"), &format!("console/{page}.png"))?;
    }
    Ok(())
}

fn take_over(root: &Path, name: &str, shown_as: &str) -> anyhow::Result<()> {
    let (from, to) = (root.join("target/screenshots").join(name), root.join("docs").join(shown_as));
    let length = std::fs::metadata(&from).with_context(|| from.display().to_string())?.len();
    ensure!(length <= LONGEST, "{} has {length} bytes; at most {LONGEST} are wanted", from.display());
    std::fs::create_dir_all(to.parent().context("a folder")?)?;
    std::fs::copy(&from, &to).with_context(|| to.display().to_string())?;
    eprintln!("== {}", to.display());
    Ok(())
}

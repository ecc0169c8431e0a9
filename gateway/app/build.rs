//! Hands the commit that is being built to the program.

use std::process::Command;

fn main() {
    let commit = std::env::var("DUKOU_COMMIT").ok().or_else(from_git).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo:rustc-env=DUKOU_COMMIT={commit}");
    println!("cargo:rerun-if-env-changed=DUKOU_COMMIT");
    println!("cargo:rerun-if-changed=build.rs");
    // A clean build names its commit; a developer's is not made anew for every commit.
    if let Some(path) = git(&["rev-parse", "--git-path", "HEAD"])
        && std::path::Path::new(&path).exists()
    {
        println!("cargo:rerun-if-changed={path}");
    }
}

fn from_git() -> Option<String> {
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}

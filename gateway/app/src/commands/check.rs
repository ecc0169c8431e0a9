//! `dukou check`: every problem of the configuration at once, nothing started.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use crate::config::{self, Loaded};
use crate::outside;

pub fn run(directory: &Path) -> ExitCode {
    let loaded = config::load(directory, config::process_variables(), config::Factories::builtin(), outside::context);
    let written = write_report(&loaded, &mut std::io::stdout().lock());
    if loaded.errors() == 0 && written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A line for each problem and one for the sum.
fn write_report(loaded: &Loaded, output: &mut impl Write) -> std::io::Result<()> {
    for problem in &loaded.problems {
        writeln!(output, "{problem}")?;
    }
    let tenants = count(loaded.tenants.served().count(), "tenant");
    match (loaded.errors(), loaded.warnings()) {
        (0, 0) => writeln!(output, "configuration is valid: {tenants}")?,
        (0, warnings) => writeln!(output, "configuration is valid: {tenants}, {}", count(warnings, "warning"))?,
        (errors, warnings) => writeln!(output, "{}, {}", count(errors, "error"), count(warnings, "warning"))?,
    }
    output.flush()
}

fn count(number: usize, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{number} {thing}s") }
}

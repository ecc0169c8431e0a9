//! Logs: lines on standard error, JSON for machines or text for people.

mod lines;

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use self::lines::Lines;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogForm {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Writes what waits to be written when it is dropped, at the end of the program.
pub struct Logging(Lines);

impl Drop for Logging {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// Starts logging. `RUST_LOG` sets the level; without it, or with one that cannot be read, `level`.
#[must_use = "lines are lost that were not written before the end"]
pub fn start(form: LogForm, level: &str) -> Logging {
    // The web server tells of its threads and its listeners, all of which is in a line of ours.
    let default = || EnvFilter::new(format!("{level},actix_server=warn"));
    let (filter, unreadable) = match std::env::var("RUST_LOG") {
        Ok(text) if !text.is_empty() => match EnvFilter::try_new(&text) {
            Ok(filter) => (filter, false),
            Err(_) => (default(), true),
        },
        _ => (default(), false),
    };
    let lines = Lines::to(std::io::stderr());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(lines.clone());
    // A second start in one process (tests) keeps the first one's.
    let _ = match form {
        LogForm::Json => builder.json().flatten_event(true).with_current_span(true).with_span_list(false).try_init(),
        LogForm::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    // A panic in a request ends that request alone; it belongs into the log like anything else.
    std::panic::set_hook(Box::new(|panic| {
        let text = panic.payload_as_str().unwrap_or("without a text");
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(place, "panic: {text}");
    }));
    if unreadable {
        tracing::warn!("RUST_LOG cannot be read; the level is {level}");
    }
    Logging(lines)
}

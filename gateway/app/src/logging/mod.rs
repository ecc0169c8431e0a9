//! Logs: lines on standard error, JSON for machines or text for people.

mod lines;

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use self::lines::Lines;
use crate::traces::Traces;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogForm {
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Waits for what is still to be written when it is dropped, at the end of the program.
pub struct Logging(Lines);

impl Drop for Logging {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// Starts logging. `RUST_LOG` sets the level; without it, or with one that cannot be read, `level`.
#[must_use = "lines are lost that were not written before the end"]
pub fn start(form: LogForm, level: &str) -> Logging {
    start_with(form, level, None)
}

/// The same, with traces to a collector.
#[must_use = "lines are lost that were not written before the end"]
pub fn start_with(form: LogForm, level: &str, traces: Option<&Traces>) -> Logging {
    // The web server tells of its threads and its listeners, all of which is in a line of ours; and of every request that
    // it cannot read, so that any stranger could fill the log. The database's client tells of each connection that had
    // ended while it rested, which is mended on the spot; that the database is away is told by the store.
    let default = || EnvFilter::new(format!("{level},actix_server=warn,actix_http::h1=off,sqlx_core::pool=error"));
    let (filter, unreadable) = match std::env::var("RUST_LOG") {
        Ok(text) if !text.is_empty() => match EnvFilter::try_new(&text) {
            Ok(filter) => (filter, false),
            Err(_) => (default(), true),
        },
        _ => (default(), false),
    };
    let lines = Lines::to(std::io::stderr(), say_left_out);
    let subscriber = tracing_subscriber::registry();
    #[cfg(feature = "otlp")]
    if let Some(traces) = traces {
        // Each with a filter of its own: what is collected is not written, and the other way round.
        let _ = subscriber.with(traces.layer()).with(written(form, &lines).with_filter(filter)).try_init();
        return finish(lines, unreadable, level);
    }
    let _ = traces;
    // A second start in one process (tests) keeps the first one's.
    let _ = subscriber.with(written(form, &lines)).with(filter).try_init();
    finish(lines, unreadable, level)
}

/// What writes the lines.
fn written<S>(form: LogForm, lines: &Lines) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'s> LookupSpan<'s>,
{
    let written = tracing_subscriber::fmt::layer().with_writer(lines.clone());
    match form {
        LogForm::Json => written.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed(),
        LogForm::Text => written.with_ansi(std::io::stderr().is_terminal()).boxed(),
    }
}

/// To be called from no place that logging goes through.
fn say_left_out(lines: u64) {
    tracing::warn!(lines, "log lines were left out: nobody took them in time");
}

fn finish(lines: Lines, unreadable: bool, level: &str) -> Logging {
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

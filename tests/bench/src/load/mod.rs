//! Requests over kept connections, and the time they take.
//!
//! Everything runs on one thread of this process, so that the generator takes as little as it can
//! from the program it measures.

mod closed;
mod connection;
mod latencies;
mod open;
mod requests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

pub use closed::closed;
pub use connection::{Answer, Connection};
pub use latencies::Latencies;
pub use open::open;
pub use requests::{Requests, get, post};

/// What is sent where, and what counts as done.
pub struct Plan<'a> {
    pub address: SocketAddr,
    pub connections: usize,
    pub requests: &'a Arc<Requests>,
    /// Whether an answer is the one that was wanted.
    pub wanted: fn(&Answer<'_>) -> bool,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    pub done: usize,
    pub elapsed: Duration,
    pub latencies: Latencies,
    /// Requests without the wanted answer.
    pub failed: usize,
    /// The first of them, in words.
    pub failure: Option<String>,
}

impl Outcome {
    /// Done requests a second.
    pub fn rate(&self) -> f64 {
        self.done as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }

    /// # Errors
    /// When one request did not get the wanted answer: the numbers would say nothing.
    pub fn whole(self, what: &str) -> Result<Self> {
        let first = self.failure.as_deref().unwrap_or_default();
        ensure!(
            self.failed == 0,
            "{what}: {} of {} requests failed, the first: {first}",
            self.failed,
            self.failed + self.done
        );
        ensure!(self.done > 0, "{what}: no request was done");
        Ok(self)
    }

    fn add(&mut self, part: Part) {
        self.done += part.latencies.count();
        self.latencies.merge(part.latencies);
        self.failed += part.failed;
        self.failure = self.failure.take().or(part.failure);
    }
}

/// One connection's share.
#[derive(Default)]
struct Part {
    latencies: Latencies,
    failed: usize,
    failure: Option<String>,
}

impl Part {
    /// Sends one request; `from` is when its time began. False when the connection is of no more use.
    async fn send(
        &mut self,
        connection: &mut Connection,
        request: &[u8],
        wanted: fn(&Answer<'_>) -> bool,
        from: Instant,
    ) -> bool {
        let (failure, usable) = match connection.exchange(request).await {
            Ok(answer) if wanted(&answer) => {
                self.latencies.record(from.elapsed());
                return true;
            }
            Ok(answer) => (answer.to_string(), true),
            Err(error) => (error.to_string(), false),
        };
        self.failed += 1;
        self.failure.get_or_insert(failure);
        usable
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the runtime")
}

async fn connect(plan: &Plan<'_>) -> Result<Vec<Connection>> {
    let mut connections = Vec::with_capacity(plan.connections);
    for _ in 0..plan.connections {
        connections
            .push(Connection::open(plan.address).await.with_context(|| format!("cannot connect to {}", plan.address))?);
    }
    Ok(connections)
}

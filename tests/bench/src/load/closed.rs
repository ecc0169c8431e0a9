//! The most a server can do: every connection sends its next request when it has its answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use tokio::task::JoinSet;

use super::{Connection, Outcome, Part, Plan, connect, runtime};

/// Sends until `time` is over or the requests are. Those under way are waited for.
///
/// # Errors
/// When no connection can be made; a request that fails is counted instead.
pub fn closed(plan: &Plan<'_>, time: Duration) -> Result<Outcome> {
    runtime()?.block_on(async {
        let connections = connect(plan).await?;
        let start = Instant::now();
        let end = start + time;
        let mut tasks = JoinSet::new();
        for mut connection in connections {
            let (requests, wanted) = (Arc::clone(plan.requests), plan.wanted);
            tasks.spawn(async move {
                let mut part = Part::default();
                let connection: &mut Connection = &mut connection;
                loop {
                    let now = Instant::now();
                    if now >= end {
                        break;
                    }
                    let Some((_, request)) = requests.take() else { break };
                    if !part.send(connection, request, wanted, now).await {
                        break;
                    }
                }
                part
            });
        }
        let mut outcome = Outcome::default();
        while let Some(part) = tasks.join_next().await {
            outcome.add(part?);
        }
        outcome.elapsed = start.elapsed();
        Ok(outcome)
    })
}

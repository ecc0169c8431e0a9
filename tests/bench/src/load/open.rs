//! Requests at a given rate, whatever the server does: a request that has to wait for a
//! connection has begun all the same, at the moment it was meant to be sent.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Outcome, Part, Plan, connect, runtime};

/// The least the pacing thread sleeps; what fell due meanwhile goes out together.
const TICK: Duration = Duration::from_micros(100);

/// Sends `rate` requests a second for `time`, and gives up what is not done after twice that.
///
/// # Errors
/// When no connection can be made; a request that fails or is given up is counted instead.
pub fn open(plan: &Plan<'_>, rate: f64, time: Duration) -> Result<Outcome> {
    let count = ((rate * time.as_secs_f64()) as usize).min(plan.requests.count()).max(1);
    runtime()?.block_on(async {
        let connections = connect(plan).await?;
        let start = Instant::now();
        let give_up = start + time * 2;
        let due = Arc::new(Semaphore::new(0));
        let pace = {
            let (due, connections) = (Arc::clone(&due), plan.connections);
            thread::Builder::new().name("pace".into()).spawn(move || pace(&due, start, rate, count, connections))
        };
        let pace = pace.context("cannot start a thread")?;
        let mut tasks = JoinSet::new();
        for mut connection in connections {
            let (requests, due, wanted) = (Arc::clone(plan.requests), Arc::clone(&due), plan.wanted);
            tasks.spawn(async move {
                let mut part = Part::default();
                while let Ok(permit) = due.acquire().await {
                    permit.forget();
                    let Some((place, request)) = requests.take().filter(|(place, _)| *place < count) else { break };
                    let meant = start + moment(place, rate);
                    if Instant::now() > give_up || !part.send(&mut connection, request, wanted, meant).await {
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
        if pace.join().is_err() {
            outcome.failure = Some("the pacing thread panicked".to_owned());
        }
        let given_up = count.saturating_sub(outcome.done + outcome.failed);
        if given_up > 0 {
            outcome.failed += given_up;
            outcome.failure.get_or_insert_with(|| format!("not sent within {:?}", time * 2));
        }
        Ok(outcome)
    })
}

/// When the request at `place` is meant to be sent, counted from the start.
fn moment(place: usize, rate: f64) -> Duration {
    Duration::from_secs_f64(place as f64 / rate)
}

/// Lets requests go when they fall due, and in the end every connection once more, to find that
/// nothing is left.
fn pace(due: &Semaphore, start: Instant, rate: f64, count: usize, connections: usize) {
    let mut released = 0;
    while released < count {
        let passed = ((start.elapsed().as_secs_f64() * rate) as usize + 1).min(count);
        if passed > released {
            due.add_permits(passed - released);
            released = passed;
        }
        let until_next = moment(released, rate).saturating_sub(start.elapsed());
        thread::sleep(until_next.max(TICK));
    }
    due.add_permits(connections);
}

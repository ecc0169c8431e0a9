//! What still has to be sent, by when it is due, and what was sent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Mutex;

use serde::Serialize;

use super::Delivery;
use crate::clock::Millis;
use crate::lock;

/// Finished webhooks remembered.
const MAX_FINISHED: usize = 10_000;

/// One webhook; every repetition carries the same bytes and the same `Msg-Id`.
#[derive(Clone, Debug, Serialize)]
pub struct Message {
    pub msg_id: String,
    pub client_key: String,
    pub event: String,
    pub url: String,
    pub body: String,
}

/// One attempt; without a delivery it was lost on the way.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    pub at: Millis,
    pub delivery: Option<Delivery>,
}

/// One webhook and how far it is.
#[derive(Clone, Debug, Serialize)]
pub struct Job {
    pub id: u64,
    #[serde(flatten)]
    pub message: Message,
    pub attempts: Vec<Attempt>,
    /// `pending`, `sending`, `delivered`, or `given_up` after the last repetition.
    pub state: &'static str,
    pub next_due: Option<Millis>,
}

#[derive(Default)]
pub struct Queue(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    due: BTreeSet<(Millis, u64)>,
    jobs: BTreeMap<u64, Job>,
    finished: VecDeque<u64>,
    last_id: u64,
}

impl Queue {
    pub fn add(&self, message: Message, due: Millis) -> u64 {
        let mut inner = lock(&self.0);
        inner.last_id += 1;
        let id = inner.last_id;
        inner.due.insert((due, id));
        inner.jobs.insert(id, Job { id, message, attempts: Vec::new(), state: "pending", next_due: Some(due) });
        id
    }

    pub fn next_due(&self) -> Option<Millis> {
        lock(&self.0).due.first().map(|(due, _)| *due)
    }

    /// Takes the job that is due longest.
    pub fn take_due(&self, now: Millis) -> Option<Job> {
        let mut inner = lock(&self.0);
        let &(due, id) = inner.due.first()?;
        if due > now {
            return None;
        }
        inner.due.remove(&(due, id));
        let job = inner.jobs.get_mut(&id)?;
        job.state = "sending";
        Some(job.clone())
    }

    /// Enters an attempt; unless it was taken, `next` tells from the number of attempts when the next one is due.
    pub fn put_back(&self, mut job: Job, attempt: Attempt, next: impl FnOnce(usize) -> Option<Millis>) {
        let mut inner = lock(&self.0);
        if !inner.jobs.contains_key(&job.id) {
            // The sandbox was reset in the meantime.
            return;
        }
        let delivered = attempt.delivery.as_ref().is_some_and(|delivery| delivery.success);
        job.attempts.push(attempt);
        job.next_due = if delivered { None } else { next(job.attempts.len()) };
        match job.next_due {
            Some(due) => {
                job.state = "pending";
                inner.due.insert((due, job.id));
            }
            None => {
                job.state = if delivered { "delivered" } else { "given_up" };
                inner.finished.push_back(job.id);
            }
        }
        inner.jobs.insert(job.id, job);
        if inner.finished.len() > MAX_FINISHED
            && let Some(oldest) = inner.finished.pop_front()
        {
            inner.jobs.remove(&oldest);
        }
    }

    pub fn clear(&self) {
        let mut inner = lock(&self.0);
        let last_id = inner.last_id;
        *inner = Inner { last_id, ..Inner::default() };
    }

    /// All that are known, oldest first.
    pub fn jobs(&self) -> Vec<Job> {
        lock(&self.0).jobs.values().cloned().collect()
    }

    pub fn job(&self, id: u64) -> Option<Job> {
        lock(&self.0).jobs.get(&id).cloned()
    }
}

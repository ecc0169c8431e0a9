//! What still has to be sent, by when it is due, and what was sent.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Mutex;

use serde::Serialize;

use super::{Delivery, Message};
use crate::clock::Millis;
use crate::lock;

/// Finished notifications remembered.
const MAX_FINISHED: usize = 10_000;

/// One attempt; without a delivery it was lost on the way.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    pub at: Millis,
    pub delivery: Option<Delivery>,
}

/// One notification and how far it is.
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
    pending: HashMap<u64, Job>,
    /// Taken for an attempt and not yet put back.
    sending: HashMap<u64, Job>,
    finished: VecDeque<Job>,
    last_id: u64,
}

impl Queue {
    pub fn add(&self, message: Message, due: Millis) {
        let mut inner = lock(&self.0);
        inner.last_id += 1;
        let id = inner.last_id;
        inner.due.insert((due, id));
        inner.pending.insert(id, Job { id, message, attempts: Vec::new(), state: "pending", next_due: Some(due) });
    }

    pub fn next_due(&self) -> Option<Millis> {
        lock(&self.0).due.first().map(|(due, _)| *due)
    }

    /// Takes out the job that is due longest.
    pub fn take_due(&self, now: Millis) -> Option<Job> {
        let mut inner = lock(&self.0);
        let &(due, id) = inner.due.first()?;
        if due > now {
            return None;
        }
        inner.due.remove(&(due, id));
        let mut job = inner.pending.remove(&id)?;
        job.state = "sending";
        inner.sending.insert(id, job.clone());
        Some(job)
    }

    /// Enters an attempt; unless it was answered with success, `next` tells when the next one is due.
    pub fn put_back(&self, mut job: Job, attempt: Attempt, next: impl FnOnce(Millis, usize) -> Option<Millis>) {
        let mut inner = lock(&self.0);
        if inner.sending.remove(&job.id).is_none() {
            // The sandbox was reset in the meantime.
            return;
        }
        let delivered = attempt.delivery.as_ref().is_some_and(|delivery| delivery.success);
        job.attempts.push(attempt);
        job.next_due = if delivered { None } else { next(job.attempts[0].at, job.attempts.len()) };
        match job.next_due {
            Some(due) => {
                job.state = "pending";
                inner.due.insert((due, job.id));
                inner.pending.insert(job.id, job);
            }
            None => {
                job.state = if delivered { "delivered" } else { "given_up" };
                inner.finished.push_back(job);
                if inner.finished.len() > MAX_FINISHED {
                    inner.finished.pop_front();
                }
            }
        }
    }

    pub fn clear(&self) {
        let mut inner = lock(&self.0);
        let last_id = inner.last_id;
        *inner = Inner { last_id, ..Inner::default() };
    }

    /// All that are known, oldest first.
    pub fn jobs(&self) -> Vec<Job> {
        let inner = lock(&self.0);
        let mut jobs: Vec<Job> =
            inner.finished.iter().chain(inner.pending.values()).chain(inner.sending.values()).cloned().collect();
        jobs.sort_by_key(|job| job.id);
        jobs
    }
}

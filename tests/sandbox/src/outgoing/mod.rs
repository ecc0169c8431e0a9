//! What a platform tells of its own accord, on its way: what still has to be sent, by when it is due, and what was sent.

mod post;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::Rng;
use serde::Serialize;
use tokio::sync::{Notify, Semaphore};

pub use post::{Delivery, best, post, post_each};

use crate::clock::Millis;
use crate::lock;
use crate::world::World;

/// Finished ones remembered.
const MAX_FINISHED: usize = 10_000;
/// Attempts on the wire at once.
const MAX_CONCURRENT: usize = 1024;
/// How often the clock is looked at while nothing wakes the sender.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// One attempt; without a delivery it was lost on the way.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    pub at: Millis,
    pub delivery: Option<Delivery>,
}

/// One message and how far it is.
#[derive(Clone, Debug, Serialize)]
pub struct Job<M> {
    pub id: u64,
    #[serde(flatten)]
    pub message: M,
    pub attempts: Vec<Attempt>,
    /// `pending`, `sending`, `delivered`, or `given_up` after the last repetition.
    pub state: &'static str,
    pub next_due: Option<Millis>,
}

/// The messages of one kind of sender.
pub struct Outgoing<M> {
    queue: Mutex<Queue<M>>,
    wake: Notify,
    /// Attempts that are still to be lost, where they are counted.
    to_lose: AtomicU64,
}

struct Queue<M> {
    due: BTreeSet<(Millis, u64)>,
    jobs: BTreeMap<u64, Job<M>>,
    finished: VecDeque<u64>,
    last_id: u64,
}

impl<M> Default for Outgoing<M> {
    fn default() -> Self {
        Outgoing { queue: Mutex::new(Queue::after(0)), wake: Notify::new(), to_lose: AtomicU64::new(0) }
    }
}

impl<M> Queue<M> {
    /// An empty one, whose numbers go on after this one.
    fn after(last_id: u64) -> Self {
        Queue { due: BTreeSet::new(), jobs: BTreeMap::new(), finished: VecDeque::new(), last_id }
    }
}

impl<M: Clone + Send + 'static> Outgoing<M> {
    /// Returns the message's number.
    pub fn add(&self, message: M, due: Millis) -> u64 {
        let mut queue = lock(&self.queue);
        queue.last_id += 1;
        let id = queue.last_id;
        queue.due.insert((due, id));
        queue.jobs.insert(id, Job { id, message, attempts: Vec::new(), state: "pending", next_due: Some(due) });
        drop(queue);
        self.wake();
        id
    }

    /// Looks at the queue again: the clock has moved.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    pub fn clear(&self) {
        let mut queue = lock(&self.queue);
        *queue = Queue::after(queue.last_id);
        self.to_lose.store(0, Ordering::Relaxed);
    }

    /// To be called when the policy says anew what is dropped: from 1 on it is so many of the next attempts, below
    /// it a share of all, for which nothing is counted.
    pub fn drop_from_now(&self, dropped: f64) {
        let counted = if dropped >= 1.0 { dropped as u64 } else { 0 };
        self.to_lose.store(counted, Ordering::Relaxed);
    }

    /// Whether the attempt that begins now is lost, where this is dropped.
    pub fn is_lost(&self, dropped: f64) -> bool {
        self.to_lose.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
            || (dropped < 1.0 && rand::rng().random_bool(dropped))
    }

    /// All that are known, oldest first.
    pub fn jobs(&self) -> Vec<Job<M>> {
        lock(&self.queue).jobs.values().cloned().collect()
    }

    pub fn job(&self, id: u64) -> Option<Job<M>> {
        lock(&self.queue).jobs.get(&id).cloned()
    }

    /// Enters an attempt; unless it succeeded, `next` tells from all of them when the next one is due.
    pub fn put_back(&self, mut job: Job<M>, attempt: Attempt, next: impl FnOnce(&[Attempt]) -> Option<Millis>) {
        let mut queue = lock(&self.queue);
        if !queue.jobs.contains_key(&job.id) {
            // The sandbox was reset in the meantime.
            return;
        }
        let delivered = attempt.delivery.as_ref().is_some_and(|delivery| delivery.success);
        job.attempts.push(attempt);
        job.next_due = if delivered { None } else { next(&job.attempts) };
        match job.next_due {
            Some(due) => {
                job.state = "pending";
                queue.due.insert((due, job.id));
            }
            None => {
                job.state = if delivered { "delivered" } else { "given_up" };
                queue.finished.push_back(job.id);
            }
        }
        queue.jobs.insert(job.id, job);
        if queue.finished.len() > MAX_FINISHED
            && let Some(oldest) = queue.finished.pop_front()
        {
            queue.jobs.remove(&oldest);
        }
        drop(queue);
        self.wake();
    }

    /// Attempts what is due, until the runtime ends. `of` finds these messages in the world.
    pub async fn run<F>(world: Arc<World>, of: fn(&World) -> &Self, attempt: fn(Arc<World>, Job<M>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let permits = Arc::new(Semaphore::new(MAX_CONCURRENT));
        let outgoing = of(&world);
        loop {
            while let Some(job) = outgoing.take_due(world.clock.now()) {
                let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
                let attempted = attempt(Arc::clone(&world), job);
                tokio::spawn(async move {
                    attempted.await;
                    drop(permit);
                });
            }
            let pause = outgoing.next_due().and_then(|due| world.clock.until(due));
            tokio::select! {
                () = tokio::time::sleep(pause.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN)) => {}
                () = outgoing.wake.notified() => {}
            }
        }
    }

    fn next_due(&self) -> Option<Millis> {
        lock(&self.queue).due.first().map(|(due, _)| *due)
    }

    /// Takes the one that is due longest.
    fn take_due(&self, now: Millis) -> Option<Job<M>> {
        let mut queue = lock(&self.queue);
        let &(due, id) = queue.due.first()?;
        if due > now {
            return None;
        }
        queue.due.remove(&(due, id));
        let job = queue.jobs.get_mut(&id)?;
        job.state = "sending";
        Some(job.clone())
    }
}

//! Webhooks (protocol 3): written, signed, sent and repeated as the platform does.

mod events;
mod message;
mod queue;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::Rng;
use tokio::sync::{Notify, Semaphore};

pub use events::sample;
pub use message::{ContentForm, Corruption, Event, Parcel, Wanted};
pub use queue::{Job, Message};
pub use wire::{Delivery, check_address};

use crate::clock::Millis;
use crate::ledger::token;
use crate::world::World;
use queue::{Attempt, Queue};

/// Repetitions the policy may ask for.
pub const MAX_RETRIES: usize = 20;
/// Attempts on the wire at once.
const MAX_CONCURRENT: usize = 1024;
/// How often the clock is looked at while nothing wakes the sender.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Sends webhooks and keeps those that still have to be sent.
pub struct Webhooks {
    client: reqwest::Client,
    runtime: tokio::runtime::Handle,
    time_limit: Duration,
    queue: Queue,
    wake: Notify,
    /// Attempts that are still to be lost, when the policy counts them.
    to_lose: AtomicU64,
}

impl Webhooks {
    /// `time_limit` is how long a receiver may take to answer.
    pub fn new(client: reqwest::Client, runtime: tokio::runtime::Handle, time_limit: Duration) -> Self {
        Self { client, runtime, time_limit, queue: Queue::default(), wake: Notify::new(), to_lose: AtomicU64::new(0) }
    }

    /// Sends the event to the app's address now or when the policy says, and again until it is answered with 200.
    /// Returns the webhook's number; `None` when the app has no address.
    pub fn enqueue(&self, world: &World, event: Event, wanted: &Wanted) -> Option<u64> {
        let url = wanted.url.clone().or_else(|| world.douyin.apps.get(&event.client_key)?.webhook_url.clone())?;
        let delay = wanted.delay_ms.unwrap_or(world.douyin.policy().webhook_delay_ms);
        let message = Message {
            msg_id: wanted.msg_id.clone().unwrap_or_else(new_msg_id),
            url,
            body: event.write(world, wanted.content_as),
            client_key: event.client_key,
            event: event.event,
        };
        let id = self.queue.add(message, world.clock.now() + Millis::from(delay));
        self.wake.notify_one();
        Some(id)
    }

    /// Looks at the queue again: the clock has moved.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    pub fn clear(&self) {
        self.queue.clear();
        self.to_lose.store(0, Ordering::Relaxed);
    }

    /// The next so many attempts are lost.
    pub fn lose(&self, attempts: u64) {
        self.to_lose.store(attempts, Ordering::Relaxed);
    }

    pub fn jobs(&self) -> Vec<Job> {
        self.queue.jobs()
    }

    pub fn job(&self, id: u64) -> Option<Job> {
        self.queue.job(id)
    }

    /// Runs until the runtime ends.
    pub fn start(world: Arc<World>) {
        let runtime = world.douyin.webhooks.runtime.clone();
        runtime.spawn(async move {
            let webhooks = &world.douyin.webhooks;
            let permits = Arc::new(Semaphore::new(MAX_CONCURRENT));
            loop {
                while let Some(job) = webhooks.queue.take_due(world.clock.now()) {
                    let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
                    let world = Arc::clone(&world);
                    tokio::spawn(async move {
                        attempt(&world, job).await;
                        drop(permit);
                    });
                }
                let pause = webhooks.queue.next_due().and_then(|due| world.clock.until(due));
                tokio::select! {
                    () = tokio::time::sleep(pause.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN)) => {}
                    () = webhooks.wake.notified() => {}
                }
            }
        });
    }

    /// Sends each parcel once, all at once if asked, without repetitions.
    pub async fn send_now(world: &Arc<World>, parcels: Vec<Parcel>, concurrent: bool) -> Vec<Delivery> {
        let mut running = Vec::new();
        let mut done = Vec::new();
        for parcel in parcels {
            let owned = Arc::clone(world);
            // On the sender's own runtime, for the client's connections live there.
            let task = world.douyin.webhooks.runtime.spawn(async move { wire::post(&owned, &parcel).await });
            if concurrent {
                running.push(task);
            } else {
                done.extend(task.await);
            }
        }
        for task in running {
            done.extend(task.await);
        }
        done
    }
}

/// A `Msg-Id` as the platform writes it.
pub fn new_msg_id() -> String {
    let part = |length| token(length).to_ascii_lowercase();
    format!("{}-{}-{}-{}-{}", part(8), part(4), part(4), part(4), part(12))
}

async fn attempt(world: &Arc<World>, job: Job) {
    let policy = world.douyin.policy();
    let webhooks = &world.douyin.webhooks;
    let at = world.clock.now();
    let counted =
        webhooks.to_lose.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
    let delivery = if counted || (policy.drop_webhooks < 1.0 && rand::rng().random_bool(policy.drop_webhooks)) {
        wire::lost(world, &job.message);
        None
    } else {
        let parcels = (0..=policy.webhook_duplicates).map(|_| job.message.parcel(world)).collect();
        let mut deliveries = Webhooks::send_now(world, parcels, true).await;
        let best = deliveries.iter().position(|delivery| delivery.success).unwrap_or(0);
        (best < deliveries.len()).then(|| deliveries.swap_remove(best))
    };
    let pauses = policy.webhook_pauses_seconds;
    // Counted from the attempt before, which may have taken its time.
    let next = |attempts: usize| Some(at + Millis::from(*pauses.get(attempts.checked_sub(1)?)?) * 1000);
    webhooks.queue.put_back(job, Attempt { at, delivery }, next);
    webhooks.wake();
}

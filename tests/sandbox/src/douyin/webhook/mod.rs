//! Webhooks (protocol 3): written, signed, sent and repeated as the platform does.

mod events;
mod message;
mod wire;

use std::sync::Arc;
use std::time::Duration;

pub use events::sample;
pub use message::{ContentForm, Corruption, Event, Message, Parcel, Wanted};
pub use wire::check_address;

use crate::clock::Millis;
use crate::ledger::token;
use crate::outgoing::{self, Attempt, Delivery, Outgoing};
use crate::world::World;

type Job = outgoing::Job<Message>;

/// Repetitions the policy may ask for.
pub const MAX_RETRIES: usize = 20;

/// Sends webhooks and keeps those that still have to be sent.
pub struct Webhooks {
    client: reqwest::Client,
    runtime: tokio::runtime::Handle,
    time_limit: Duration,
    outgoing: Outgoing<Message>,
}

impl Webhooks {
    /// `time_limit` is how long a receiver may take to answer.
    pub fn new(client: reqwest::Client, runtime: tokio::runtime::Handle, time_limit: Duration) -> Self {
        Self { client, runtime, time_limit, outgoing: Outgoing::default() }
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
        Some(self.outgoing.add(message, world.clock.now() + Millis::from(delay)))
    }

    /// Those that wait, and those that were sent.
    pub fn outgoing(&self) -> &Outgoing<Message> {
        &self.outgoing
    }

    /// Runs until the runtime ends.
    pub fn start(world: Arc<World>) {
        let runtime = world.douyin.webhooks.runtime.clone();
        runtime.spawn(Outgoing::run(world, |world| &world.douyin.webhooks.outgoing, attempt));
    }

    /// Sends each parcel once, all at once if asked, without repetitions.
    pub async fn send_now(world: &Arc<World>, parcels: Vec<Parcel>, concurrent: bool) -> Vec<Delivery> {
        let post = |parcel| wire::post(Arc::clone(world), parcel);
        outgoing::post_each(&world.douyin.webhooks.runtime, parcels, concurrent, post).await
    }
}

/// A `Msg-Id` as the platform writes it.
pub fn new_msg_id() -> String {
    let part = |length| token(length).to_ascii_lowercase();
    format!("{}-{}-{}-{}-{}", part(8), part(4), part(4), part(4), part(12))
}

async fn attempt(world: Arc<World>, job: Job) {
    let policy = world.douyin.policy();
    let outgoing = &world.douyin.webhooks.outgoing;
    let at = world.clock.now();
    let delivery = if outgoing.is_lost(policy.drop_webhooks) {
        wire::lost(&world, &job.message);
        None
    } else {
        let parcels = (0..=policy.webhook_duplicates).map(|_| job.message.parcel(&world)).collect();
        outgoing::best(Webhooks::send_now(&world, parcels, true).await)
    };
    let pauses = policy.webhook_pauses_seconds;
    // Counted from the attempt before, which may have taken its time.
    let next = |attempts: &[Attempt]| Some(at + Millis::from(*pauses.get(attempts.len().checked_sub(1)?)?) * 1000);
    outgoing.put_back(job, Attempt { at, delivery }, next);
}

//! Notifications (支付结果通知, 退款结果通知): written, sent and repeated as the platform does.

mod message;
mod queue;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rand::Rng;
use reqwest::header::CONTENT_TYPE;
use serde::Serialize;
use tokio::sync::{Notify, Semaphore};

pub use message::{Content, Document, Kind, Letter, Message, envelope, paid_fields, payment, payment_failure, refund};
pub use queue::{Attempt, Job};

use crate::clock::Millis;
use crate::journal::{Direction, Entry};
use crate::world::World;
use queue::Queue;

/// Seconds from the first attempt to each of the 15 repetitions.
const RETRY_OFFSETS: [Millis; 15] =
    [15, 30, 60, 240, 840, 2040, 3840, 5640, 7440, 11040, 21840, 32640, 43440, 65040, 86640];
/// Attempts on the wire at once.
const MAX_CONCURRENT: usize = 1024;
/// Bytes read of a receiver's answer.
const MAX_ANSWER: usize = 64 * 1024;
/// How often the clock is looked at while nothing wakes the sender.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// What came back from one POST.
#[derive(Clone, Debug, Serialize)]
pub struct Delivery {
    /// Absent when no answer came.
    pub status: Option<u16>,
    pub body: String,
    /// Whether the answer ends the repetitions.
    pub success: bool,
    pub millis: u64,
    pub error: Option<String>,
}

/// What makes one delivery differ from the plain one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Corruption {
    #[default]
    None,
    /// One character of the signature is another.
    Sign,
    /// A field is changed after signing.
    Body,
    /// The second half of the document is missing.
    Truncate,
}

/// Sends notifications and keeps those that still have to be sent.
pub struct Notifier {
    client: reqwest::Client,
    runtime: tokio::runtime::Handle,
    time_limit: Duration,
    queue: Queue,
    wake: Notify,
    /// Attempts that are still to be lost, when the policy counts them.
    to_lose: AtomicU64,
}

/// What notifications are sent with. `trust` holds further root certificates (PEM) for receivers that speak TLS.
///
/// # Errors
/// If a certificate cannot be read.
pub fn client(trust: &[Vec<u8>]) -> anyhow::Result<reqwest::Client> {
    let mut roots = Vec::new();
    for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        roots.push(reqwest::Certificate::from_der(root)?);
    }
    for pem in trust {
        roots.extend(reqwest::Certificate::from_pem_bundle(pem)?);
    }
    let builder = reqwest::Client::builder().tls_certs_only(roots).no_proxy();
    Ok(builder.redirect(reqwest::redirect::Policy::none()).user_agent("Mozilla/4.0").build()?)
}

impl Notifier {
    /// `time_limit` is how long a receiver may take to answer.
    pub fn new(client: reqwest::Client, runtime: tokio::runtime::Handle, time_limit: Duration) -> Self {
        Self { client, runtime, time_limit, queue: Queue::default(), wake: Notify::new(), to_lose: AtomicU64::new(0) }
    }

    /// Sends the message now or when the policy says, and again until it is answered with SUCCESS.
    pub fn enqueue(&self, world: &World, message: Message) {
        let due = world.clock.now() + Millis::from(world.policy().notify_delay_ms);
        self.queue.add(message, due);
        self.wake.notify_one();
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

    /// Runs until the runtime ends.
    pub fn start(world: Arc<World>) {
        let runtime = world.notifier.runtime.clone();
        runtime.spawn(async move {
            let permits = Arc::new(Semaphore::new(MAX_CONCURRENT));
            loop {
                while let Some(job) = world.notifier.queue.take_due(world.clock.now()) {
                    let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
                    let world = Arc::clone(&world);
                    tokio::spawn(async move {
                        attempt(&world, job).await;
                        drop(permit);
                    });
                }
                let pause = world.notifier.queue.next_due().and_then(|due| world.clock.until(due));
                tokio::select! {
                    () = tokio::time::sleep(pause.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN)) => {}
                    () = world.notifier.wake.notified() => {}
                }
            }
        });
    }

    /// Sends copies of a message once each, all at once if asked, without repetitions.
    pub async fn send_now(world: &Arc<World>, copies: Vec<Copy>, concurrent: bool) -> Vec<Delivery> {
        let mut running = Vec::new();
        let mut done = Vec::new();
        for copy in copies {
            let world = Arc::clone(world);
            // On the notifier's own runtime, for the client's connections live there.
            let task = world.notifier.runtime.clone().spawn(async move { post(&world, &copy).await });
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

/// One document on its way to one address.
pub struct Copy {
    pub message: Message,
    pub url: String,
    pub document: Document,
}

async fn attempt(world: &Arc<World>, job: Job) {
    let policy = world.policy();
    let at = world.clock.now();
    let counted =
        world.notifier.to_lose.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
    if counted || (policy.drop_notifies < 1.0 && rand::rng().random_bool(policy.drop_notifies)) {
        world.journal.push(Entry {
            note: Some("lost on the way".to_owned()),
            ..entry(world, &job.message, &job.message.url, &Document::default())
        });
        world.notifier.queue.put_back(job, Attempt { at, delivery: None }, next_due);
        world.notifier.wake();
        return;
    }
    let url = policy.address(&job.message.url);
    let copies = (0..=policy.notify_duplicates)
        .map(|_| Copy {
            document: job.message.write(world, Corruption::None, None),
            message: job.message.clone(),
            url: url.clone(),
        })
        .collect();
    let mut deliveries = Notifier::send_now(world, copies, true).await;
    let best = deliveries.iter().position(|delivery| delivery.success).unwrap_or(0);
    let delivery = (best < deliveries.len()).then(|| deliveries.swap_remove(best));
    world.notifier.queue.put_back(job, Attempt { at, delivery }, next_due);
    world.notifier.wake();
}

/// When the next attempt is due, given the time of the first and how many there were.
fn next_due(first: Millis, attempts: usize) -> Option<Millis> {
    RETRY_OFFSETS.get(attempts.checked_sub(1)?).map(|offset| first + offset * 1000)
}

fn entry(world: &World, message: &Message, url: &str, document: &Document) -> Entry {
    Entry {
        at: world.clock.now(),
        direction: Direction::Out,
        operation: message.kind.operation(),
        method: "POST".to_owned(),
        url: url.to_owned(),
        mch_id: Some(message.mch_id.clone()),
        out_trade_no: message.out_trade_no.clone(),
        out_refund_no: message.out_refund_no.clone(),
        request: document.body.clone(),
        serial: document.serial.clone(),
        v3: document.word.clone(),
        ..Entry::default()
    }
}

/// Sends one copy and writes the journal.
async fn post(world: &Arc<World>, copy: &Copy) -> Delivery {
    let started = Instant::now();
    let answer = tokio::time::timeout(world.notifier.time_limit, exchange(&world.notifier.client, copy)).await;
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let delivery = match answer {
        Ok(Ok((status, body))) => {
            let success = copy.message.is_accepted(status, &body);
            Delivery {
                status: Some(status),
                body: String::from_utf8_lossy(&body).into_owned(),
                success,
                millis,
                error: None,
            }
        }
        Ok(Err(error)) => {
            let mut text = error.to_string();
            if let Some(source) = std::error::Error::source(&error) {
                text = format!("{text}: {source}");
            }
            Delivery { status: None, body: String::new(), success: false, millis, error: Some(text) }
        }
        Err(_) => {
            let error = Some(format!("no answer within {:?}", world.notifier.time_limit));
            Delivery { status: None, body: String::new(), success: false, millis, error }
        }
    };
    world.journal.push(Entry {
        status: delivery.status,
        response: delivery.body.clone(),
        note: delivery.error.clone(),
        ..entry(world, &copy.message, &copy.url, &copy.document)
    });
    delivery
}

async fn exchange(client: &reqwest::Client, copy: &Copy) -> reqwest::Result<(u16, Vec<u8>)> {
    let document = &copy.document;
    let mut request = client.post(&copy.url).header(CONTENT_TYPE, document.content_type).body(document.body.clone());
    for (name, value) in &document.headers {
        request = request.header(name, value);
    }
    let mut response = request.send().await?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        let room = MAX_ANSWER - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if body.len() == MAX_ANSWER {
            break;
        }
    }
    Ok((status, body))
}

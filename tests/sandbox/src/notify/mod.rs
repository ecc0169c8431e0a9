//! Notifications (支付结果通知, 退款结果通知): written, sent and repeated as the platform does.

mod message;

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;

pub use message::{Content, Document, Kind, Letter, Message, envelope, paid_fields, payment, payment_failure, refund};

use crate::clock::Millis;
use crate::journal::{Direction, Entry};
use crate::outgoing::{self, Attempt, Delivery, Outgoing};
use crate::world::World;

type Job = outgoing::Job<Message>;

/// Seconds from the first attempt to each of the 15 repetitions.
const RETRY_OFFSETS: [Millis; 15] =
    [15, 30, 60, 240, 840, 2040, 3840, 5640, 7440, 11040, 21840, 32640, 43440, 65040, 86640];
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
    outgoing: Outgoing<Message>,
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
        Self { client, runtime, time_limit, outgoing: Outgoing::default() }
    }

    /// Sends the message now or when the policy says, and again until it is answered with SUCCESS.
    pub fn enqueue(&self, world: &World, message: Message) {
        self.outgoing.add(message, world.clock.now() + Millis::from(world.policy().notify_delay_ms));
    }

    /// Those that wait, and those that were sent.
    pub fn outgoing(&self) -> &Outgoing<Message> {
        &self.outgoing
    }

    /// Runs until the runtime ends.
    pub fn start(world: Arc<World>) {
        let runtime = world.notifier.runtime.clone();
        runtime.spawn(Outgoing::run(world, |world| &world.notifier.outgoing, attempt));
    }

    /// Sends copies of a message once each, all at once if asked, without repetitions.
    pub async fn send_now(world: &Arc<World>, copies: Vec<Copy>, concurrent: bool) -> Vec<Delivery> {
        let post = |copy| post(Arc::clone(world), copy);
        outgoing::post_each(&world.notifier.runtime, copies, concurrent, post).await
    }
}

/// One document on its way to one address.
pub struct Copy {
    pub message: Message,
    pub url: String,
    pub document: Document,
}

async fn attempt(world: Arc<World>, job: Job) {
    let policy = world.policy();
    let at = world.clock.now();
    let delivery = if world.notifier.outgoing.is_lost(policy.drop_notifies) {
        world.journal.push(Entry {
            note: Some("lost on the way".to_owned()),
            ..entry(&world, &job.message, &job.message.url, &Document::default())
        });
        None
    } else {
        let url = policy.address(&job.message.url);
        let copies = (0..=policy.notify_duplicates)
            .map(|_| Copy {
                document: job.message.write(&world, Corruption::None, None),
                message: job.message.clone(),
                url: url.clone(),
            })
            .collect();
        outgoing::best(Notifier::send_now(&world, copies, true).await)
    };
    world.notifier.outgoing.put_back(job, Attempt { at, delivery }, next_due);
}

/// When the next attempt is due.
fn next_due(attempts: &[Attempt]) -> Option<Millis> {
    let first = attempts.first()?.at;
    RETRY_OFFSETS.get(attempts.len() - 1).map(|offset| first + offset * 1000)
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
async fn post(world: Arc<World>, copy: Copy) -> Delivery {
    let Copy { message, url, document } = copy;
    let notifier = &world.notifier;
    let mut request =
        notifier.client.post(&url).header(CONTENT_TYPE, document.content_type).body(document.body.clone());
    for (name, value) in &document.headers {
        request = request.header(name, value);
    }
    let delivery = outgoing::post(request, notifier.time_limit, |status, body| message.is_accepted(status, body)).await;
    world.journal.push(Entry {
        status: delivery.status,
        response: delivery.body.clone(),
        note: delivery.error.clone(),
        ..entry(&world, &message, &url, &document)
    });
    delivery
}

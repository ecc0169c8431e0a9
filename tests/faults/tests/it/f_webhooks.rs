//! Webhooks: endpoints that must not be called, and endpoints that do not do their part.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dukou_e2e::{Merchant, Tenant, World, dukou, eventually};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::SOON;
use dukou_e2e::{Behaviour, Message, Sink};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Events that wait for each bad endpoint, and payments of the healthy one's tenant; each brings two events.
const MANY: u32 = 10_000;
const FEW: usize = 50;
/// How long an event of a healthy endpoint may be on its way.
const FRESH: Duration = Duration::from_secs(2);

fn shop(index: u32, id: &str, url: &str) -> Tenant {
    Tenant::new(id, &format!("19000002{index:02}"), &format!("wx66666666666666{index:02}"))
        .set("webhook.url", url)
        .set("webhook.secret", SECRET)
}

async fn buy(world: &World, id: &str, count: usize) {
    let mut buying = JoinSet::new();
    for buyer in 0..4 {
        let merchant = world.merchant(id);
        let id = id.to_owned();
        buying.spawn(async move {
            for index in (buyer..count).step_by(4) {
                merchant.pending(&format!("F32-{id}-{index}"), 101).await;
            }
        });
    }
    while let Some(done) = buying.join_next().await {
        done.unwrap();
    }
}

async fn deliveries(merchant: &Merchant, query: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = merchant.get(&format!("/deliveries?limit=100{query}{cursor}")).await.expect(200);
        all.extend(page["data"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return all,
        }
    }
}

fn ids(messages: &[Message]) -> HashSet<String> {
    messages.iter().map(|message| message.id().to_owned()).collect()
}

/// Waits until the sink has every event of the tenant's log.
async fn all_arrive(merchant: &Merchant, sink: &Sink) {
    let events = merchant.all_events().await;
    let told: HashSet<String> = events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect();
    eventually("every event arrives", SOON, async || ids(&sink.got()).is_superset(&told).then_some(())).await;
}

/// Watches: the look at a webhook's host in the configuration, the guard at the dial, and redirects that are not
/// followed.
#[tokio::test]
async fn f30_nothing_private_is_called() {
    let inside = Sink::start(Behaviour::Status(200)).await;
    let port = inside.address.port();
    let outside = Sink::start(Behaviour::Redirect(inside.url())).await;
    // In a sandbox the endpoint itself is private; where it sends us is not followed all the same.
    let world = World::builder()
        .set("webhooks.allow_private_networks", true)
        .tenant(shop(1, "sent-on", &outside.url()))
        .start()
        .await;
    let merchant = world.merchant("sent-on");
    merchant.pending("F30-01", 101).await;
    let tried = eventually("a try", SOON, async || {
        deliveries(&merchant, "").await.into_iter().find(|delivery| delivery["attempt_count"] == 1)
    })
    .await;
    let attempt = &tried["attempts"][0];
    assert_eq!((&attempt["status_code"], &attempt["error"]), (&json!(307), &json!("status")));
    assert_eq!(inside.count(), 0);

    // Without that setting, such addresses are refused where they are written.
    for host in ["127.0.0.1", "127.1", "[::1]", "localhost", "169.254.169.254", "100.100.100.200", "10.0.0.1"] {
        let file = world.gateway.config().join("tenants/sent-on.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let gateway = world.gateway.config().join("gateway.toml");
        let guarded = std::fs::read_to_string(&gateway).unwrap();
        let folder = world.directory().join(format!("checked-{}", host.replace([':', '[', ']'], "_")));
        std::fs::create_dir_all(folder.join("tenants")).unwrap();
        std::fs::write(
            folder.join("tenants/sent-on.toml"),
            text.replace(&inside_host(&outside), &format!("{host}:{port}")),
        )
        .unwrap();
        std::fs::write(
            folder.join("gateway.toml"),
            guarded.replace("allow_private_networks = true", "allow_private_networks = false"),
        )
        .unwrap();
        let checked = dukou(&["check", "--config", folder.to_str().unwrap()], &[]).await;
        let said = format!("{}{}", checked.stdout, checked.stderr);
        assert!(said.contains("webhook.url: leads to no public address"), "{host}: {said}");
    }
    assert_eq!(inside.count(), 0);
    world.verify().await;
}

async fn stop(world: &World) {
    world.gateway.terminate();
    assert!(world.gateway.wait_exit(Duration::from_secs(30)).await.success());
}

/// Copies a tenant's newest event, while no gateway has the store: through the API so many take minutes.
fn copy_events(world: &World, tenant: &str, count: u32) {
    let copied = store(world).execute(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?1) \
         INSERT INTO events (position, id, tenant, kind, at, subject) \
         SELECT (SELECT max(position) FROM events) + n, randomblob(16), tenant, kind, at, subject \
         FROM numbers, (SELECT * FROM events WHERE tenant = ?2 ORDER BY position DESC LIMIT 1)",
        rusqlite::params![count, tenant],
    );
    assert_eq!(copied.unwrap(), count as usize);
}

fn store(world: &World) -> rusqlite::Connection {
    rusqlite::Connection::open(world.directory().join("data/dukou.db")).unwrap()
}

/// Up to where the log was entered.
fn entered(world: &World) -> i64 {
    store(world).query_row("SELECT position FROM delivery_cursor", [], |row| row.get(0)).unwrap()
}

/// A delivery to the failing endpoint that failed twice (this one): its position, its tries, when the next is due and
/// when the last one was.
fn tried_twice(world: &World, position: Option<i64>) -> Option<(i64, u32, i64, i64)> {
    let found = store(world).query_row(
        "SELECT position, made, next_at, json_extract(tries, '$[#-1].at') FROM deliveries \
         WHERE tenant = 'failing' AND made = 2 AND leased_from IS NULL AND position = coalesce(?1, position) LIMIT 1",
        [position],
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
    );
    match found {
        Ok(found) => Some(found),
        Err(rusqlite::Error::QueryReturnedNoRows) => None,
        Err(error) => panic!("{error}"),
    }
}

fn inside_host(sink: &Sink) -> String {
    sink.address.to_string()
}

/// Watches: room of its own for every tenant, the schedule in the store, and a lease that outlives the process.
#[tokio::test]
async fn f32_bad_endpoints_delay_nobody_and_a_restart_forgets_nothing() {
    let hanging = Sink::start(Behaviour::Hang).await;
    let failing = Sink::start(Behaviour::Status(500)).await;
    let slow = Sink::start(Behaviour::Slow(Duration::from_secs(14))).await;
    let healthy = Sink::start(Behaviour::Status(204)).await;
    let world = World::builder()
        .set("webhooks.allow_private_networks", true)
        .tenant(shop(1, "hanging", &hanging.url()))
        .tenant(shop(2, "failing", &failing.url()))
        .tenant(shop(3, "slow", &slow.url()))
        .tenant(shop(4, "healthy", &healthy.url()))
        .start()
        .await;
    let bad = ["hanging", "failing", "slow"];
    for id in bad {
        buy(&world, id, 1).await;
    }
    stop(&world).await;
    for id in bad {
        copy_events(&world, id, MANY);
    }
    world.gateway.restart().await;
    eventually("all of it waits", SOON, async || {
        let metrics = world.metrics().await;
        let waits = |id: &&str| metrics.value("dukou_webhook_backlog", &[("tenant", *id)]) as u32 > MANY / 2;
        (bad.iter().all(waits) && entered(&world) > i64::from(MANY) * 3).then_some(())
    })
    .await;
    // In the middle of it.
    world.gateway.kill();
    world.gateway.restart().await;

    buy(&world, "healthy", FEW).await;
    let well = world.merchant("healthy");
    all_arrive(&well, &healthy).await;
    let events: HashMap<String, Value> =
        well.all_events().await.into_iter().map(|event| (event["id"].as_str().unwrap().to_owned(), event)).collect();
    for message in healthy.got() {
        let event = &events[message.id()];
        assert_eq!(&message.json(), event, "the body is the event as the log shows it");
        let sent = message.headers["webhook-timestamp"].parse().unwrap();
        assert!(message.at.duration_since(SystemTime::UNIX_EPOCH + Duration::from_secs(sent)).unwrap() < FRESH);
    }
    let spent = deliveries(&well, "&status=delivered").await;
    assert_eq!(spent.len(), events.len());
    for delivery in &spent {
        let millis = |key: &str| millis(delivery[key].as_str().unwrap());
        let way = millis("delivered_at") - millis("created_at");
        assert!(way < i64::try_from(FRESH.as_millis()).unwrap(), "{way} ms: {delivery}");
    }

    // What was tried twice waits for minutes, through a stop and a start.
    let before = eventually("a second failure", SOON * 2, async || tried_twice(&world, None)).await;
    stop(&world).await;
    world.gateway.restart().await;
    let after = tried_twice(&world, Some(before.0)).unwrap();
    assert_eq!(after, before);
    let due = before.2 - before.3;
    assert!((240_000..=360_000 + 1_000).contains(&due), "five minutes and some jitter: {due} ms");

    // Killed while the endpoint has the message and the gateway has not heard of it.
    healthy.behave(Behaviour::Hang);
    let heard = healthy.count();
    well.pending("F32-last", 101).await;
    eventually("the messages are on their way", SOON, async || (healthy.count() > heard + 1).then_some(())).await;
    let unheard = ids(&healthy.got()[heard..]);
    world.gateway.kill();
    healthy.behave(Behaviour::Status(204));
    world.gateway.restart().await;
    eventually("all of them again", SOON, async || {
        (ids(&healthy.got()[heard..]).len() == unheard.len() && healthy.count() >= heard + 2 * unheard.len())
            .then_some(())
    })
    .await;
    let mut times: HashMap<String, usize> = HashMap::new();
    for message in healthy.got() {
        *times.entry(message.id().to_owned()).or_default() += 1;
    }
    for (id, count) in times {
        assert_eq!(count, if unheard.contains(&id) { 2 } else { 1 }, "{id}");
    }
    let labels = [("tenant", "healthy"), ("outcome", "delivered")];
    eventually("the count", SOON, async || {
        (world.metrics().await.count("dukou_webhook_deliveries_total", &labels) == unheard.len() as u64).then_some(())
    })
    .await;
    world.verify().await;
}

/// RFC 3339 in UTC as milliseconds of the day; no test runs over midnight for longer than it takes to run it again.
fn millis(text: &str) -> i64 {
    let time = text.split_once('T').unwrap().1.trim_end_matches('Z');
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let parts: Vec<i64> = time.split(':').map(|part| part.parse().unwrap()).collect();
    ((parts[0] * 60 + parts[1]) * 60 + parts[2]) * 1000 + fraction.parse::<i64>().unwrap()
}

/// Watches: the signature, by a computation of the test's own, and a retry by hand.
#[tokio::test]
async fn f32_a_delivery_is_sent_again_by_hand_whatever_became_of_it() {
    let sink = Sink::start(Behaviour::Status(503)).await;
    let world = World::builder()
        .set("webhooks.allow_private_networks", true)
        .tenant(shop(1, "shop", &sink.url()))
        .tenant(shop(2, "other", &sink.url()))
        .start()
        .await;
    let merchant = world.merchant("shop");
    merchant.pending("F32-01", 101).await;
    let tried = eventually("two failures", SOON, async || {
        deliveries(&merchant, "&status=pending").await.into_iter().find(|one| one["attempt_count"] == 2)
    })
    .await;
    let retry = format!("/deliveries/{}/retry", tried["id"].as_str().unwrap());
    let post =
        async |merchant: &Merchant| merchant.send(merchant.request(reqwest::Method::POST, &retry)).await.unwrap();
    post(&world.merchant("other")).await.problem(404, "not_found");
    sink.behave(Behaviour::Status(200));
    assert_eq!(post(&merchant).await.expect(200)["status"], "pending");
    eventually("the delivery", SOON, async || {
        deliveries(&merchant, "&status=delivered").await.into_iter().find(|one| one["id"] == tried["id"])
    })
    .await;
    // What was delivered is sent once more.
    let got = sink.got().len();
    assert_eq!(post(&merchant).await.expect(200)["status"], "pending");
    eventually("the same once more", SOON, async || (sink.got().len() > got).then_some(())).await;
    eventually("its end", SOON, async || {
        deliveries(&merchant, "&status=delivered").await.into_iter().find(|one| one["id"] == tried["id"])
    })
    .await;

    let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap();
    let same: Vec<Message> =
        sink.got().into_iter().filter(|message| message.id() == tried["event_id"].as_str().unwrap()).collect();
    assert_eq!(same.len(), 4);
    for message in same {
        let text =
            [format!("{}.{}.", message.id(), message.headers["webhook-timestamp"]).as_bytes(), &message.body].concat();
        let signature = aws_lc_rs::hmac::sign(&aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key), &text);
        assert_eq!(message.headers["webhook-signature"], format!("v1,{}", STANDARD.encode(signature)));
    }
    world.verify().await;
}

use std::collections::HashSet;

use dukou_domain::EventId;
use dukou_engine::EngineError;
use dukou_engine::delivery::{DEAD_AFTER, TryError};
use dukou_engine::ports::Store;
use dukou_engine::records::EventKind;

use super::*;
use crate::testing::eventually;
use crate::testing::sink::{Behaviour, Sink};
use crate::testing::world::{World, render};

const LIMIT: Duration = Duration::from_secs(15);

fn ids(sink: &Sink) -> HashSet<String> {
    sink.got().iter().map(|message| message.id().to_owned()).collect()
}

fn shown(events: &[EventId]) -> HashSet<String> {
    events.iter().map(ToString::to_string).collect()
}

async fn all_arrived(sink: &Sink, events: &[EventId]) {
    eventually("every event", async || (ids(sink) == shown(events)).then_some(())).await;
}

#[tokio::test]
async fn every_event_is_delivered_once_and_a_tenant_without_a_webhook_has_no_deliveries() {
    let world = World::new();
    let sink = Sink::start(Behaviour::Status(200)).await;
    let shop = world.tenant("shop", Some(sink.url()));
    let silent = world.tenant("silent", None);
    let before = world.events(&shop, 300).await;
    world.events(&silent, 10).await;
    let worker = world.worker(LIMIT);
    all_arrived(&sink, &before).await;
    let after = world.events(&shop, 3).await;
    all_arrived(&sink, &[before, after].concat()).await;
    worker.stop().await;
    assert_eq!(sink.count(), 303);
    let deliveries = world.deliveries(&shop).await;
    assert!(deliveries.iter().all(|one| one.state == DeliveryState::Delivered && one.made == 1));
    assert_eq!(deliveries.len(), 303);
    assert!(world.deliveries(&silent).await.is_empty());
    assert_eq!(world.counted.deliveries.lock().unwrap().len(), 303);
    let message = &sink.got()[0];
    let body: serde_json::Value = serde_json::from_slice(&message.body).unwrap();
    assert_eq!(body["id"], message.id());
}

/// Two instances read the same log, and one of them is always the first.
#[tokio::test]
async fn whoever_comes_second_with_what_is_entered_goes_on_at_once() {
    let world = World::new();
    let sink = Sink::start(Behaviour::Status(200)).await;
    let shop = world.tenant("shop", Some(sink.url()));
    let worker = world.worker(LIMIT);
    let first = world.events(&shop, 1).await;
    all_arrived(&sink, &first).await;
    let mut entered = world.store.deliveries().entered_to().await.unwrap();
    // A busy machine may hold up some of them; a pause would hold up each.
    let mut quickest = PAUSE;
    for _ in 0..3 {
        // The other instance enters the next event, and says nothing of it.
        world.store.deliveries().enter(entered, entered + 1, Vec::new()).await.unwrap();
        let events = world.events(&shop, 2).await;
        let began = Instant::now();
        eventually("the event after it", async || ids(&sink).contains(&events[1].to_string()).then_some(())).await;
        quickest = quickest.min(began.elapsed());
        entered += 2;
    }
    worker.stop().await;
    assert!(quickest < PAUSE / 2, "{quickest:?}");
}

/// One that hangs, one that fails and one with very much waiting delay nobody else.
#[tokio::test]
async fn a_dead_endpoint_delays_no_other() {
    let world = World::new();
    let hanging = Sink::start(Behaviour::Hang).await;
    let failing = Sink::start(Behaviour::Status(500)).await;
    let busy = Sink::start(Behaviour::Status(200)).await;
    let well = Sink::start(Behaviour::Status(200)).await;
    for (id, sink) in [("hanging", &hanging), ("failing", &failing), ("busy", &busy)] {
        let tenant = world.tenant(id, Some(sink.url()));
        world.events(&tenant, 2_000).await;
    }
    let worker = world.worker(LIMIT);
    eventually("the others to be busy", async || (hanging.count() >= 2 && failing.count() > 0).then_some(())).await;
    let shop = world.tenant("well", Some(well.url()));
    let began = Instant::now();
    let events = world.events(&shop, 100).await;
    all_arrived(&well, &events).await;
    let last = well.got().iter().map(|message| message.at).max().unwrap();
    assert!(last - began < Duration::from_secs(5), "took {:?}", last - began);
    assert_eq!(hanging.count(), 2, "its own room and no more");
    worker.stop().await;
}

/// An endpoint that keeps its caller's thread busy without end takes none of those that take payments.
#[tokio::test]
async fn messages_are_sent_on_threads_of_their_own() {
    let world = World::new();
    let flooding = Sink::start(Behaviour::Interim).await;
    let well = Sink::start(Behaviour::Status(200)).await;
    let flooded = world.tenant("flooded", Some(flooding.url()));
    let shop = world.tenant("shop", Some(well.url()));
    let threads = Arc::new(Mutex::new(HashSet::new()));
    let (names, written) = (Arc::clone(&threads), render());
    let worker = world.worker_that_renders(
        Duration::from_millis(300),
        Arc::new(move |event| {
            names.lock().unwrap().insert(std::thread::current().name().map(str::to_owned));
            written(event)
        }),
    );
    world.events(&flooded, 1).await;
    let events = world.events(&shop, 20).await;
    all_arrived(&well, &events).await;
    let given_up = world.delivery(&flooded, "a try", |one| one.made == 1).await;
    assert_eq!(given_up.tries[0].error, Some(TryError::Timeout));
    worker.stop().await;
    assert_eq!(*threads.lock().unwrap(), HashSet::from([Some("webhooks".to_owned())]));
}

#[tokio::test]
async fn a_failed_delivery_follows_its_schedule_through_a_restart() {
    let mut world = World::new();
    let sink = Sink::start(Behaviour::Status(500)).await;
    let shop = world.tenant("shop", Some(sink.url()));
    let event = world.events(&shop, 1).await[0];
    let mut worker = world.worker(LIMIT);
    for made in 1..=8_u32 {
        let delivery = world.delivery(&shop, "a try", |one| one.made == made).await;
        assert_eq!(delivery.tries.len(), made as usize);
        let newest = delivery.tries.last().unwrap();
        assert_eq!((newest.status, newest.error), (Some(500), Some(TryError::Status)));
        if made == 4 {
            worker.stop().await;
            world.restart().await;
            assert_eq!(world.deliveries(&shop).await, std::slice::from_ref(&delivery));
            worker = world.worker(LIMIT);
        }
        match delivery.next_at {
            Some(at) => world.clock.advance(at.since(world.engine.clock().now())),
            None => assert_eq!((made, delivery.state), (8, DeliveryState::Exhausted)),
        }
    }
    assert_eq!(sink.count(), 8);
    assert_eq!(ids(&sink), shown(&[event]));

    // By hand, when the endpoint is back.
    sink.behave(Behaviour::Status(200));
    let tenant = world.engine.tenants().find("shop").unwrap();
    let id = world.deliveries(&shop).await[0].id;
    world.engine.retry_delivery(&tenant, id).await.unwrap();
    let done = world.delivery(&shop, "the retry", |one| one.state == DeliveryState::Delivered).await;
    assert_eq!(done.made, 9);
    // And once more, though it has arrived.
    world.engine.retry_delivery(&tenant, id).await.unwrap();
    let again = world.delivery(&shop, "one more", |one| one.made == 10).await;
    assert_eq!(again.state, DeliveryState::Delivered);
    worker.stop().await;
}

#[tokio::test]
async fn a_crash_before_the_bookkeeping_repeats_with_the_same_id() {
    let mut world = World::new();
    let sink = Sink::start(Behaviour::Hang).await;
    let shop = world.tenant("shop", Some(sink.url()));
    let events = world.events(&shop, 2).await;
    let worker = world.worker(LIMIT);
    all_arrived(&sink, &events).await;
    // Sent, and the answer is never heard.
    worker.stop().await;
    world.restart().await;
    assert!(world.deliveries(&shop).await.iter().all(|one| one.made == 0));
    sink.behave(Behaviour::Status(200));
    let worker = world.worker(LIMIT);
    eventually("all to be delivered", async || {
        world.deliveries(&shop).await.iter().all(|one| one.state == DeliveryState::Delivered).then_some(())
    })
    .await;
    worker.stop().await;
    assert_eq!(sink.count(), 4);
    assert_eq!(ids(&sink), shown(&events));
}

#[tokio::test]
async fn an_endpoint_dead_for_days_is_switched_off_until_it_is_switched_on() {
    let world = World::new();
    let sink = Sink::start(Behaviour::Status(500)).await;
    let shop = world.tenant("shop", Some(sink.url()));
    let tenant = world.engine.tenants().find("shop").unwrap();
    let worker = world.worker(LIMIT);
    world.events(&shop, 1).await;
    world.delivery(&shop, "the first failure", |one| one.made == 1).await;
    world.clock.advance(DEAD_AFTER);
    let kinds = async || -> Vec<EventKind> {
        world.store.events(&shop, 0, 100).await.unwrap().iter().map(|event| event.event.kind).collect()
    };
    eventually("the switch", async || kinds().await.contains(&EventKind::EndpointDisabled).then_some(())).await;
    let endpoint = world.store.deliveries().endpoint(&shop).await.unwrap();
    assert_eq!(endpoint.disabled_at, Some(world.engine.clock().now()));

    sink.behave(Behaviour::Status(200));
    let before = sink.count();
    world.events(&shop, 5).await;
    eventually("the entries", async || (world.deliveries(&shop).await.len() == 7).then_some(())).await;
    let waits = world.deliveries(&shop).await[0].id;
    let promised = world.engine.retry_delivery(&tenant, waits).await;
    assert!(matches!(&promised, Err(EngineError::InvalidState(why)) if why.contains("switched off")), "{promised:?}");
    assert_eq!(sink.count(), before, "nothing is sent to it");

    // Nobody moves the clock: what was to be tried in minutes is sent now.
    world.engine.enable_webhook(&tenant).await.unwrap();
    eventually("all to be delivered", async || {
        let deliveries = world.deliveries(&shop).await;
        let over = |one: &dukou_engine::delivery::Delivery| one.state != DeliveryState::Pending;
        (deliveries.len() == 8 && deliveries.iter().all(over)).then_some(())
    })
    .await;
    assert_eq!(kinds().await.last(), Some(&EventKind::EndpointEnabled));
    // On already: nothing happens.
    world.engine.enable_webhook(&tenant).await.unwrap();
    assert_eq!(kinds().await.len(), 8);
    worker.stop().await;
}

#[tokio::test]
async fn what_waits_is_counted() {
    let world = World::new();
    let sink = Sink::start(Behaviour::Hang).await;
    let shop = world.tenant("shop", Some(sink.url()));
    world.events(&shop, 20).await;
    let worker = world.worker(LIMIT);
    eventually("what is under way", async || (sink.count() == 2).then_some(())).await;
    worker.stop().await;
    let worker = world.worker(LIMIT);
    eventually("the count", async || {
        world.counted.backlog.lock().unwrap().iter().any(|one| one.tenant == shop && one.pending == 20).then_some(())
    })
    .await;
    worker.stop().await;
}

/// `cargo test --release -p dukou-webhook -- --ignored --nocapture a_second`
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement, for a machine that does nothing else"]
async fn deliveries_a_second() {
    const COUNT: usize = 10_000;
    for tenants in [1, 8, 100] {
        let world = World::new();
        let sink = Sink::start(Behaviour::Status(200)).await;
        for index in 0..tenants {
            let tenant = world.tenant(&format!("shop{index}"), Some(sink.url()));
            world.events(&tenant, COUNT / tenants).await;
        }
        let began = Instant::now();
        let worker = world.worker(LIMIT);
        eventually("all of them", async || (world.counted.deliveries.lock().unwrap().len() >= COUNT).then_some(()))
            .await;
        let took = began.elapsed();
        worker.stop().await;
        eprintln!(
            "{tenants} tenants: {COUNT} deliveries in {took:?}, {} a second",
            COUNT as u128 * 1000 / took.as_millis()
        );
    }
}

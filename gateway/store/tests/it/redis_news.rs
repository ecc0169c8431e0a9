//! What instances of one store tell each other.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use dukou_domain::Secret;
use dukou_engine::records::StoreIdentity;
use dukou_store::{News, RedisCoordinator, RedisOptions, Served};
use tokio::sync::watch;
use uuid::Uuid;

use crate::coordinator_behaviour::{eventually, until_working};
use crate::redis_server::RedisServer;

/// An instance of the first store, and what it heard.
pub struct Instance {
    pub coordinator: RedisCoordinator,
    log: watch::Sender<i64>,
    heard: Arc<Mutex<Vec<News>>>,
}

impl Instance {
    pub async fn of(url: &str, store: u128) -> Self {
        let identity = StoreIdentity { store: Uuid::from_u128(store), incarnation: Uuid::from_u128(1) };
        let served = Served { identity: Box::new(move || identity), position: Box::new(|| 0), shared: true };
        let options = RedisOptions { url: Secret::new(url), prefix: "dukou".into() };
        let coordinator = RedisCoordinator::connect(options, served).await;
        let (log, heard) = (watch::Sender::new(0), Arc::new(Mutex::new(Vec::new())));
        let list = Arc::clone(&heard);
        coordinator.share(log.subscribe(), move |news| list.lock().unwrap().push(news));
        Instance { coordinator, log, heard }
    }

    pub fn commit(&self, position: i64) {
        self.log.send_replace(position);
    }

    pub fn heard(&self) -> Vec<News> {
        self.heard.lock().unwrap().clone()
    }

    async fn has_heard(&self, news: News) {
        eventually(&format!("{news:?}"), async || self.heard().contains(&news)).await;
    }
}

/// Waits until both hear each other: a subscription is made beside everything else.
pub async fn until_they_talk(one: &Instance, other: &Instance) {
    eventually("the two talk", async || {
        one.coordinator.tell_reload().await;
        other.coordinator.tell_reload().await;
        one.heard().contains(&News::Reload) && other.heard().contains(&News::Reload)
    })
    .await;
}

/// Both ways, from a position that nobody told of before.
pub async fn each_hears_the_other(one: &Instance, other: &Instance, position: i64) {
    one.commit(position);
    other.has_heard(News::Position(position)).await;
    other.commit(position + 1);
    one.has_heard(News::Position(position + 1)).await;
}

#[tokio::test]
async fn instances_of_one_store_hear_each_other() {
    let server = RedisServer::start().await;
    let url = format!("redis://127.0.0.1:{}/0", server.port);
    let (one, other, stranger) = tokio::join!(Instance::of(&url, 1), Instance::of(&url, 1), Instance::of(&url, 2));
    until_they_talk(&one, &other).await;
    each_hears_the_other(&one, &other, 5).await;
    assert!(stranger.heard().is_empty(), "another store's news: {:?}", stranger.heard());
    let reloads = |instance: &Instance| instance.heard().iter().filter(|news| **news == News::Reload).count();
    let before = (reloads(&one), reloads(&other));
    one.coordinator.tell_reload().await;
    other.commit(9);
    one.has_heard(News::Position(9)).await;
    eventually("the reload", async || reloads(&other) == before.1 + 1).await;
    assert_eq!(reloads(&one), before.0, "its own word");
}

#[tokio::test]
async fn many_commits_are_few_messages() {
    let server = RedisServer::start().await;
    let url = format!("redis://127.0.0.1:{}/0", server.port);
    let (one, other) = tokio::join!(Instance::of(&url, 1), Instance::of(&url, 1));
    until_they_talk(&one, &other).await;
    for position in 1..=2000 {
        one.commit(position);
        if position % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    other.has_heard(News::Position(2000)).await;
    let messages = other.heard().iter().filter(|news| matches!(news, News::Position(_))).count();
    assert!(messages < 200, "{messages}");
}

#[tokio::test]
async fn a_restarted_redis_carries_news_again() {
    let mut server = RedisServer::start().await;
    let url = format!("redis://127.0.0.1:{}/0", server.port);
    let (one, other) = tokio::join!(Instance::of(&url, 1), Instance::of(&url, 1));
    until_they_talk(&one, &other).await;
    server.kill();
    until_working(&one.coordinator, false).await;
    one.commit(3);
    let _again = RedisServer::start_on(server.port).await.expect("the port is still free");
    until_working(&one.coordinator, true).await;
    until_working(&other.coordinator, true).await;
    // The subscription is found anew within its own time.
    let mut position = 10;
    eventually("a position after the restart", async || {
        position += 1;
        one.commit(position);
        tokio::time::sleep(Duration::from_millis(20)).await;
        other.heard().iter().any(|news| matches!(news, News::Position(heard) if *heard > 10))
    })
    .await;
}

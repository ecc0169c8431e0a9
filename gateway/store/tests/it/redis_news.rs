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

const INCARNATION: Uuid = Uuid::from_u128(1);

/// An instance of the first store, and what it heard.
pub struct Instance {
    pub coordinator: RedisCoordinator,
    log: watch::Sender<i64>,
    /// Its incarnation, and where the log ended when that began.
    life: Arc<Mutex<(Uuid, i64)>>,
    heard: Arc<Mutex<Vec<News>>>,
}

impl Instance {
    pub async fn of(url: &str, store: u128) -> Self {
        let (log, heard) = (watch::Sender::new(0), Arc::new(Mutex::new(Vec::new())));
        let life = Arc::new(Mutex::new((INCARNATION, 0)));
        let (now, met, known) = (Arc::clone(&life), Arc::clone(&life), log.subscribe());
        let served = Served {
            identity: Box::new(move || StoreIdentity {
                store: Uuid::from_u128(store),
                incarnation: now.lock().unwrap().0,
            }),
            certain: Box::new(|| true),
            position: Box::new(move || *known.borrow()),
            still_there: Box::new(move |of, position| match *met.lock().unwrap() {
                (now, log_from) if now != of => position.min(log_from),
                _ => position,
            }),
            shared: true,
        };
        let options = RedisOptions { url: Secret::new(url), prefix: "dukou".into() };
        let coordinator = RedisCoordinator::connect(options, served).await;
        let list = Arc::clone(&heard);
        coordinator.share(log.subscribe(), move |news| list.lock().unwrap().push(news));
        Instance { coordinator, log, life, heard }
    }

    /// The database is in another life, whose log ends here.
    fn meet(&self, incarnation: Uuid, position: i64) {
        *self.life.lock().unwrap() = (incarnation, position);
        self.log.send_replace(position);
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

/// The log of the incarnation that all of these are has grown so far.
fn at(position: i64) -> News {
    News::Position(INCARNATION, position)
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
    other.has_heard(at(position)).await;
    other.commit(position + 1);
    one.has_heard(at(position + 1)).await;
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
    one.has_heard(at(9)).await;
    eventually("the reload", async || reloads(&other) == before.1 + 1).await;
    assert_eq!(reloads(&one), before.0, "its own word");
}

/// Watches: the position that is known of another incarnation. By the highest ever seen the others are told of nothing
/// until the log has passed its old end, and what was lost is not noticed while the process runs.
#[tokio::test]
async fn another_life_is_told_of_from_where_its_log_is_and_what_it_lost_is_said() {
    let server = RedisServer::start().await;
    let url = format!("redis://127.0.0.1:{}/0", server.port);
    let (one, other) = tokio::join!(Instance::of(&url, 1), Instance::of(&url, 1));
    until_they_talk(&one, &other).await;
    one.commit(12);
    other.has_heard(at(12)).await;
    let next = Uuid::from_u128(2);
    one.meet(next, 9);
    eventually("it is said", async || one.coordinator.behind() == Some((9, 12))).await;
    one.commit(10);
    other.has_heard(News::Position(next, 10)).await;
    // A life that lost nothing, as after a restart of the database.
    other.meet(next, 10);
    other.commit(11);
    one.has_heard(News::Position(next, 11)).await;
    assert_eq!(other.coordinator.behind(), None, "it had read nothing that was lost");
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
    other.has_heard(at(2000)).await;
    let messages = other.heard().iter().filter(|news| matches!(news, News::Position(..))).count();
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
        other.heard().iter().any(|news| matches!(news, News::Position(_, heard) if *heard > 10))
    })
    .await;
}

//! The coordinator on the primary that sentinels name, also when that is another one.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use dukou_engine::ports::{Coordinator, Marker};
use dukou_store::News;
use dukou_test_servers::free_port;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::coordinator_behaviour::{self, DONE, eventually, mine, until_working};
use crate::records::key;
use crate::redis_news::{Instance, each_hears_the_other, until_they_talk};
use crate::redis_server::RedisServer;

/// A primary, its replica, and a sentinel that alone decides.
struct Watched {
    primary: RedisServer,
    replica: RedisServer,
    sentinel: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Watched {
    async fn start() -> Self {
        let primary = RedisServer::start().await;
        let replica = RedisServer::start().await;
        replica.command(&format!("REPLICAOF 127.0.0.1 {}", primary.port)).await.unwrap();
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let file = folder.path().join("sentinel.conf");
        let text = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds main 500\nsentinel failover-timeout main 3000\n",
            primary.port
        );
        std::fs::write(&file, text).unwrap();
        let sentinel = Command::new("redis-sentinel")
            .arg(&file)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-sentinel is missing: apt-get install --yes redis-sentinel");
        let watched = Watched { primary, replica, sentinel, port, _folder: folder };
        let known = watched.replica.port.to_string();
        eventually("the sentinel knows the replica", async || {
            let linked = watched.replica.command("INFO replication").await.unwrap();
            let answer = ask(watched.port, "SENTINEL REPLICAS main").await.unwrap_or_default();
            linked.contains("master_link_status:up") && answer.contains(&known)
        })
        .await;
        watched
    }

    fn url(&self) -> String {
        // The first one does not exist: the others are asked in their turn.
        format!("redis+sentinel://127.0.0.1:{},127.0.0.1:{}/main/0", free_port(), self.port)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.sentinel.kill();
        let _ = self.sentinel.wait();
    }
}

async fn ask(port: u16, text: &str) -> Option<String> {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()?;
    stream.write_all(format!("{text}\r\n").as_bytes()).await.ok()?;
    let mut answer = vec![0; 16 * 1024];
    let length = stream.read(&mut answer).await.ok()?;
    Some(String::from_utf8_lossy(&answer[..length]).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_primary_behaves_as_a_coordinator() {
    let watched = Watched::start().await;
    let one = Instance::of(&watched.url(), 1).await;
    until_working(&one.coordinator, true).await;
    coordinator_behaviour::all(Arc::new(one.coordinator)).await;
}

#[tokio::test]
async fn the_next_primary_is_found_after_a_failover() {
    let mut watched = Watched::start().await;
    let url = watched.url();
    let (one, other) = tokio::join!(Instance::of(&url, 1), Instance::of(&url, 1));
    until_working(&one.coordinator, true).await;
    until_working(&other.coordinator, true).await;
    until_they_talk(&one, &other).await;
    watched.primary.kill();
    until_working(&one.coordinator, false).await;
    eventually("the replica is the primary", async || {
        watched.replica.command("ROLE").await.is_some_and(|role| role.contains("master"))
    })
    .await;
    until_working(&one.coordinator, true).await;
    until_working(&other.coordinator, true).await;
    let token = mine(&one.coordinator, &key("1")).await;
    one.coordinator.finish(&key("1"), token, Marker::Accepted, 1).await;
    assert_eq!(other.coordinator.claim(&key("1")).await, DONE);
    assert!(watched.replica.command("DBSIZE").await.is_some_and(|count| count.trim() != ":0"));
    let reloads = |instance: &Instance| instance.heard().iter().filter(|news| **news == News::Reload).count();
    let before = (reloads(&one), reloads(&other));
    eventually("both listen there", async || {
        one.coordinator.tell_reload().await;
        other.coordinator.tell_reload().await;
        reloads(&one) > before.0 && reloads(&other) > before.1
    })
    .await;
    each_hears_the_other(&one, &other, 50).await;
}

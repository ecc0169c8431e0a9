//! The coordinator on a cluster of three primaries.

use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use dukou_engine::ports::{Claim, Coordinator, Marker};
use dukou_test_servers::free_port;

use crate::coordinator_behaviour::{self, CAP, DONE, eventually, mine, until_working};
use crate::records::key;
use crate::redis_news::{Instance, each_hears_the_other, until_they_talk};
use crate::redis_server::RedisServer;

struct Cluster {
    nodes: Vec<RedisServer>,
}

impl Cluster {
    async fn start() -> Self {
        let mut nodes = Vec::new();
        while nodes.len() < 3 {
            nodes.extend(node(free_port(), tempfile::tempdir().unwrap()).await);
        }
        let cluster = Cluster { nodes };
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]).args(cluster.addresses()).arg("--cluster-yes");
        let output = create.output().expect("redis-cli is missing: apt-get install --yes redis-tools");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        cluster.until_whole().await;
        cluster
    }

    fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect()
    }

    fn url(&self) -> String {
        format!("redis+cluster://{}", self.addresses().join(","))
    }

    /// Every node knows who has which slot.
    async fn until_whole(&self) {
        for node in &self.nodes {
            eventually("the cluster is whole", async || {
                node.command("CLUSTER INFO").await.is_some_and(|info| info.contains("cluster_state:ok"))
            })
            .await;
        }
    }

    async fn keys(&self) -> Vec<usize> {
        let mut counts = Vec::new();
        for node in &self.nodes {
            let answer = node.command("DBSIZE").await.unwrap();
            counts.push(answer.trim().trim_start_matches(':').parse().unwrap());
        }
        counts
    }
}

/// A node's bus has a port of its own: the usual one, 10000 higher, need not exist.
async fn node(port: u16, folder: tempfile::TempDir) -> Option<RedisServer> {
    let bus = free_port().to_string();
    let more = ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--cluster-port", &bus];
    RedisServer::start_with(port, folder, &more).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_behaves_as_a_coordinator() {
    let cluster = Cluster::start().await;
    let one = Instance::of(&cluster.url(), 1).await;
    until_working(&one.coordinator, true).await;
    coordinator_behaviour::all(Arc::new(one.coordinator)).await;
    let keys = cluster.keys().await;
    assert!(keys.iter().all(|count| *count > 0), "every node has its part: {keys:?}");
}

#[tokio::test]
async fn instances_on_a_cluster_share_claims_locks_and_news() {
    let cluster = Cluster::start().await;
    // Each knows of one node, and finds the others.
    let urls: Vec<String> = cluster.addresses().iter().map(|node| format!("redis+cluster://{node}")).collect();
    let (one, other) = tokio::join!(Instance::of(&urls[0], 1), Instance::of(&urls[1], 1));
    for digest in 0..20 {
        let key = key(&digest.to_string());
        let token = mine(&one.coordinator, &key).await;
        one.coordinator.finish(&key, token, Marker::Accepted, 1).await;
        assert_eq!(other.coordinator.claim(&key).await, DONE);
    }
    let held = one.coordinator.lock("B1").await.unwrap();
    assert_ne!(held.token, "");
    assert_eq!(other.coordinator.lock("B1").await.unwrap().token, "", "held elsewhere");
    until_they_talk(&one, &other).await;
    each_hears_the_other(&one, &other, 5).await;
}

#[tokio::test]
async fn a_cluster_without_one_of_its_primaries_counts_as_away() {
    let mut cluster = Cluster::start().await;
    let one = Instance::of(&cluster.url(), 1).await;
    until_working(&one.coordinator, true).await;
    let (port, folder) = cluster.nodes.pop().unwrap().end();
    until_working(&one.coordinator, false).await;
    let begun = Instant::now();
    for digest in 0..50 {
        assert_eq!(one.coordinator.claim(&key(&digest.to_string())).await, Claim::Unavailable);
        assert_eq!(one.coordinator.lock("B1").await.unwrap().token, "");
    }
    assert!(begun.elapsed() < CAP, "{:?}", begun.elapsed());
    cluster.nodes.extend(node(port, folder).await);
    cluster.until_whole().await;
    until_working(&one.coordinator, true).await;
    for digest in 0..20 {
        mine(&one.coordinator, &key(&digest.to_string())).await;
    }
}

//! One measurement a file.

pub mod create;
pub mod duplicates;
pub mod hello;
pub mod idle;
pub mod least;
pub mod machine;
pub mod notify;
pub mod pages;
pub mod postgres;
pub mod webhooks;
pub mod wechat_v3;

use std::path::PathBuf;
use std::time::Duration;

/// What every measurement needs to know.
pub struct Bench {
    /// The gateway.
    pub binary: PathBuf,
    /// On the disk to be measured; emptied at the end.
    pub directory: PathBuf,
    /// How long each of them loads the gateway.
    pub time: Duration,
}

/// `name` at so many connections, as the card calls it.
fn at(name: &str, connections: usize) -> String {
    let unit = if connections == 1 { "connection" } else { "connections" };
    format!("{name}, {connections} {unit}")
}

/// The median and the slow end, for the card's last column.
fn spread(latencies: &mut crate::load::Latencies) -> String {
    format!("p50 {:.2} ms, p99 {:.2} ms", latencies.millis(0.5), latencies.millis(0.99))
}

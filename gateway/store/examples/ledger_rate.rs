//! Measures the SQLite ledger: durable notifies a second, the writer's processor time for each,
//! and a page of a long list. Run it in release, on the disk that matters:
//!
//! ```text
//! cargo run --release -p dukou-store --example ledger_rate -- [folder] [payments] [max_batch/callers]
//! ```
//!
//! With `max_batch/callers` only that row is measured, with so many payments. To count
//! instructions, which stay the same whatever else the machine does, run it so under callgrind.
// A program that prints rates; of the tests' records it uses some.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::float_arithmetic, dead_code)]

#[path = "../tests/it/records.rs"]
mod records;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use dukou_engine::ports::Store;
use dukou_engine::records::{PageCursor, PaymentFilter};
use dukou_store::{SqliteOptions, SqliteStore};

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().unwrap_or_else(|| "data/ledger-rate".into());
    let payments: usize = arguments.next().map_or(200_000, |count| count.parse().unwrap());
    std::fs::create_dir_all(&folder).unwrap();
    let folder = tempfile::tempdir_in(&folder).unwrap();
    println!(
        "{:>9} {:>7} {:>9} {:>11} {:>11} {:>9} {:>9} {:>9}",
        "max_batch", "callers", "notifies", "notifies/s", "writer µs", "KiB each", "p50 µs", "p99 µs"
    );
    let rows = match arguments.next() {
        Some(only) => {
            let (max_batch, callers) = only.split_once('/').unwrap();
            vec![(max_batch.parse().unwrap(), callers.parse().unwrap(), 1)]
        }
        None => vec![(512, 64, 1), (1, 64, 20), (512, 1, 20), (1, 1, 20), (512, 256, 1)],
    };
    for (max_batch, callers, share) in rows {
        rate(folder.path(), max_batch, callers, payments / share).await;
    }
}

async fn rate(folder: &Path, max_batch: usize, callers: usize, count: usize) {
    let path = folder.join(format!("{max_batch}-{callers}.db"));
    let fill = Arc::new(SqliteStore::open(SqliteOptions::at(&path)).unwrap());
    run(&fill, 256, count, |store, index| async move {
        records::create(&*store, &records::payment(&name(index), i64::try_from(index).unwrap())).await.unwrap();
    })
    .await;
    drop(fill);

    let store = Arc::new(SqliteStore::open(SqliteOptions { max_batch, ..SqliteOptions::at(&path) }).unwrap());
    let (before, written) = (writer_time(), bytes_written());
    let begun = Instant::now();
    let mut took = run(&store, callers, count, |store, index| async move {
        assert!(records::notify(&*store, &name(index), &digest(index)).await.unwrap());
    })
    .await;
    let elapsed = begun.elapsed();
    let writer = writer_time().saturating_sub(before);
    let written = bytes_written().saturating_sub(written);
    took.sort_unstable();
    println!(
        "{max_batch:>9} {callers:>7} {count:>9} {:>11.0} {:>11.1} {:>9.1} {:>9} {:>9}",
        count as f64 / elapsed.as_secs_f64(),
        writer.as_secs_f64() * 1e6 / count as f64,
        written as f64 / 1024.0 / count as f64,
        took[count / 2].as_micros(),
        took[count * 99 / 100].as_micros(),
    );
    if max_batch == 512 && callers == 64 {
        page(&store, count).await;
    }
}

async fn page(store: &SqliteStore, count: usize) {
    let middle = PageCursor { created_at: records::at(i64::try_from(count / 2).unwrap()), id: uuid::Uuid::max() };
    for state in [None, Some(dukou_domain::PaymentState::Succeeded), Some(dukou_domain::PaymentState::Closed)] {
        let filter =
            PaymentFilter { tenant: records::tenant(), state, created_after: None, cursor: Some(middle), limit: 50 };
        let begun = Instant::now();
        let page = store.payments(filter).await.unwrap();
        println!("  a page of {} out of {count}, state {state:?}: {:?}", page.items.len(), begun.elapsed());
    }
}

/// `count` jobs by `callers` at once; how long each took.
async fn run<F>(
    store: &Arc<SqliteStore>,
    callers: usize,
    count: usize,
    job: impl Fn(Arc<SqliteStore>, usize) -> F + Copy + Send + 'static,
) -> Vec<Duration>
where
    F: Future<Output = ()> + Send,
{
    let next = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let (store, next) = (Arc::clone(store), Arc::clone(&next));
            tokio::spawn(async move {
                let mut took = Vec::new();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count {
                        return took;
                    }
                    let begun = Instant::now();
                    job(Arc::clone(&store), index).await;
                    took.push(begun.elapsed());
                }
            })
        })
        .collect();
    let mut all = Vec::with_capacity(count);
    for task in tasks {
        all.extend(task.await.unwrap());
    }
    all
}

fn name(index: usize) -> String {
    format!("B{index:012}")
}

/// As the engine writes it: the order's number, and then what comes in no order.
fn digest(index: usize) -> String {
    let scattered = (index as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    format!("{}:{scattered:032x}", name(index))
}

/// What the process has handed to the system to write.
fn bytes_written() -> u64 {
    let Ok(text) = std::fs::read_to_string("/proc/self/io") else { return 0 };
    text.lines().find_map(|line| line.strip_prefix("wchar: ")).and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// The processor time of the writer thread; zero where the system does not tell.
fn writer_time() -> Duration {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return Duration::ZERO };
    tasks
        .flatten()
        .filter(|task| {
            std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name.trim() == "store-writer")
        })
        .filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next().and_then(|nanos| nanos.parse().ok()))
        .map(Duration::from_nanos)
        .sum()
}

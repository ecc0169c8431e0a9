//! What the numbers were measured on.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::load::Latencies;

/// About what one commit writes.
const BLOCK: [u8; 4096] = [7; 4096];
const FLUSHES: usize = 300;
const TIME: Duration = Duration::from_secs(2);

pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// Runnable processes over the last minute.
pub fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// The type of the file system that holds `path`.
pub fn file_system(path: &Path) -> Option<String> {
    let path = path.canonicalize().ok()?;
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let holding = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (point, kind) = (fields.next()?, fields.next()?);
        path.starts_with(point).then_some((point.len(), kind))
    });
    // Of two mounts at one point the later one is seen.
    holding.max_by_key(|(length, _)| *length).map(|(_, kind)| kind.to_owned())
}

/// What it takes to write a block to a file in `directory` and have it on the disk.
pub fn flush_times(directory: &Path) -> Result<Latencies> {
    let path = directory.join("flush");
    let mut file = File::create(&path).with_context(|| path.display().to_string())?;
    let mut times = Latencies::default();
    let start = Instant::now();
    while times.count() < FLUSHES && start.elapsed() < TIME {
        file.write_all(&BLOCK)?;
        let from = Instant::now();
        file.sync_data()?;
        times.record(from.elapsed());
    }
    fs::remove_file(&path)?;
    Ok(times)
}

//! The process itself, by the names every Prometheus client uses. Read from `/proc` at a scrape; on
//! a system without it the values stay 0.

// Seconds and bytes are floats in Prometheus; no money is near.
#![allow(clippy::float_arithmetic)]

use prometheus::{Gauge, IntGauge, Registry};

/// Linux counts a process's time in hundredths of a second for every program, whatever the kernel's
/// own tick is.
const TICKS_A_SECOND: f64 = 100.0;
/// What `statm` counts in, on every machine this is built for.
const PAGE: i64 = 4096;

pub struct ProcessMetrics {
    cpu: prometheus::Counter,
    resident: IntGauge,
    threads: IntGauge,
    open_files: IntGauge,
    max_files: IntGauge,
}

/// What one look at `/proc/self` says.
#[derive(Debug, PartialEq, Default)]
struct Look {
    cpu_seconds: f64,
    threads: i64,
    resident_bytes: i64,
    open_files: i64,
    max_files: i64,
}

impl ProcessMetrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let cpu = prometheus::Counter::new("process_cpu_seconds_total", "CPU time used, user and system.")?;
        registry.register(Box::new(cpu.clone()))?;
        let start = Gauge::new("process_start_time_seconds", "When the process began, since 1970.")?;
        registry.register(Box::new(start.clone()))?;
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        start.set(since.as_secs_f64());
        Ok(ProcessMetrics {
            cpu,
            resident: gauge("process_resident_memory_bytes", "Memory in use.")?,
            threads: gauge("process_threads", "Threads.")?,
            open_files: gauge("process_open_fds", "Open file descriptors.")?,
            max_files: gauge("process_max_fds", "Most file descriptors that may be open.")?,
        })
    }

    pub fn update(&self) {
        let look = look();
        let more = look.cpu_seconds - self.cpu.get();
        if more > 0.0 {
            self.cpu.inc_by(more);
        }
        self.resident.set(look.resident_bytes);
        self.threads.set(look.threads);
        self.open_files.set(look.open_files);
        self.max_files.set(look.max_files);
    }
}

fn look() -> Look {
    let text = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let (cpu_seconds, threads) = stat(&text("stat")).unwrap_or_default();
    let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    Look {
        cpu_seconds,
        threads,
        resident_bytes: resident(&text("statm")).unwrap_or_default(),
        open_files: i64::try_from(open).unwrap_or_default(),
        max_files: max_files(&text("limits")).unwrap_or_default(),
    }
}

/// CPU seconds and threads. The program's name, which may hold anything, ends at the last `)`.
fn stat(text: &str) -> Option<(f64, i64)> {
    let mut fields = text.rsplit_once(')')?.1.split_whitespace();
    let user: f64 = fields.nth(11)?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    let threads = fields.nth(4)?.parse().ok()?;
    Some(((user + system) / TICKS_A_SECOND, threads))
}

fn resident(statm: &str) -> Option<i64> {
    statm.split_whitespace().nth(1)?.parse::<i64>().ok()?.checked_mul(PAGE)
}

fn max_files(limits: &str) -> Option<i64> {
    limits.lines().find_map(|line| line.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        let line = "42 (a ) b) S 1 42 42 0 -1 4194560 900 0 0 0 150 50 0 0 20 0 7 0 123 9 9";
        assert_eq!(stat(line), Some((2.0, 7)));
        assert_eq!(stat("nonsense"), None);
        assert_eq!(resident("5000 1024 9 9 0 9 0\n"), Some(4_194_304));
        assert_eq!(max_files("Limit  Soft\nMax open files            1024                 4096   files\n"), Some(1024));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn sees_this_process() {
        let look = look();
        assert!(look.resident_bytes > 1_000_000 && look.threads >= 1 && look.open_files >= 3, "{look:?}");
    }
}

//! How many files the process may have open, and so how many connections it takes.

use std::fs;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Files for everything but the connections of the public interface: store, Redis, platforms, webhooks, the admin
/// interface.
const RESERVE: u64 = 512;

/// Raises the limit of open files as far as the system lets a process do so, which is usually far above what a shell or a
/// plain unit sets; how many of the wanted connections there is room for.
pub fn room_for(wanted: usize) -> usize {
    let Some(files) = raise() else { return wanted };
    let connections = fit(wanted, files);
    if connections < wanted {
        tracing::warn!(
            open_files = files,
            connections,
            wanted,
            "the limit of open files leaves room for fewer connections; raise LimitNOFILE= of the unit, or `ulimit -Hn`"
        );
    }
    connections
}

/// The limit that there is then; `None` where there is none or it cannot be known.
fn raise() -> Option<u64> {
    let (soft, hard) = limits()?;
    if soft == hard {
        return soft;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard }) {
        Ok(()) => {
            tracing::info!(from = soft, to = hard, "raised the limit of open files");
            hard
        }
        Err(error) => {
            tracing::warn!(%error, open_files = soft, "cannot raise the limit of open files");
            soft
        }
    }
}

/// The soft and the hard one. Read as a file: where a filter of system calls forbids the question, `getrlimit` has no
/// way to say so.
fn limits() -> Option<(Option<u64>, Option<u64>)> {
    parse(&fs::read_to_string("/proc/self/limits").ok()?)
}

fn parse(limits: &str) -> Option<(Option<u64>, Option<u64>)> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let mut numbers = line.split_whitespace().map(|number| match number {
        "unlimited" => Some(None),
        number => number.parse().ok().map(Some),
    });
    Some((numbers.next()??, numbers.next()??))
}

/// A small limit is shared by halves.
fn fit(wanted: usize, files: u64) -> usize {
    let room = files - RESERVE.min(files / 2);
    usize::try_from(room).map_or(wanted, |room| wanted.min(room))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_of_the_gateway_keeps_its_files() {
        for (files, connections) in [(600, 300), (1024, 512), (4096, 3584), (20_512, 20_000), (1 << 20, 20_000)] {
            assert_eq!(fit(20_000, files), connections, "{files}");
        }
    }

    #[test]
    fn reads_what_the_kernel_writes() {
        let limits = |values: &str| parse(&format!("Limit  Soft  Hard  Units\nMax open files  {values}  files \n"));
        assert_eq!(limits("1024  4096"), Some((Some(1024), Some(4096))));
        assert_eq!(limits("1024  unlimited"), Some((Some(1024), None)));
        assert_eq!(limits(""), None);
        assert_eq!(parse("nonsense"), None);
    }

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let (_, hard) = limits().unwrap();
        // One less does not matter to the tests beside this one.
        let lower = hard.map(|hard| hard - 1);
        setrlimit(Resource::Nofile, Rlimit { current: lower, maximum: hard }).unwrap();
        assert_eq!((raise(), limits().unwrap()), (hard, (hard, hard)));
    }
}

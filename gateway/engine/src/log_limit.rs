//! Log lines about what anybody can bring about, as often as they like: they must not fill the disk that the ledger
//! is on.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

/// Between two lines of one kind.
const PERIOD: Duration = Duration::from_secs(10);

/// The first of a kind is logged at once; what follows is counted, and its number logged once in ten seconds.
///
/// Kinds are remembered: they come from the configuration and closed lists, never from a request.
pub struct LogLimit<K> {
    kinds: Mutex<HashMap<K, Period>>,
}

/// The time in which nothing more of a kind is logged.
struct Period {
    until: Instant,
    left_out: u64,
}

impl<K> Default for LogLimit<K> {
    fn default() -> Self {
        LogLimit { kinds: Mutex::default() }
    }
}

impl<K: Clone + Eq + Hash + Send + 'static> LogLimit<K> {
    /// Calls `log` where it may be logged now, with how many of the kind were left out before it. What is counted is
    /// logged by a task of the runtime, where there is one, also when no more come.
    pub fn note(self: &Arc<Self>, kind: K, log: impl Fn(Option<u64>) + Send + 'static) {
        let now = Instant::now();
        let until = now + PERIOD;
        let left_out = {
            let mut kinds = self.kinds();
            match kinds.get_mut(&kind) {
                Some(period) if now < period.until => {
                    period.left_out += 1;
                    return;
                }
                // Its task is late, or ended with its runtime.
                Some(period) => std::mem::replace(period, Period { until, left_out: 0 }).left_out,
                None => {
                    kinds.insert(kind.clone(), Period { until, left_out: 0 });
                    0
                }
            }
        };
        log((left_out > 0).then_some(left_out));
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(Arc::clone(self).follow(kind, until, log));
        }
    }

    /// Logs what was left out, until nothing was for a whole period.
    async fn follow(self: Arc<Self>, kind: K, mut until: Instant, log: impl Fn(Option<u64>) + Send) {
        loop {
            sleep_until(until).await;
            let Some(left_out) = self.next(&kind, until) else { return };
            log(Some(left_out));
            until += PERIOD;
        }
    }

    /// Ends the period that ends at `until`. `None` when nothing was left out in it, or another has begun.
    fn next(&self, kind: &K, until: Instant) -> Option<u64> {
        let mut kinds = self.kinds();
        let period = kinds.get_mut(kind).filter(|period| period.until == until)?;
        if period.left_out == 0 {
            kinds.remove(kind);
            return None;
        }
        period.until = until + PERIOD;
        Some(std::mem::take(&mut period.left_out))
    }

    fn kinds(&self) -> MutexGuard<'_, HashMap<K, Period>> {
        self.kinds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    type Line = (&'static str, Option<u64>);

    #[derive(Default)]
    struct Log {
        limit: Arc<LogLimit<&'static str>>,
        lines: Arc<Mutex<Vec<Line>>>,
    }

    impl Log {
        fn note(&self, kind: &'static str) {
            let lines = Arc::clone(&self.lines);
            self.limit.note(kind, move |left_out| lines.lock().unwrap().push((kind, left_out)));
        }

        fn lines(&self) -> Vec<Line> {
            std::mem::take(&mut self.lines.lock().unwrap())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_is_a_line_and_then_a_number_in_ten_seconds() {
        let log = Log::default();
        for _ in 0..1_000 {
            log.note("forged");
        }
        log.note("malformed");
        assert_eq!(log.lines(), [("forged", None), ("malformed", None)]);
        sleep(PERIOD + Duration::from_millis(1)).await;
        assert_eq!(log.lines(), [("forged", Some(999))], "also when no more come");
        log.note("forged");
        log.note("malformed");
        assert_eq!(log.lines(), [("malformed", None)], "of which nothing was left out is at its beginning");
        sleep(PERIOD).await;
        assert_eq!(log.lines(), [("forged", Some(1))]);
        sleep(2 * PERIOD).await;
        assert_eq!(log.lines(), []);
        assert!(log.limit.kinds().is_empty(), "what has ended is not remembered");
        log.note("forged");
        assert_eq!(log.lines(), [("forged", None)]);
    }

    #[test]
    fn without_a_runtime_what_was_left_out_is_told_by_the_next() {
        let log = Log::default();
        log.note("forged");
        log.note("forged");
        assert_eq!(log.lines(), [("forged", None)]);
        log.limit.kinds().get_mut("forged").unwrap().until = Instant::now();
        log.note("forged");
        assert_eq!(log.lines(), [("forged", Some(1))]);
    }
}

//! The last hour in small charts: samples of the metrics, kept in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

const PERIOD: Duration = Duration::from_secs(15);
/// An hour.
const KEPT: usize = 240;
/// Samples that share one bar: a minute.
const PER_BAR: usize = 4;
const BAR: usize = 4;
const HEIGHT: u64 = 36;

/// What is charted, as totals since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub created: u64,
    pub succeeded: u64,
    pub refunded: u64,
    pub notified: u64,
    pub not_verified: u64,
    pub delivered: u64,
    /// At this moment.
    pub waiting: u64,
}

pub struct Figures {
    metrics: Arc<dyn Fn() -> String + Send + Sync>,
    samples: Mutex<VecDeque<Counts>>,
}

impl Figures {
    pub fn new(metrics: Arc<dyn Fn() -> String + Send + Sync>) -> Self {
        Figures { metrics, samples: Mutex::default() }
    }

    pub async fn sample(&self, mut stopping: watch::Receiver<bool>) {
        while !*stopping.borrow() {
            self.keep(self.now());
            let _ = tokio::time::timeout(PERIOD, stopping.wait_for(|stop| *stop)).await;
        }
    }

    fn keep(&self, counts: Counts) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.push_back(counts);
        if samples.len() > KEPT {
            samples.pop_front();
        }
    }

    pub fn now(&self) -> Counts {
        counts(&(self.metrics)())
    }

    /// Tenants' files that are not served as they are now.
    pub fn refused_files(&self) -> u64 {
        gauge(&(self.metrics)(), "dukou_config_refused_files")
    }

    /// The calls to the platforms since the start.
    pub fn calls(&self) -> Vec<Calls> {
        calls(&(self.metrics)())
    }

    /// How much of something there was in each of the last minutes, the present one last.
    pub fn minutes(&self, now: Counts, of: fn(&Counts) -> u64) -> Vec<u64> {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let aligned = samples.iter().rev().skip(PER_BAR - 1).step_by(PER_BAR);
        let mut totals: Vec<u64> = aligned.map(of).collect();
        // What was before the first whole minute counts from the start.
        if !samples.len().is_multiple_of(PER_BAR) && samples.len() < KEPT {
            totals.extend(samples.front().map(of));
        }
        totals.reverse();
        totals.push(of(&now));
        totals.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect()
    }
}

fn counts(metrics: &str) -> Counts {
    Counts {
        created: sum(metrics, "dukou_payments_total", "status=\"created\""),
        succeeded: sum(metrics, "dukou_payments_total", "status=\"succeeded\""),
        refunded: sum(metrics, "dukou_refunds_total", "status=\"succeeded\""),
        notified: sum(metrics, "dukou_notify_total", "outcome=\"applied\""),
        not_verified: sum(metrics, "dukou_notify_total", "outcome=\"bad_signature\"")
            + sum(metrics, "dukou_notify_total", "outcome=\"malformed\""),
        delivered: sum(metrics, "dukou_webhook_deliveries_total", "outcome=\"delivered\""),
        waiting: sum(metrics, "dukou_webhook_backlog", ""),
    }
}

/// A metric without labels.
fn gauge(metrics: &str, name: &str) -> u64 {
    let mut values = metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    values.next().and_then(|value| value.split('.').next()?.parse().ok()).unwrap_or(0)
}

/// The sum of a metric's series that have a label.
fn sum(metrics: &str, name: &str, label: &str) -> u64 {
    let of_metric = metrics.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('{'));
    let of_label = of_metric.filter_map(|line| {
        let (labels, value) = line.rsplit_once("} ")?;
        labels.contains(label).then(|| value.split('.').next()?.parse::<u64>().ok())?
    });
    of_label.sum()
}

/// Calls to a platform that ended alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calls {
    pub provider: String,
    pub operation: String,
    /// `ok`, or how they failed.
    pub outcome: String,
    pub count: u64,
}

/// Labels hold no quotes: they come from configuration and closed lists.
fn calls(metrics: &str) -> Vec<Calls> {
    let of_metric = metrics.lines().filter_map(|line| line.strip_prefix("dukou_provider_request_seconds_count{"));
    let one = |line: &str| {
        let (labels, count) = line.rsplit_once("} ")?;
        let label = |name: &str| {
            let (_, rest) = labels.split_once(&format!("{name}=\""))?;
            rest.split('"').next().map(str::to_owned)
        };
        let count = count.split('.').next()?.parse().ok()?;
        Some(Calls { provider: label("provider")?, operation: label("operation")?, outcome: label("outcome")?, count })
    };
    of_metric.filter_map(one).filter(|calls| calls.count > 0).collect()
}

/// The bars of a chart: x, y, width and height of each, in a view of 240 by 36.
pub fn bars(values: &[u64]) -> Vec<(usize, u64, usize, u64)> {
    let most = values.iter().copied().max().unwrap_or(0).max(1);
    let first = (KEPT / PER_BAR).saturating_sub(values.len());
    let bar = |(index, value): (usize, &u64)| {
        // What there was can be seen, however little.
        let height = (value * HEIGHT / most).max(u64::from(*value > 0) * 2);
        ((first + index) * BAR, HEIGHT - height, BAR - 1, height)
    };
    values.iter().enumerate().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP dukou_payments_total x\n\
        dukou_payments_total{provider=\"w\",status=\"created\",tenant=\"a\"} 3\n\
        dukou_payments_total{provider=\"w\",status=\"succeeded\",tenant=\"a\"} 2\n\
        dukou_payments_total{provider=\"w\",status=\"created\",tenant=\"b\"} 4\n\
        dukou_webhook_backlog{tenant=\"a\"} 5\n";

    #[test]
    fn series_are_summed_by_label() {
        let counts = counts(TEXT);
        assert_eq!((counts.created, counts.succeeded, counts.waiting, counts.notified), (7, 2, 5, 0));
    }

    #[test]
    fn a_metric_without_labels_is_read() {
        let text =
            "# TYPE dukou_config_refused_files gauge\ndukou_config_refused_files_x 5\ndukou_config_refused_files 2\n";
        assert_eq!(gauge(text, "dukou_config_refused_files"), 2);
        assert_eq!(gauge("", "dukou_config_refused_files"), 0);
    }

    #[test]
    fn calls_are_told_by_their_labels() {
        let text = "dukou_provider_request_seconds_count{operation=\"pay\",outcome=\"ok\",provider=\"wechat\"} 7\n\
            dukou_provider_request_seconds_count{operation=\"pay\",outcome=\"unknown\",provider=\"wechat\"} 0\n\
            dukou_provider_request_seconds_sum{operation=\"pay\",outcome=\"ok\",provider=\"wechat\"} 1.5\n";
        let expected = Calls { provider: "wechat".into(), operation: "pay".into(), outcome: "ok".into(), count: 7 };
        assert_eq!(calls(text), [expected]);
    }

    #[test]
    fn a_chart_stays_in_its_view_and_the_newest_is_right() {
        assert!(bars(&[]).is_empty());
        let shown = bars(&[0, 1, 1000]);
        assert_eq!(shown[0].3, 0);
        assert_eq!(shown[1].3, 2, "a little can be seen");
        assert_eq!(shown[2], (59 * BAR, 0, 3, HEIGHT));
        assert!(bars(&[7; 61]).iter().all(|(x, y, width, height)| x + width <= 244 && y + height == HEIGHT));
    }

    #[test]
    fn minutes_are_differences_of_totals() {
        let figures = Figures::new(Arc::new(String::new));
        let of = |created| Counts { created, ..Counts::default() };
        figures.samples.lock().unwrap().extend([0, 1, 2, 3, 10, 11, 12, 13].map(of));
        assert_eq!(figures.minutes(of(20), |counts| counts.created), [10, 10]);
        // A restart of what is counted is no negative number.
        assert_eq!(figures.minutes(of(5), |counts| counts.created), [10, 0]);
        figures.samples.lock().unwrap().drain(..6);
        assert_eq!(figures.minutes(of(15), |counts| counts.created), [3], "less than a minute");
    }
}

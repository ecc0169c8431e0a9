//! What `/readyz` says, for those who watch.

use dukou_http::{ReadyCheck, ReadyStatus};
use prometheus::{IntGaugeVec, Opts, Registry};

/// Whether requests would be served, by check.
pub struct ReadyMetrics(IntGaugeVec);

impl ReadyMetrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let help = "1 while requests would be served as far as this check of /readyz goes, well or degraded; 0 while they \
                    would fail.";
        let ready = IntGaugeVec::new(Opts::new("dukou_ready", help), &["check"])?;
        registry.register(Box::new(ready.clone()))?;
        Ok(ReadyMetrics(ready))
    }

    pub fn update(&self, checks: &[ReadyCheck]) {
        for check in checks {
            self.0.with_label_values(&[check.name.as_str()]).set(i64::from(check.status != ReadyStatus::Unready));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lets_requests_fail_is_not_ready() {
        let metrics = ReadyMetrics::new(&Registry::new()).unwrap();
        for (status, shown) in [(ReadyStatus::Ready, 1), (ReadyStatus::Degraded, 1), (ReadyStatus::Unready, 0)] {
            let check = ReadyCheck { name: "store".into(), status, detail: String::new(), detail_zh: String::new() };
            metrics.update(&[check]);
            assert_eq!(metrics.0.with_label_values(&["store"]).get(), shown, "{status:?}");
        }
    }
}

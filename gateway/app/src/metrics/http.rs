//! What the listeners count.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use dukou_http::HttpTelemetry;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, Registry};

use super::{LOCAL_BUCKETS, counter, histogram};
use crate::traces;

/// The route by which payments are created, and the answers that alerts count of it.
const CREATE: (&str, &str) = ("/v1/{tenant}/payments", "POST");
const CREATE_ANSWERS: [&str; 6] = ["200", "201", "500", "502", "503", "504"];

/// Requests by route. Handles are looked up by label once and kept.
pub struct HttpMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
    routes: RwLock<HashMap<String, Vec<Handles>>>,
}

/// The series of one route with one method and one status; a route has few of them.
#[derive(Clone)]
struct Handles {
    method: &'static str,
    status: u16,
    requests: IntCounter,
    seconds: Histogram,
}

impl HttpMetrics {
    pub fn new(registry: &Registry) -> Result<Self, prometheus::Error> {
        let requests =
            counter(registry, "dukou_http_requests_total", "Requests answered.", &["route", "method", "status"])?;
        // An alert on an increase does not see a series that begins at 1, which is where an outage begins.
        for status in CREATE_ANSWERS {
            requests.with_label_values(&[CREATE.0, CREATE.1, status]);
        }
        Ok(HttpMetrics {
            requests,
            seconds: histogram(
                registry,
                "dukou_http_request_seconds",
                "Time from a request's head to its answer.",
                &["route", "method"],
                &LOCAL_BUCKETS,
            )?,
            routes: RwLock::default(),
        })
    }

    fn handles(&self, route: &str, method: &'static str, status: u16) -> Handles {
        let find = |known: &[Handles]| known.iter().find(|h| h.method == method && h.status == status).cloned();
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(handles) = routes.get(route).and_then(|known| find(known)) {
            return handles;
        }
        drop(routes);
        let handles = Handles {
            method,
            status,
            requests: self.requests.with_label_values(&[route, method, status.to_string().as_str()]),
            seconds: self.seconds.with_label_values(&[route, method]),
        };
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        let known = routes.entry(route.to_owned()).or_default();
        find(known).unwrap_or_else(|| {
            known.push(handles.clone());
            handles
        })
    }
}

impl HttpTelemetry for HttpMetrics {
    fn begin(&self, span: &tracing::Span, traceparent: Option<&str>) {
        if let Some(traceparent) = traceparent {
            traces::parent(span, traceparent);
        }
    }

    fn request(&self, route: &str, method: &'static str, status: u16, took: Duration) {
        let handles = self.handles(route, method, status);
        handles.requests.inc();
        handles.seconds.observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use prometheus::proto::LabelPair;

    use super::*;

    #[test]
    fn creates_that_fail_are_counted_from_zero() {
        let registry = Registry::new();
        let metrics = HttpMetrics::new(&registry).unwrap();
        let count = |status: &str| {
            let families = registry.gather();
            let requests = families.iter().find(|family| family.name() == "dukou_http_requests_total")?;
            let of_status = |label: &LabelPair| (label.name(), label.value()) == ("status", status);
            let series = requests.get_metric().iter().find(|series| series.get_label().iter().any(of_status))?;
            Some(series.get_counter().get_value())
        };
        for (status, text) in [(201, "201"), (502, "502"), (503, "503"), (504, "504"), (500, "500")] {
            assert_eq!(count(text), Some(0.0));
            metrics.request(CREATE.0, CREATE.1, status, Duration::ZERO);
            assert_eq!(count(text), Some(1.0));
        }
    }
}

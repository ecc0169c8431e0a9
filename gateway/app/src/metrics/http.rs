//! What the listeners count.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use dukou_http::HttpTelemetry;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, Registry};

use super::{LOCAL_BUCKETS, counter, histogram};
use crate::traces;

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
        Ok(HttpMetrics {
            requests: counter(
                registry,
                "dukou_http_requests_total",
                "Requests answered.",
                &["route", "method", "status"],
            )?,
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

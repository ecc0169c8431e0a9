//! What a test did, as the counters that should say so.

use std::collections::BTreeMap;

use dukou_e2e::{Answer, Merchant, Metrics};
use reqwest::Method;
use serde_json::Value;

/// The counters that are held to the last one. A histogram is held by its count.
const HELD: [&str; 11] = [
    "dukou_http_requests_total",
    "dukou_http_request_seconds_count",
    "dukou_payments_total",
    "dukou_refunds_total",
    "dukou_notify_total",
    "dukou_notify_seconds_count",
    "dukou_provider_request_seconds_count",
    "dukou_webhook_deliveries_total",
    "dukou_idempotency_total",
    "dukou_config_reload_total",
    "dukou_events_total",
];

/// Series, and how much they should have counted.
#[derive(Default)]
pub struct Ledger(BTreeMap<String, u64>);

impl Ledger {
    /// Labels in the order of the alphabet, as a scrape shows them.
    pub fn add(&mut self, name: &str, labels: &[(&str, &str)], count: u64) {
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        *self.0.entry(format!("{name}{{{}}}", labels.join(","))).or_default() += count;
    }

    pub fn http(&mut self, route: &str, method: &str, status: u16, count: u64) {
        let status = status.to_string();
        let labels = [("method", method), ("route", route), ("status", status.as_str())];
        self.add("dukou_http_requests_total", &labels, count);
        self.add("dukou_http_request_seconds_count", &labels[..2], count);
    }

    /// Messages that were judged, in answers with 200.
    pub fn notifies(&mut self, tenant: &str, kind: &str, outcome: &str, count: u64) {
        let labels = [("kind", kind), ("outcome", outcome), ("provider", "wechat"), ("tenant", tenant)];
        self.add("dukou_notify_total", &labels, count);
        self.add("dukou_notify_seconds_count", &[("provider", "wechat")], count);
        self.http(&format!("/notify/{{tenant}}/{{provider}}/{kind}"), "POST", 200, count);
    }

    pub fn payment(&mut self, tenant: &str, status: &str) {
        self.add("dukou_payments_total", &[("provider", "wechat"), ("status", status), ("tenant", tenant)], 1);
    }

    pub fn refund(&mut self, tenant: &str, status: &str) {
        self.add("dukou_refunds_total", &[("provider", "wechat"), ("status", status), ("tenant", tenant)], 1);
    }

    pub fn call(&mut self, operation: &str, outcome: &str, count: u64) {
        let labels = [("operation", operation), ("outcome", outcome), ("provider", "wechat")];
        self.add("dukou_provider_request_seconds_count", &labels, count);
    }

    pub fn claim(&mut self, backend: &str, outcome: &str, count: u64) {
        self.add("dukou_idempotency_total", &[("backend", backend), ("outcome", outcome)], count);
    }

    pub fn delivery(&mut self, tenant: &str, outcome: &str, count: u64) {
        self.add("dukou_webhook_deliveries_total", &[("outcome", outcome), ("tenant", tenant)], count);
    }

    /// The log of a tenant, as the API shows it.
    pub fn events(&mut self, tenant: &str, log: &[Value]) {
        for event in log {
            let kind = event["type"].as_str().unwrap();
            self.add("dukou_events_total", &[("tenant", tenant), ("type", kind)], 1);
        }
    }

    /// A request of a merchant's backend that is answered and counted.
    pub async fn send(
        &mut self,
        merchant: &Merchant,
        method: Method,
        path: &str,
        route: &str,
        body: Option<&Value>,
    ) -> Answer {
        let mut request = merchant.request(method.clone(), path);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = merchant.send(request).await.unwrap();
        self.http(&format!("/v1/{{tenant}}{route}"), method.as_str(), answer.status, 1);
        answer
    }

    /// Every counter that is not 0, ours and theirs, where they differ: nothing was counted twice,
    /// nothing left out, and nothing counted that did not happen.
    pub fn differences(&self, metrics: &Metrics) -> Vec<String> {
        let held = |line: &&str| HELD.contains(&line.split('{').next().unwrap_or_default());
        let seen: BTreeMap<&str, u64> = metrics
            .text
            .lines()
            .filter(held)
            .filter_map(|line| line.rsplit_once(' '))
            .filter_map(|(series, value)| Some((series, value.parse().ok()?)))
            .filter(|(_, value)| *value != 0)
            .collect();
        let expected: BTreeMap<&str, u64> =
            self.0.iter().filter(|(_, count)| **count != 0).map(|(series, count)| (series.as_str(), *count)).collect();
        let mut all: Vec<&str> = seen.keys().chain(expected.keys()).copied().collect();
        all.sort_unstable();
        all.dedup();
        all.into_iter()
            .filter(|series| seen.get(series) != expected.get(series))
            .map(|series| {
                let count = |counts: &BTreeMap<&str, u64>| counts.get(series).copied().unwrap_or(0);
                format!("{series}: counted {}, happened {}", count(&seen), count(&expected))
            })
            .collect()
    }
}

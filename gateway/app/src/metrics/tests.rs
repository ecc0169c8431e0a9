//! Names and labels, as the public contract lists them.

use std::time::Duration;

use dukou_domain::{DeliveryState, PaymentState, ProviderName, RefundState, TenantId, Timestamp};
use dukou_engine::delivery::Backlog;
use dukou_engine::ports::{IdempotencyOutcome, NotifyOutcome, Telemetry};
use dukou_engine::records::EventKind;
use dukou_http::{HttpTelemetry, ReadyCheck, ReadyStatus};
use dukou_spi::NotifyKind;
use dukou_webhook::WebhookTelemetry;

use super::*;

#[test]
fn names_and_labels_are_those_of_the_contract() {
    let metrics = {
        let mut metrics = Metrics::new().expect("names differ");
        metrics.watch_clocks(crate::outside::platform_clocks()).expect("names differ");
        metrics.watch_store_files(std::path::Path::new("nowhere")).expect("names differ");
        metrics
    };
    let (tenant, provider) = (TenantId::new("bookshop").expect("an id"), ProviderName::new("wechat").expect("a name"));
    metrics.engine.payment(&tenant, &provider, PaymentState::Pending);
    metrics.engine.refund(&tenant, &provider, RefundState::Processing);
    metrics.engine.notify(&tenant, &provider, NotifyKind::Payment, NotifyOutcome::Applied, Duration::from_millis(3));
    metrics.engine.provider_call(&provider, "pay", "ok", Duration::from_millis(80));
    metrics.engine.idempotency("redis", IdempotencyOutcome::New);
    metrics.engine.event(&tenant, EventKind::PaymentSucceeded);
    metrics.open.announce(&tenant);
    let store = ReadyCheck {
        name: "store".to_owned(),
        status: ReadyStatus::Ready,
        detail: String::new(),
        detail_zh: String::new(),
    };
    metrics.ready.update(&[store]);
    metrics.http.request("/v1/{tenant}/payments", "POST", 201, Duration::from_millis(90));
    metrics.store_seconds.with_label_values(&["apply"]).observe(0.001);

    metrics.webhook.delivery(&tenant, DeliveryState::Delivered);
    let waits = Backlog { tenant: tenant.clone(), pending: 1, oldest: Timestamp::from_millis(0), disabled: false };
    metrics.webhook.backlog(&[waits], Timestamp::from_millis(0));

    for (name, labels) in [
        ("dukou_build_info", vec!["commit", "version"]),
        ("dukou_config_refused_files", vec![]),
        ("dukou_config_reload_total", vec!["outcome"]),
        ("dukou_events_total", vec!["tenant", "type"]),
        ("dukou_http_request_seconds", vec!["method", "route"]),
        ("dukou_http_requests_total", vec!["method", "route", "status"]),
        ("dukou_idempotency_total", vec!["backend", "outcome"]),
        ("dukou_notify_seconds", vec!["provider"]),
        ("dukou_notify_total", vec!["kind", "outcome", "provider", "tenant"]),
        ("dukou_open_oldest_seconds", vec!["tenant", "what"]),
        ("dukou_payments_total", vec!["provider", "status", "tenant"]),
        ("dukou_provider_request_seconds", vec!["operation", "outcome", "provider"]),
        ("dukou_ready", vec!["check"]),
        ("dukou_refunds_total", vec!["provider", "status", "tenant"]),
        ("dukou_retention_deleted_total", vec!["what"]),
        ("dukou_store_file_bytes", vec!["file"]),
        ("dukou_store_seconds", vec!["operation"]),
        ("dukou_webhook_backlog", vec!["tenant"]),
        ("dukou_webhook_deliveries_total", vec!["outcome", "tenant"]),
        ("dukou_webhook_oldest_pending_seconds", vec![]),
    ] {
        let families = metrics.registry.gather();
        let family = families.iter().find(|family| family.name() == name);
        let family = family.unwrap_or_else(|| panic!("{name} is missing"));
        let found: Vec<&str> = family.get_metric()[0].get_label().iter().map(|label| label.name()).collect();
        assert_eq!(found, labels, "{name}");
    }
    let text = metrics.render();
    let series = "dukou_notify_total{kind=\"payment\",outcome=\"applied\",provider=\"wechat\",tenant=\"bookshop\"} 1\n";
    assert!(text.contains(series), "{text}");
}

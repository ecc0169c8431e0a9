//! What it costs to record one paid notify, in time and allocations, with the gateway's metrics and
//! without any: `cargo bench -p dukou-bench --bench metrics`.

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::Duration;

use divan::{AllocProfiler, Bencher};
use dukou::metrics::Metrics;
use dukou_domain::{PaymentState, ProviderName, RefundState, TenantId};
use dukou_engine::ports::{IdempotencyOutcome, NotifyOutcome, Telemetry};
use dukou_engine::records::EventKind;
use dukou_http::HttpTelemetry;
use dukou_spi::NotifyKind;

use common::Recorder;

/// Counts what is allocated between the beginning and the end of a sample.
#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// Records nothing.
struct Nothing;

impl Telemetry for Nothing {
    fn probe(&self, _: &TenantId, _: &ProviderName) {}

    fn notify(&self, _: &TenantId, _: &ProviderName, _: NotifyKind, _: NotifyOutcome, _: Duration) {}
    fn payment(&self, _: &TenantId, _: &ProviderName, _: PaymentState) {}
    fn refund(&self, _: &TenantId, _: &ProviderName, _: RefundState) {}
    fn provider_call(&self, _: &ProviderName, _: &'static str, _: &'static str, _: Duration) {}
    fn idempotency(&self, _: &'static str, _: IdempotencyOutcome) {}
    fn event(&self, _: &TenantId, _: EventKind) {}
}

impl HttpTelemetry for Nothing {
    fn request(&self, _: &str, _: &'static str, _: u16, _: Duration) {}
}

fn metrics() -> Metrics {
    Metrics::new().expect("names differ")
}

#[divan::bench]
fn notify_with(bencher: Bencher<'_, '_>) {
    let metrics = metrics();
    let recorder = Recorder::new(metrics.engine.as_ref(), metrics.http.as_ref());
    // The first of its kind makes the series.
    recorder.notify();
    bencher.bench_local(|| recorder.notify());
}

#[divan::bench]
fn notify_without(bencher: Bencher<'_, '_>) {
    let recorder = Recorder::new(&Nothing, &Nothing);
    bencher.bench_local(|| recorder.notify());
}

#[divan::bench]
fn call_with(bencher: Bencher<'_, '_>) {
    let metrics = metrics();
    let recorder = Recorder::new(metrics.engine.as_ref(), metrics.http.as_ref());
    recorder.call();
    bencher.bench_local(|| recorder.call());
}

#[divan::bench]
fn call_without(bencher: Bencher<'_, '_>) {
    let recorder = Recorder::new(&Nothing, &Nothing);
    bencher.bench_local(|| recorder.call());
}

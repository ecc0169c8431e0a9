//! Recording is on the way of every request, so it takes nothing from the allocator.

mod common;

use dukou::metrics::Metrics;

use common::Recorder;

#[test]
fn recording_allocates_nothing() {
    let metrics = Metrics::new().expect("names differ");
    let recorder = Recorder::new(metrics.engine.as_ref(), metrics.http.as_ref());
    let once = || {
        recorder.notify();
        recorder.call();
    };
    let first = allocation_counter::measure(once);
    assert!(first.count_total > 0, "the first of a kind makes its series, which the counter must see");
    let then = allocation_counter::measure(|| (0..1_000).for_each(|_| once()));
    assert_eq!(then.count_total, 0, "{then:?}");
}

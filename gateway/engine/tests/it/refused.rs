//! What anybody can send does not fill the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::support::House;

/// Counts lines that somebody is to read.
#[derive(Default)]
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        if *event.metadata().level() <= Level::WARN {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn refused_notifies_are_a_line_for_each_reason_and_all_are_counted() {
    let house = House::new();
    let warnings = Arc::new(AtomicUsize::new(0));
    let _logged = tracing::subscriber::set_default(Warnings(Arc::clone(&warnings)));
    for _ in 0..200 {
        for words in ["forged", "unknown-key first", "gibberish"] {
            assert_eq!(house.notify(words).await, "Rejected");
        }
    }
    assert_eq!(warnings.load(Ordering::SeqCst), 3);
    let counts = house.counts.0.lock().unwrap();
    assert_eq!((counts["notify bad_signature"], counts["notify malformed"]), (400, 200));
}

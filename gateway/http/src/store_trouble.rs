//! What the log says of a store that cannot do what requests need of it.

use std::sync::Arc;

use dukou_engine::LogLimit;

/// Every request meets a store that is away or has too much to do. What is wrong with it the store says itself.
#[derive(Default)]
pub struct StoreTrouble(Arc<LogLimit<String>>);

impl StoreTrouble {
    /// A request was answered `unavailable`, and this is why.
    pub fn note(&self, error: String) {
        self.note_with(kind_of(&error).to_owned(), move |left_out| {
            tracing::warn!(error, left_out, "a request met a store that could not do it");
        });
    }

    fn note_with(&self, kind: String, log: impl Fn(Option<u64>) + Send + 'static) {
        self.0.note(kind, log);
    }
}

/// After the second colon is what may differ each time.
fn kind_of(text: &str) -> &str {
    text.match_indices(':').nth(1).map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use dukou_engine::ports::StoreError;

    use super::*;

    #[test]
    fn requests_that_meet_a_full_queue_are_one_line() {
        let (trouble, lines) = (StoreTrouble::default(), Arc::new(AtomicUsize::new(0)));
        for number in 0..100 {
            let error = StoreError::Unavailable(format!("overloaded: {number} wait")).to_string();
            let lines = Arc::clone(&lines);
            trouble.note_with(kind_of(&error).to_owned(), move |_| {
                lines.fetch_add(1, Ordering::SeqCst);
            });
        }
        assert_eq!(lines.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn what_differs_each_time_makes_no_kind_of_its_own() {
        for (why, kind) in [
            ("overloaded: too many reads are waiting", "the store is unavailable: overloaded"),
            ("disk I/O error: 4: 7", "the store is unavailable: disk I/O error"),
            ("the store is closed", "the store is unavailable: the store is closed"),
        ] {
            assert_eq!(kind_of(&StoreError::Unavailable(why.into()).to_string()), kind);
        }
    }
}

use std::time::{Duration, Instant};

/// Between two looks at first; it grows to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Looks until there is something to see and gives that; `None` once the deadline has passed.
pub async fn settled<T>(deadline: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + deadline;
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(found) = look().await {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Looks until there is something to see and gives that.
///
/// # Panics
/// When the deadline has passed; `what` says what did not come.
pub async fn eventually<T>(what: &str, deadline: Duration, look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = settled(deadline, look).await;
    found.unwrap_or_else(|| panic!("not within {deadline:?}: {what}"))
}

//! What a provider learns about a call beside its answer, for the gateway's record of it.

use std::cell::RefCell;
use std::future::Future;

/// A longer one is cut.
const LONGEST: usize = 128;

tokio::task_local! {
    static REQUEST_ID: RefCell<Option<String>>;
}

/// Runs a call, and gives the platform's number for it beside what it answers.
pub async fn with_request_id<T>(call: impl Future<Output = T>) -> (T, Option<String>) {
    let noted = async {
        let answer = call.await;
        (answer, REQUEST_ID.with(RefCell::take))
    };
    REQUEST_ID.scope(RefCell::default(), noted).await
}

/// Notes the number that a platform gave the call that is being made, by which its support finds it.
/// The last one counts. Outside of a call of the gateway's this does nothing.
pub fn note_request_id(id: &str) {
    let id: String = id.chars().filter(char::is_ascii_graphic).take(LONGEST).collect();
    if !id.is_empty() {
        // An error means that nobody asked.
        let _ = REQUEST_ID.try_with(|noted| noted.replace(Some(id)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_number_belongs_to_the_call_in_which_it_was_noted() {
        note_request_id("nobody's");
        let inner = async {
            let noted = with_request_id(async { note_request_id("inner") }).await;
            assert_eq!(noted.1.as_deref(), Some("inner"));
            note_request_id("first");
            note_request_id("08F1\r\nX: y");
            tokio::task::yield_now().await;
            7
        };
        assert_eq!(with_request_id(inner).await, (7, Some("08F1X:y".to_owned())));
        assert_eq!(with_request_id(async {}).await.1, None);
        let long = with_request_id(async { note_request_id(&"x".repeat(1000)) }).await.1;
        assert_eq!(long.map(|id| id.len()), Some(LONGEST));
    }
}

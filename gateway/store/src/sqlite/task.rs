//! A request on its way through the writer: run inside a transaction, answered after its commit.

use std::panic::{AssertUnwindSafe, catch_unwind};

use dukou_engine::ports::StoreError;
use tokio::sync::oneshot;

use super::error::Result;
use super::writing::Writing;
use crate::panic_text;

/// Why a transaction did not reach the disk.
#[derive(Debug, Clone)]
pub(super) enum NotCommitted {
    /// Nothing of it was written.
    Undone(String),
    /// It cannot be said whether it was written.
    Unknown(String),
}

impl NotCommitted {
    fn as_error(&self) -> StoreError {
        match self {
            NotCommitted::Undone(why) => StoreError::Unavailable(why.clone()),
            NotCommitted::Unknown(why) => StoreError::Unknown(why.clone()),
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ran {
    Well,
    /// It failed by itself: a conflict, a panic.
    Refused,
    /// The database could not do it.
    Broken,
}

pub(super) trait Task: Send {
    /// Runs once, or again when the transaction has to be repeated; only the last run counts.
    /// Never panics.
    fn run(&mut self, w: &mut Writing<'_>) -> Ran;

    /// Tells the caller, after the commit or with the reason why there was none.
    fn reply(self: Box<Self>, not_committed: Option<&NotCommitted>);
}

struct Work<T, F> {
    run: F,
    result: Option<Result<T>>,
    reply: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnMut(&mut Writing<'_>) -> Result<T> + Send> Task for Work<T, F> {
    fn run(&mut self, w: &mut Writing<'_>) -> Ran {
        let run = &mut self.run;
        let (ran, result) = match catch_unwind(AssertUnwindSafe(|| run(w))) {
            Ok(Ok(value)) => (Ran::Well, Ok(value)),
            Ok(Err(StoreError::Unavailable(why))) => (Ran::Broken, Err(StoreError::Unavailable(why))),
            Ok(Err(error)) => (Ran::Refused, Err(error)),
            Err(panic) => {
                let why = panic_text(&*panic);
                tracing::error!(panic = why, "a change panicked in the store's writer");
                (Ran::Refused, Err(StoreError::Unavailable(format!("the change panicked: {why}"))))
            }
        };
        self.result = Some(result);
        ran
    }

    fn reply(self: Box<Self>, not_committed: Option<&NotCommitted>) {
        let result = match (self.result, not_committed) {
            // What failed by itself says so, whatever became of its neighbours.
            (Some(Err(error)), _) => Err(error),
            (_, Some(why)) => Err(why.as_error()),
            (Some(Ok(value)), None) => Ok(value),
            (None, None) => Err(StoreError::Unavailable("the request was not run".into())),
        };
        // A caller that has gone does not need the answer.
        let _ = self.reply.send(result);
    }
}

/// A task, and where its answer arrives.
pub(super) fn task<T, F>(run: F) -> (Box<dyn Task>, oneshot::Receiver<Result<T>>)
where
    T: Send + 'static,
    F: FnMut(&mut Writing<'_>) -> Result<T> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Work { run, result: None, reply }), answer)
}

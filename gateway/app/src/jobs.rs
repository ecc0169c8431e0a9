//! Work that nobody asks for: questions to the platforms, and forgetting old idempotency keys.

use std::sync::Arc;
use std::time::Duration;

use dukou_engine::Engine;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How often the store is asked what is due.
const QUESTION_PERIOD: Duration = Duration::from_secs(1);
/// As many questions as a full round of the engine asks: more may be due at once.
const FULL_ROUND: usize = 100;
const RETENTION_PERIOD: Duration = Duration::from_secs(60 * 60);
/// How long an idempotency key is kept; the promise is 24 hours.
const CALLS_KEPT: Duration = Duration::from_secs(48 * 60 * 60);
/// Keys forgotten in one transaction, so that no payment waits long behind it.
const CALLS_AT_ONCE: u32 = 1_000;

/// The jobs of this process.
pub struct Jobs {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Jobs {
    pub fn start(engine: &Arc<Engine>) -> Self {
        let (stop, stopping) = watch::channel(false);
        let tasks = vec![
            tokio::spawn(ask(Arc::clone(engine), stopping.clone())),
            tokio::spawn(forget(Arc::clone(engine), stopping)),
        ];
        Jobs { stop, tasks }
    }

    /// Runs something more beside them; it is given the word that ends it.
    pub fn add<F: Future<Output = ()> + Send + 'static>(&mut self, job: impl FnOnce(watch::Receiver<bool>) -> F) {
        self.tasks.push(tokio::spawn(job(self.stop.subscribe())));
    }

    /// Lets what runs finish; to be called with a deadline around it.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a job ended by a panic");
            }
        }
    }
}

/// Asks about what is due, round after round.
async fn ask(engine: Arc<Engine>, mut stopping: watch::Receiver<bool>) {
    while !*stopping.borrow() {
        let round = Arc::clone(&engine);
        // On a task of its own, so that a panic costs one round and not all that would follow.
        let asked = match tokio::spawn(async move { round.run_due().await }).await {
            Ok(asked) => asked,
            // The runtime is going away.
            Err(error) if error.is_cancelled() => return,
            Err(error) => {
                tracing::error!(%error, "a round of questions panicked");
                0
            }
        };
        if asked < FULL_ROUND {
            pause(QUESTION_PERIOD, &mut stopping).await;
        }
    }
}

/// Forgets idempotency keys that are past their time.
async fn forget(engine: Arc<Engine>, mut stopping: watch::Receiver<bool>) {
    while !*stopping.borrow() {
        let now = engine.clock().now();
        let kept = i64::try_from(CALLS_KEPT.as_millis()).unwrap_or(i64::MAX);
        let before = dukou_domain::Timestamp::from_millis(now.as_millis().saturating_sub(kept));
        match engine.store().forget_calls(before, CALLS_AT_ONCE).await {
            Ok(count) if count >= u64::from(CALLS_AT_ONCE) => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "cannot forget old idempotency keys"),
        }
        pause(RETENTION_PERIOD, &mut stopping).await;
    }
}

async fn pause(period: Duration, stopping: &mut watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a stop as well.
    let _ = tokio::time::timeout(period, stopping.wait_for(|stop| *stop)).await;
}

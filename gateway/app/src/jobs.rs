//! Work that nobody asks for: questions to the platforms, and deleting what is old.

use std::sync::Arc;
use std::time::Duration;

use dukou_engine::Engine;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use crate::retention::Retention;
use crate::shutdown::pause;

/// How often the store is asked what is due.
const QUESTION_PERIOD: Duration = Duration::from_secs(1);
/// As many questions as a full round of the engine asks: more may be due at once.
const FULL_ROUND: usize = 100;
/// The jobs of this process.
pub struct Jobs {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Jobs {
    pub fn start(engine: &Arc<Engine>, retention: Retention) -> Self {
        let (stop, stopping) = watch::channel(false);
        let tasks = vec![
            tokio::spawn(ask(Arc::clone(engine), stopping.clone())),
            tokio::spawn(retention.run(Arc::clone(engine), stopping)),
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
        // What is logged of it can be found together, as what is logged of a request.
        let span = tracing::info_span!("job", request_id = %uuid::Uuid::now_v7());
        let asked = match tokio::spawn(async move { round.run_due().await }.instrument(span)).await {
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

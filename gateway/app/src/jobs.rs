//! Work that nobody asks for: questions to the platforms, and deleting what is old.

use std::sync::Arc;

use dukou_engine::Engine;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::retention::Retention;

/// The jobs of this process.
pub struct Jobs {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Jobs {
    pub fn start(engine: &Arc<Engine>, retention: Retention) -> Self {
        let (stop, stopping) = watch::channel(false);
        let tasks = vec![
            tokio::spawn(Arc::clone(engine).keep_asking(stopping.clone())),
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

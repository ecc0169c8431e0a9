//! Threads apart from those that take payments.

use std::sync::{Mutex, PoisonError};

use tokio::runtime::{Builder, Handle, Runtime};

/// A runtime for work that may keep its threads busy for long: it delays nothing else. Dropping it ends it, as
/// [`OwnThreads::stop`] does.
pub struct OwnThreads {
    handle: Handle,
    runtime: Mutex<Option<Runtime>>,
}

impl OwnThreads {
    /// Starts `count` threads of this name.
    ///
    /// # Errors
    /// When the system refuses them.
    pub fn start(name: &str, count: usize) -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(count).thread_name(name).enable_all().build()?;
        Ok(OwnThreads { handle: runtime.handle().clone(), runtime: Mutex::new(Some(runtime)) })
    }

    /// Where to run something on them. What is given to them after they ended is dropped.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Ends them, whatever they do, and waits for none: it may be called where nothing may wait.
    pub fn stop(&self) {
        if let Some(runtime) = self.runtime.lock().unwrap_or_else(PoisonError::into_inner).take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for OwnThreads {
    fn drop(&mut self) {
        self.stop();
    }
}

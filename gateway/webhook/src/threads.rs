//! The threads that messages are sent on.

use tokio::runtime::{Builder, Handle, Runtime};

use crate::load::UNPROVEN;

/// More than the deliveries that an endpoint has at the same time which took nothing yet: one that keeps its threads
/// busy leaves others to the rest.
const THREADS: usize = UNPROVEN as usize + 2;

/// A runtime of the deliveries' own. What an endpoint answers is read here: one that sends interim answers without
/// end has the HTTP library read them within one turn, and would hold up whatever else is on the same thread.
pub(crate) struct Threads(Option<Runtime>);

impl Threads {
    /// # Errors
    /// When the system refuses them.
    pub fn start() -> std::io::Result<(Self, Handle)> {
        let runtime =
            Builder::new_multi_thread().worker_threads(THREADS).thread_name("webhooks").enable_all().build()?;
        let handle = runtime.handle().clone();
        Ok((Threads(Some(runtime)), handle))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Waits for none of them: this is called where nothing may wait.
            runtime.shutdown_background();
        }
    }
}

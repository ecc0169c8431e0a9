//! A change of a payment on its way through the writer.

use dukou_domain::TenantId;
use dukou_engine::ports::{Decide, PaymentKey, Target};
use tokio::sync::oneshot;

use super::error::Result;

/// Which payment a change is about.
pub(super) type Key = (TenantId, PaymentKey);

/// A change, and who waits for it.
pub(super) struct Request {
    pub target: Target,
    pub decide: Decide,
    answer: oneshot::Sender<Result<()>>,
}

impl Request {
    /// The change, and where its answer arrives.
    pub fn new(target: Target, decide: Decide) -> (Request, oneshot::Receiver<Result<()>>) {
        let (answer, answered) = oneshot::channel();
        (Request { target, decide, answer }, answered)
    }

    pub fn key(&self) -> Key {
        (self.target.tenant.clone(), self.target.payment.clone())
    }

    pub fn reply(self, answer: Result<()>) {
        // A caller that has gone does not need the answer.
        let _ = self.answer.send(answer);
    }
}

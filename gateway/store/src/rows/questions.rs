//! Questions that are due.

use dukou_engine::question::{Due, Queue};

use super::ReadColumns;
use crate::error::Result;

/// A queue and its first question: tenant, provider, state and moment.
pub(crate) fn head<'r>(c: &mut impl ReadColumns<'r>) -> Result<Due> {
    let queue = Queue { tenant: c.string()?, provider: c.string()?, state: c.string()? };
    Ok(Due { queue, since: c.time()? })
}

//! Questions that are due.

use dukou_domain::TenantId;
use dukou_engine::open::{OldestOpen, OpenKind};
use dukou_engine::question::{Due, Queue};

use super::ReadColumns;
use crate::error::Result;

/// A queue and its first question: tenant, provider, state and moment.
pub(crate) fn head<'r>(c: &mut impl ReadColumns<'r>) -> Result<Due> {
    let queue = Queue { tenant: c.string()?, provider: c.string()?, state: c.string()? };
    Ok(Due { queue, since: c.time()? })
}

/// Since when the first question of each queue has waited. A tenant that no program could have is told of in the log alone.
pub(crate) fn open_questions(heads: Vec<Due>) -> impl Iterator<Item = OldestOpen> {
    heads.into_iter().filter_map(|Due { queue, since }| {
        let tenant = TenantId::new(&queue.tenant).ok()?;
        Some(OldestOpen { tenant, kind: OpenKind::QuestionDue, since })
    })
}

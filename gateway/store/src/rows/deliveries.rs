//! Deliveries to merchants' webhooks.

use std::sync::atomic::{AtomicI64, Ordering};

use dukou_domain::{DeliveryId, DeliveryState, EventId, TenantId};
use dukou_engine::delivery::{Backlog, Delivery, EventHead};
use dukou_engine::records::EventKind;

use super::ReadColumns;
use crate::codec;
use crate::error::Result;

pub(crate) fn delivery<'r>(c: &mut impl ReadColumns<'r>) -> Result<Delivery> {
    Ok(Delivery {
        id: DeliveryId::from_uuid(c.uuid()?),
        tenant: c.id(TenantId::new)?,
        event: EventId::from_uuid(c.uuid()?),
        kind: c.word(EventKind::parse)?,
        position: c.integer()?,
        state: c.word(DeliveryState::parse)?,
        made: c.small()?,
        failed: c.small()?,
        next_at: c.optional_time()?,
        created_at: c.time()?,
        delivered_at: c.optional_time()?,
        tries: codec::tries::read(c.text()?)?,
    })
}

/// Entries of the event log without what they tell, as pages of rows are read: `position, id, tenant, kind`, in the
/// order of positions. One that cannot be read, of a kind that only a newer program knows for example, must not hold up
/// those after it: it is passed over.
pub(crate) struct Heads {
    pub heads: Vec<EventHead>,
    /// The last position that was looked at.
    pub position: i64,
    limit: u32,
    /// Rows of this page.
    rows: u32,
    asked: u32,
}

impl Heads {
    pub fn after(position: i64, limit: u32) -> Self {
        Heads { heads: Vec::new(), position, limit, rows: 0, asked: 0 }
    }

    /// How many rows the next page is to have; `None` when there is no next page.
    pub fn next_page(&mut self) -> Option<u32> {
        let left = self.limit.saturating_sub(u32::try_from(self.heads.len()).unwrap_or(u32::MAX));
        if left == 0 || self.rows < self.asked {
            return None;
        }
        (self.rows, self.asked) = (0, left);
        Some(left)
    }

    pub fn read<'r>(&mut self, c: &mut impl ReadColumns<'r>) -> Result<()> {
        /// The last one that the log of the program told of: those at the end of the event log are looked at again and again.
        static TOLD: AtomicI64 = AtomicI64::new(0);
        self.rows += 1;
        self.position = c.integer()?;
        match head(self.position, c) {
            Ok(head) => self.heads.push(head),
            Err(error) => {
                if TOLD.fetch_max(self.position, Ordering::Relaxed) < self.position {
                    tracing::error!(position = self.position, %error, "an event cannot be read and is passed over");
                }
            }
        }
        Ok(())
    }
}

fn head<'r>(position: i64, c: &mut impl ReadColumns<'r>) -> Result<EventHead> {
    let id = EventId::from_uuid(c.uuid()?);
    Ok(EventHead { position, id, tenant: c.id(TenantId::new)?, kind: c.word(EventKind::parse)? })
}

pub(crate) fn backlog<'r>(c: &mut impl ReadColumns<'r>) -> Result<Backlog> {
    Ok(Backlog {
        tenant: c.id(TenantId::new)?,
        pending: u64::try_from(c.integer()?).unwrap_or(0),
        oldest: c.time()?,
        disabled: c.flag()?,
    })
}

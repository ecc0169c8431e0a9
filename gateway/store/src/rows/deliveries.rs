//! Deliveries to merchants' webhooks.

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

/// An entry of the event log without what it tells.
pub(crate) fn head<'r>(c: &mut impl ReadColumns<'r>) -> Result<EventHead> {
    Ok(EventHead {
        position: c.integer()?,
        id: EventId::from_uuid(c.uuid()?),
        tenant: c.id(TenantId::new)?,
        kind: c.word(EventKind::parse)?,
    })
}

pub(crate) fn backlog<'r>(c: &mut impl ReadColumns<'r>) -> Result<Backlog> {
    Ok(Backlog {
        tenant: c.id(TenantId::new)?,
        pending: u64::try_from(c.integer()?).unwrap_or(0),
        oldest: c.time()?,
        disabled: c.flag()?,
    })
}

//! A delivery as it is read from its row.

use dukou_domain::{DeliveryId, DeliveryState, EventId, TenantId};
use dukou_engine::delivery::Delivery;
use dukou_engine::records::EventKind;

use super::columns::Columns;
use super::error::Result;
use crate::codec;

macro_rules! columns {
    () => {
        "v.id, v.tenant, v.event, v.kind, v.position, v.state, v.made, v.failed, coalesce(v.leased_from, v.next_at), \
         v.created_at, v.delivered_at, v.tries"
    };
}
pub(super) use columns;

/// A delivery from [`columns`].
pub(super) fn read(c: &mut Columns<'_>) -> Result<Delivery> {
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

//! What happened: the event log, messages that were kept, calls that were made or answered.

use bytes::Bytes;
use dukou_domain::{EventId, OutRefundNo, PaymentId, ProviderName, TenantId, TradeNo};
use dukou_engine::records::{
    CallOutcome, Event, EventKind, MessageKind, NewEvent, Notification, NotificationKey, PlatformCall, Recorded,
    StoredAnswer,
};

use super::ReadColumns;
use crate::codec;
use crate::error::Result;

/// An event from `position, id, kind, at, subject` and what `tenant` reads after them.
pub(crate) fn event<'r, C: ReadColumns<'r>>(
    c: &mut C,
    tenant: impl FnOnce(&mut C) -> Result<TenantId>,
) -> Result<Event> {
    let position = c.integer()?;
    let id = EventId::from_uuid(c.uuid()?);
    let (kind, at) = (c.word(EventKind::parse)?, c.time()?);
    let subject = codec::read_subject(c.text()?)?;
    Ok(Event { position, event: NewEvent { id, tenant: tenant(c)?, kind, at, subject } })
}

/// A message of a tenant.
pub(crate) fn message<'r>(c: &mut impl ReadColumns<'r>, tenant: &TenantId) -> Result<Notification> {
    let digest = c.string()?;
    let (provider, kind) = (c.id(ProviderName::new)?, c.word(MessageKind::parse)?);
    Ok(Notification {
        key: NotificationKey { tenant: tenant.clone(), provider, kind, digest },
        outcome: c.word(Recorded::parse)?,
        payment: c.optional_uuid()?.map(PaymentId::from_uuid),
        trade_no: c.id(TradeNo::new)?,
        received_at: c.time()?,
        body: Bytes::copy_from_slice(c.blob()?),
    })
}

/// A call to a platform about a tenant's payment.
pub(crate) fn call<'r>(c: &mut impl ReadColumns<'r>, tenant: &TenantId, payment: PaymentId) -> Result<PlatformCall> {
    Ok(PlatformCall {
        tenant: tenant.clone(),
        payment,
        refund: c.optional_id(OutRefundNo::new)?,
        provider: c.id(ProviderName::new)?,
        operation: c.string()?,
        at: c.time()?,
        millis: c.small()?,
        outcome: c.word(CallOutcome::parse)?,
        code: c.optional_string()?,
        message: c.optional_string()?,
        request_id: c.optional_string()?,
    })
}

/// Three columns: what a call was answered under its idempotency key, once it was.
pub(crate) fn answer<'r>(c: &mut impl ReadColumns<'r>) -> Result<Option<StoredAnswer>> {
    let Some(status) = c.optional_integer()? else { return Ok(None) };
    let status = u16::try_from(status).map_err(|_| c.wrong("an HTTP status"))?;
    Ok(Some(StoredAnswer { status, content_type: c.string()?, body: Bytes::copy_from_slice(c.blob()?) }))
}

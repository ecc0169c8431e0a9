//! Refunds, and buyers' wishes for them.

use dukou_domain::{
    Currency, OutRefundNo, OutTradeNo, PaymentId, ProviderName, ProviderRefundId, RefundId, RefundRequestId,
    RefundRequestState, RefundState, TenantId, TradeNo,
};
use dukou_engine::open::{OldestOpen, OpenKind};
use dukou_engine::records::{Refund, RefundRequest};

use super::ReadColumns;
use super::payments::{check, failure};
use crate::error::Result;

pub(crate) fn refund<'r>(c: &mut impl ReadColumns<'r>) -> Result<Refund> {
    let id = RefundId::from_uuid(c.uuid()?);
    let tenant = c.id(TenantId::new)?;
    let payment = PaymentId::from_uuid(c.uuid()?);
    let out_trade_no = c.id(OutTradeNo::new)?;
    let out_refund_no = c.id(OutRefundNo::new)?;
    let provider = c.id(ProviderName::new)?;
    let trade_no = c.id(TradeNo::new)?;
    let currency = c.word(Currency::parse)?;
    Ok(Refund {
        id,
        tenant,
        payment,
        out_trade_no,
        out_refund_no,
        provider,
        trade_no,
        amount: c.money(currency)?,
        reason: c.optional_string()?,
        notify_url: c.string()?,
        state: c.word(RefundState::parse)?,
        provider_refund_id: c.optional_id(ProviderRefundId::new)?,
        failure: failure(c)?,
        platform_word: c.optional_string()?,
        created_at: c.time()?,
        updated_at: c.time()?,
        succeeded_at: c.optional_time()?,
        check: check(c)?,
        of_duplicate: c.flag()?,
        version: c.integer()?,
    })
}

pub(crate) fn request<'r>(c: &mut impl ReadColumns<'r>) -> Result<RefundRequest> {
    let id = RefundRequestId::from_uuid(c.uuid()?);
    let tenant = c.id(TenantId::new)?;
    let payment = PaymentId::from_uuid(c.uuid()?);
    let out_trade_no = c.id(OutTradeNo::new)?;
    let openid = c.string()?;
    let currency = c.word(Currency::parse)?;
    Ok(RefundRequest {
        id,
        tenant,
        payment,
        out_trade_no,
        openid,
        amount: c.money(currency)?,
        reason: c.optional_string()?,
        state: c.word(RefundRequestState::parse)?,
        out_refund_no: c.optional_id(OutRefundNo::new)?,
        requested_at: c.time()?,
        decided_at: c.optional_time()?,
        decided_by: c.optional_string()?,
    })
}

/// What a tenant's refunds in one state have waited for, and since when; nothing for a state that waits for nobody.
pub(crate) fn open_refund<'r>(c: &mut impl ReadColumns<'r>) -> Result<Option<OldestOpen>> {
    let (tenant, state, since) = (c.id(TenantId::new)?, c.word(RefundState::parse)?, c.time()?);
    let kind = match state {
        RefundState::Unknown => OpenKind::RefundUnknown,
        RefundState::Created => OpenKind::RefundUnsent,
        RefundState::Processing => OpenKind::RefundProcessing,
        RefundState::Succeeded | RefundState::Failed => return Ok(None),
    };
    Ok(Some(OldestOpen { tenant, kind, since }))
}

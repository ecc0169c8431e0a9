//! Payments and their attempts.

use dukou_domain::{
    AttemptId, AttemptState, Currency, Method, OutTradeNo, PaymentId, PaymentState, ProviderName, TenantId, TradeNo,
    TransactionId,
};
use dukou_engine::records::{Attempt, Check, Failure, Payment};
use dukou_spi::Prepay;

use super::ReadColumns;
use crate::codec;
use crate::error::Result;

/// The payment, and how many attempts it has; all but the current one are still to be read.
pub(crate) fn payment<'r>(c: &mut impl ReadColumns<'r>) -> Result<(Payment, i64)> {
    let attempts = c.integer()?;
    let id = PaymentId::from_uuid(c.uuid()?);
    let tenant = c.id(TenantId::new)?;
    let out_trade_no = c.id(OutTradeNo::new)?;
    let currency = c.word(Currency::parse)?;
    let payment = Payment {
        id,
        tenant,
        out_trade_no,
        amount: c.money(currency)?,
        description: c.string()?,
        attach: c.optional_string()?,
        metadata: codec::read_metadata(c.text()?)?,
        client_ip: c.word(|text| text.parse().ok())?,
        state: c.word(PaymentState::parse)?,
        late: c.flag()?,
        refunded: c.money(currency)?,
        refunding: c.money(currency)?,
        created_at: c.time()?,
        updated_at: c.time()?,
        expires_at: c.time()?,
        paid_at: c.optional_time()?,
        transaction_id: c.optional_id(TransactionId::new)?,
        failure: failure(c)?,
        check: check(c)?,
        version: c.integer()?,
        attempt: attempt(c)?,
        others: Vec::new(),
    };
    Ok((payment, attempts))
}

pub(crate) fn attempt<'r>(c: &mut impl ReadColumns<'r>) -> Result<Attempt> {
    Ok(Attempt {
        id: AttemptId::from_uuid(c.uuid()?),
        number: c.small()?,
        provider: c.id(ProviderName::new)?,
        method: c.word(Method::parse)?,
        trade_no: c.id(TradeNo::new)?,
        app_id: c.string()?,
        merchant_id: c.string()?,
        openid: c.optional_string()?,
        notify_url: c.string()?,
        prepay: match (c.optional_string()?, c.optional_time()?) {
            (Some(token), Some(valid_until)) => Some(Prepay { token, valid_until }),
            _ => None,
        },
        state: c.word(AttemptState::parse)?,
        transaction_id: c.optional_id(TransactionId::new)?,
        kind: c.string()?,
    })
}

/// Two columns: the code and the message.
pub(super) fn failure<'r>(c: &mut impl ReadColumns<'r>) -> Result<Option<Failure>> {
    let code = c.optional_string()?;
    Ok(c.optional_string()?.map(|message| Failure { code, message }))
}

/// Two columns: when, and how often it was asked.
pub(super) fn check<'r>(c: &mut impl ReadColumns<'r>) -> Result<Option<Check>> {
    let at = c.optional_time()?;
    let asked = c.optional_integer()?;
    Ok(at.map(|at| Check { at, asked: asked.and_then(|asked| u32::try_from(asked).ok()).unwrap_or(0) }))
}

//! Orders and refunds as WeChat describes them, in answers and in messages.

use dukou_domain::{Currency, Money, OutRefundNo, ProviderRefundId, TradeNo, TransactionId};
use dukou_spi::{PaidFacts, RefundNotice, RefundStatus};
use serde::Deserialize;

use super::map;
use super::wire::Caller;
use crate::beijing;

/// An order. Before it is paid only its number and state are sure to be there.
#[derive(Debug, Deserialize)]
pub struct Transaction {
    pub out_trade_no: String,
    pub trade_state: String,
    #[serde(flatten)]
    pub who: Who,
    #[serde(default)]
    pub transaction_id: Option<String>,
    #[serde(default)]
    pub success_time: Option<String>,
    #[serde(default)]
    pub payer: Option<Payer>,
    #[serde(default)]
    pub amount: Option<Amount>,
}

/// Whose it is: a merchant's own, or in partner mode the partner's (sp) and the merchant's (sub).
#[derive(Debug, Default, Deserialize)]
pub struct Who {
    #[serde(default)]
    pub appid: Option<String>,
    #[serde(default)]
    pub mchid: Option<String>,
    #[serde(default)]
    pub sp_appid: Option<String>,
    #[serde(default)]
    pub sp_mchid: Option<String>,
    #[serde(default)]
    pub sub_appid: Option<String>,
    #[serde(default)]
    pub sub_mchid: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct Payer {
    #[serde(default)]
    pub openid: Option<String>,
    #[serde(default)]
    pub sp_openid: Option<String>,
    #[serde(default)]
    pub sub_openid: Option<String>,
}

/// Of an order its total, of a refund what goes back too.
#[derive(Debug, Deserialize)]
pub struct Amount {
    #[serde(default)]
    pub total: Option<i64>,
    #[serde(default)]
    pub refund: Option<i64>,
    #[serde(default)]
    pub currency: Option<String>,
}

/// A refund. Its state has another name in messages than in answers.
#[derive(Debug, Deserialize)]
pub struct Refund {
    pub out_refund_no: String,
    pub out_trade_no: String,
    #[serde(default)]
    pub status: Option<String>,
    #[serde(default)]
    pub refund_status: Option<String>,
    #[serde(flatten)]
    pub who: Who,
    #[serde(default)]
    pub transaction_id: Option<String>,
    #[serde(default)]
    pub refund_id: Option<String>,
    #[serde(default)]
    pub success_time: Option<String>,
    #[serde(default)]
    pub amount: Option<Amount>,
}

/// The two ids of partner mode as one, the caller's first.
pub fn joined(caller: &str, sub: Option<&str>) -> String {
    match sub {
        Some(sub) => format!("{caller}/{sub}"),
        None => caller.to_owned(),
    }
}

/// What stands behind a description, beside its signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It answers a question that named the order and its merchants.
    Answer,
    /// It came by itself, encrypted under the key of the merchant who calls.
    Message,
}

fn named(id: &Option<String>) -> Option<&str> {
    id.as_deref().filter(|id| !id.is_empty())
}

impl Who {
    /// The app, in the form that orders are recorded with. One that is named is reported as it stands; where
    /// none is, it is ours, since a number stands for one order of the merchant's, whatever its app.
    ///
    /// A merchant's own app is WeChat's to name or not, and today's need not be the one that the order was made with.
    pub fn app_id(&self, caller: Caller<'_>) -> String {
        let app = named(&self.sp_appid).or(named(&self.appid)).unwrap_or(&caller.account.app_id);
        joined(app, named(&self.sub_appid))
    }

    /// The merchant, likewise. Where none is named, it is who asked, or whose key a message is encrypted under;
    /// that key says nothing of whom a partner acts for.
    ///
    /// # Errors
    /// What is missing.
    pub fn merchant_id(&self, caller: Caller<'_>, source: Source) -> Result<String, String> {
        let merchant = named(&self.sp_mchid).or(named(&self.mchid)).unwrap_or(&caller.account.mch_id);
        let sub = match (named(&self.sub_mchid), caller.partner, source) {
            (None, Some(partner), Source::Answer) => Some(partner.sub_mch_id.as_str()),
            (None, Some(_), Source::Message) => return Err("the message has no sub_mchid".to_owned()),
            (sub, _, _) => sub,
        };
        Ok(joined(merchant, sub))
    }
}

fn require<T>(value: Option<T>, name: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("the message has no {name}"))
}

fn valid<T, E>(value: Result<T, E>, name: &str) -> Result<T, String> {
    value.map_err(|_| format!("the message's {name} is not valid"))
}

impl Amount {
    /// CNY where the message does not say.
    fn money(&self, minor: Option<i64>, name: &str) -> Result<Money, String> {
        let currency = self.currency.as_deref().map_or(Currency::Cny, Currency::named);
        valid(Money::new(require(minor, name)?, currency), name)
    }
}

impl Transaction {
    /// The facts of a paid order. App and merchant are those that are named: comparing them is the
    /// engine's. What is compared is the order's total, never the payer's part.
    ///
    /// # Errors
    /// Which needed member is missing or not what it should be.
    pub fn paid_facts(&self, caller: Caller<'_>, source: Source) -> Result<PaidFacts, String> {
        let amount = require(self.amount.as_ref(), "amount")?;
        let payer = self.payer.as_ref();
        let openid = payer.and_then(|payer| {
            payer.openid.clone().or_else(|| payer.sub_openid.clone()).or_else(|| payer.sp_openid.clone())
        });
        Ok(PaidFacts {
            trade_no: self.trade_no()?,
            transaction_id: valid(
                TransactionId::new(require(self.transaction_id.as_deref(), "transaction_id")?),
                "transaction_id",
            )?,
            amount: amount.money(amount.total, "amount.total")?,
            app_id: self.who.app_id(caller),
            merchant_id: self.who.merchant_id(caller, source)?,
            openid: openid.filter(|openid| !openid.is_empty()),
            paid_at: self.success_time.as_deref().and_then(beijing::parse_rfc3339),
        })
    }

    pub fn trade_no(&self) -> Result<TradeNo, String> {
        valid(TradeNo::new(&self.out_trade_no), "out_trade_no")
    }
}

impl Refund {
    /// # Errors
    /// Which member is missing or not what it should be.
    pub fn status(&self) -> Result<RefundStatus, String> {
        let amount = match &self.amount {
            Some(amount) if amount.refund.is_some() => Some(amount.money(amount.refund, "amount.refund")?),
            _ => None,
        };
        let word = require(self.status.as_deref().or(self.refund_status.as_deref()), "status")?;
        Ok(RefundStatus {
            out_refund_no: valid(OutRefundNo::new(&self.out_refund_no), "out_refund_no")?,
            trade_no: Some(valid(TradeNo::new(&self.out_trade_no), "out_trade_no")?),
            word: map::refund_state(word),
            provider_refund_id: self.refund_id.as_deref().and_then(|id| ProviderRefundId::new(id).ok()),
            amount,
            succeeded_at: self.success_time.as_deref().and_then(beijing::parse_rfc3339),
            platform_word: word.to_owned(),
        })
    }

    /// # Errors
    /// Which needed member is missing or not what it should be.
    pub fn notice(&self, caller: Caller<'_>) -> Result<RefundNotice, String> {
        let amount = require(self.amount.as_ref(), "amount")?;
        require(amount.refund, "amount.refund")?;
        let transaction_id = self.transaction_id.as_deref().map(TransactionId::new).transpose();
        Ok(RefundNotice {
            trade_no: valid(TradeNo::new(&self.out_trade_no), "out_trade_no")?,
            merchant_id: self.who.merchant_id(caller, Source::Message)?,
            total: amount.total.map(|_| amount.money(amount.total, "amount.total")).transpose()?,
            transaction_id: valid(transaction_id, "transaction_id")?,
            status: self.status()?,
        })
    }
}

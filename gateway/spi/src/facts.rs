//! What a platform can tell about an order or a refund, in the gateway's words.

use dukou_domain::{Money, OutRefundNo, ProviderRefundId, Timestamp, TradeNo, TransactionId};

/// A paid order, with all that the engine compares against its own record. A provider cannot
/// say "paid" without every one of these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaidFacts {
    /// The order's number as the platform named it; the engine finds the attempt by it.
    pub trade_no: TradeNo,
    /// The platform's number of the payment. Entered in one payment only.
    pub transaction_id: TransactionId,
    /// The order's total, never the payer's part of it after coupons.
    pub amount: Money,
    /// In the form of [`crate::ProviderInfo::app_id`], as the platform names it: a partner's alone where it leaves out the
    /// merchant's, the provider's own where it names none.
    pub app_id: String,
    /// In the form of [`crate::ProviderInfo::merchant_id`]. Both are compared with what the attempt was made with.
    pub merchant_id: String,
    /// The payer, where the platform names one.
    pub openid: Option<String>,
    /// When the payer paid, by the platform's clock; `None` where it does not say.
    pub paid_at: Option<Timestamp>,
}

/// The platform's answer to "what became of this order?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderStatus {
    /// The number that was asked after.
    pub trade_no: TradeNo,
    /// The platform's status, in the gateway's words.
    pub word: OrderWord,
    /// The platform's own status word, for the record.
    pub platform_word: String,
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderWord {
    /// There is an order and it can still be paid.
    Waiting,
    /// The payer paid, whatever has gone back since.
    Paid(PaidFacts),
    /// It can no longer be paid.
    Closed,
    /// The platform knows no order under this number.
    Missing,
    /// A word that is not in our table: ask again, never paid, never failed.
    Unrecognised,
}

/// The platform's answer to "what became of this refund?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundStatus {
    /// The refund's number, as it was asked after or as the message names it.
    pub out_refund_no: OutRefundNo,
    /// The order that it is of, where the platform names it: one number may stand for another's refund, which somebody
    /// else made in the merchant's account. The engine compares it.
    pub trade_no: Option<TradeNo>,
    /// The platform's status, in the gateway's words.
    pub word: RefundWord,
    /// The platform's number of the refund, where it has one.
    pub provider_refund_id: Option<ProviderRefundId>,
    /// The amount the platform refunds, where it says; the engine compares it.
    pub amount: Option<Money>,
    /// When the money arrived, where the platform says.
    pub succeeded_at: Option<Timestamp>,
    /// The platform's own status word, for the record.
    pub platform_word: String,
}

/// What became of a refund.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefundWord {
    /// The platform has it and works on it.
    Processing,
    /// The money is with the payer.
    Succeeded,
    /// The platform gave up; the money is with the merchant.
    Closed,
    /// The payer's account could not take the money: somebody has to help at the platform. It
    /// may still succeed.
    Abnormal,
    /// The platform knows no refund under this number.
    Missing,
    /// A word that is not in our table: ask again.
    Unrecognised,
}

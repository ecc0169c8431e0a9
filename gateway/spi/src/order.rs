//! What the engine asks of a provider, and what it gets besides facts.

use std::net::IpAddr;

use dukou_domain::{Method, Money, OutRefundNo, Timestamp, TradeNo, TransactionId};

/// One order to be made at the platform. Sent again with the same content it must lead to the
/// same order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayOrder {
    /// The attempt's number, the platform's `out_trade_no`. Unique in the merchant account.
    pub trade_no: TradeNo,
    /// The platform's own number of it, where that is known already. Plays no part in making it.
    pub transaction_id: Option<TransactionId>,
    /// The front end it is to be paid in; the token serves no other.
    pub method: Method,
    /// The order's total, above zero.
    pub amount: Money,
    /// What the payer is shown of it (APIv3 `description`, APIv2 `body`).
    pub description: String,
    /// The merchant's own note, which the platform gives back in queries and notifies.
    pub attach: Option<String>,
    /// The payer under the provider's app; present where the method needs one.
    pub openid: Option<String>,
    /// The payer's address as the merchant saw it.
    pub client_ip: IpAddr,
    /// When the payment was recorded, not the attempt: the same however often it is sent (APIv2 `time_start`).
    pub created_at: Timestamp,
    /// Until when it can be paid (`time_expire`).
    pub expires_at: Timestamp,
    /// Where the platform tells of the payment: absolute, no query.
    pub notify_url: String,
}

/// What the platform gave for an accepted order: enough to sign the front end's arguments again
/// and again without another call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prepay {
    /// The platform's token (`prepay_id`, a QR code's content, a page's address). Opaque to the
    /// engine, which keeps it with the attempt.
    pub token: String,
    /// Until when the token can be handed to a front end.
    pub valid_until: Timestamp,
}

/// The front end's arguments, exactly as it passes them on. All values are texts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Invoke(pub Vec<(&'static str, String)>);

/// One refund of a paid order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundOrder {
    /// The number of the attempt that was paid.
    pub trade_no: TradeNo,
    /// The platform's own number of that, where it is known.
    pub transaction_id: Option<TransactionId>,
    /// The refund's number, the merchant's or made here. Sent again under it, the money goes once.
    pub out_refund_no: OutRefundNo,
    /// The order's original total, also for a part refund.
    pub total: Money,
    /// What goes back: above zero, at most `total`.
    pub amount: Money,
    /// For the payer to read (APIv3 `reason`, APIv2 `refund_desc`); a provider may cut it.
    pub reason: Option<String>,
    /// Where the platform tells of the refund's end.
    pub notify_url: String,
}

/// Which refund is asked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundQuery {
    /// The number of the order it was made of.
    pub trade_no: TradeNo,
    /// The number it was sent under.
    pub out_refund_no: OutRefundNo,
    /// The order's total, in the currency that some platforms leave out of their answers.
    pub total: Money,
}

/// Who a login code belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user as the provider's app knows them; what [`PayOrder::openid`] takes.
    pub openid: String,
    /// The user across the apps of one owner at the platform; `None` where the platform does not tell.
    pub unionid: Option<String>,
}

/// One day's movements as the platform counted them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bill {
    /// In the bill's order; empty for a day without trade.
    pub rows: Vec<BillRow>,
}

/// One order or refund in a [`Bill`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillRow {
    /// Decides whether the refund's numbers can be there.
    pub kind: BillRowKind,
    /// When it happened, by the platform's clock (WeChat's 交易时间).
    pub at: Timestamp,
    /// The order's number as it was sent to the platform (商户订单号). It need not be one of ours.
    pub trade_no: String,
    /// The platform's number of the order (微信订单号).
    pub transaction_id: String,
    /// The order's amount, or the refund's.
    pub amount: Money,
    /// Set on rows of money that goes back.
    pub out_refund_no: Option<String>,
    /// The platform's number of the refund, on the same rows.
    pub provider_refund_id: Option<String>,
    /// The platform's word for the row's state.
    pub platform_word: String,
}

/// What a row of a bill counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BillRowKind {
    /// An order that was paid.
    Payment,
    /// Money that goes back or went back; [`BillRow::platform_word`] tells which.
    Refund,
    /// An order taken back at the till.
    Revoked,
}

/// One day's movements of the merchant's funds as the platform booked them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FundBill {
    /// In the bill's order; empty for a day without bookings.
    pub rows: Vec<FundRow>,
}

/// One booking in a [`FundBill`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FundRow {
    /// When it was booked, by the platform's clock (记账时间).
    pub at: Timestamp,
    /// The platform's number of what was booked.
    pub transaction_id: String,
    /// The number of the booking itself.
    pub flow_id: String,
    /// The platform's word for the kind of booking.
    pub kind: String,
    /// Whether the money came in or went out.
    pub income: bool,
    /// Never negative; [`FundRow::income`] says which way it went.
    pub amount: Money,
    /// What was on the account afterwards.
    pub balance: Money,
}

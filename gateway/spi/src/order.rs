//! What the engine asks of a provider, and what it gets besides facts.

use std::net::IpAddr;

use dukou_domain::{Method, Money, OutRefundNo, Timestamp, TradeNo, TransactionId};

/// One order to be made at the platform. Sent again with the same content it must lead to the
/// same order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PayOrder {
    pub trade_no: TradeNo,
    /// The platform's own number of it, where that is known already. Plays no part in making it.
    pub transaction_id: Option<TransactionId>,
    pub method: Method,
    pub amount: Money,
    pub description: String,
    pub attach: Option<String>,
    /// The payer under the provider's app; present where the method needs one.
    pub openid: Option<String>,
    /// The payer's address as the merchant saw it.
    pub client_ip: IpAddr,
    pub created_at: Timestamp,
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
    pub trade_no: TradeNo,
    pub transaction_id: Option<TransactionId>,
    pub out_refund_no: OutRefundNo,
    /// The order's original total, also for a part refund.
    pub total: Money,
    pub amount: Money,
    pub reason: Option<String>,
    /// Where the platform tells of the refund's end.
    pub notify_url: String,
}

/// Which refund is asked after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefundQuery {
    pub trade_no: TradeNo,
    pub out_refund_no: OutRefundNo,
    /// The order's currency, which some platforms leave out of their answers.
    pub total: Money,
}

/// Who a login code belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    pub openid: String,
    pub unionid: Option<String>,
}

/// One day's movements as the platform counted them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bill {
    pub rows: Vec<BillRow>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BillRow {
    pub kind: BillRowKind,
    pub at: Timestamp,
    pub trade_no: String,
    pub transaction_id: String,
    /// The order's amount, or the refund's.
    pub amount: Money,
    /// Set on refund rows.
    pub out_refund_no: Option<String>,
    pub provider_refund_id: Option<String>,
    /// The platform's word for the row's state.
    pub platform_word: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BillRowKind {
    Payment,
    Refund,
    /// An order taken back at the till.
    Revoked,
}

/// One day's movements of the merchant's funds as the platform booked them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FundBill {
    pub rows: Vec<FundRow>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FundRow {
    pub at: Timestamp,
    /// The platform's number of what was booked.
    pub transaction_id: String,
    /// The number of the booking itself.
    pub flow_id: String,
    /// The platform's word for the kind of booking.
    pub kind: String,
    /// Whether the money came in or went out.
    pub income: bool,
    pub amount: Money,
    /// What was on the account afterwards.
    pub balance: Money,
}

//! What the use cases are asked, and what they answer.

use std::collections::BTreeMap;
use std::net::IpAddr;

use dukou_domain::{Method, Money, OutRefundNo, OutTradeNo, ProviderName, Secret, Timestamp};
use dukou_spi::Invoke;

use crate::records::{Payment, Refund};

/// A merchant wants to be paid.
#[derive(Debug, Clone)]
pub struct CreatePayment {
    pub provider: ProviderName,
    pub method: Method,
    pub out_trade_no: OutTradeNo,
    pub amount: Money,
    pub description: String,
    pub attach: Option<String>,
    pub metadata: BTreeMap<String, String>,
    pub payer: Option<Payer>,
    pub client_ip: IpAddr,
    /// Left out: the configured time after now.
    pub expires_at: Option<Timestamp>,
}

/// Who pays.
#[derive(Debug, Clone)]
pub enum Payer {
    OpenId(String),
    /// A login code of the platform's front end; works once.
    Code(Secret),
}

/// A payment as an answer to a create or a read.
#[derive(Debug, Clone)]
pub struct PaymentAnswer {
    pub payment: Payment,
    /// The front end's arguments, freshly signed, where the payment can be paid with them.
    pub invoke: Option<Invoke>,
    /// This call recorded the payment; `false` where it was there before.
    pub created: bool,
}

/// An unpaid payment is to be paid this way.
#[derive(Debug, Clone)]
pub struct InvokePayment {
    pub provider: ProviderName,
    pub method: Method,
    /// Left out: the payer named last under the same provider, where the method needs one.
    pub payer: Option<Payer>,
    /// The payer's address; left out, that of the payment.
    pub client_ip: Option<IpAddr>,
    /// The buyer who asks, where it is not the merchant: only their own payments are theirs to pay.
    pub buyer: Option<String>,
}

/// A buyer asks for money back.
#[derive(Debug, Clone)]
pub struct CreateRefundRequest {
    /// The buyer; only their own payments are theirs to ask about.
    pub openid: String,
    pub amount: Money,
    pub reason: Option<String>,
}

/// What a merchant says to a refund request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Approve,
    Reject,
}

/// A merchant gives money back.
#[derive(Debug, Clone)]
pub struct CreateRefund {
    pub out_refund_no: OutRefundNo,
    pub amount: Money,
    pub reason: Option<String>,
}

/// A refund as an answer.
#[derive(Debug, Clone)]
pub struct RefundAnswer {
    pub refund: Refund,
    pub created: bool,
}

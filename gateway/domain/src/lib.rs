//! The vocabulary of payments: [`Money`], the identifiers, [`Secret`] and the two state machines.
//!
//! This crate does no IO, never reads the clock and knows no wire format. Everything here is
//! plain data and pure functions, so that the rules of money can be read, and tested, alone.

#![warn(missing_docs)]

mod attempt;
mod delivery;
mod event;
mod id;
mod method;
mod money;
pub mod payment;
pub mod refund;
mod request;
mod secret;
mod timestamp;

pub use attempt::AttemptState;
pub use delivery::DeliveryState;
pub use event::EventKind;
pub use id::{
    AttemptId, DeliveryId, EventId, InvalidId, OutRefundNo, OutTradeNo, PaymentId, PluginName, ProviderName,
    ProviderRefundId, RefundId, RefundRequestId, TenantId, TradeNo, TransactionId,
};
pub use method::Method;
pub use money::{Currency, ForeignCode, Money, MoneyError};
pub use payment::{PaymentFact, PaymentState};
pub use refund::{RefundFact, RefundState};
pub use request::RefundRequestState;
pub use secret::Secret;
pub use timestamp::Timestamp;

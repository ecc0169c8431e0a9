//! What a payment provider, and a plugin, are to the gateway.
//!
//! A provider speaks one platform's language: it builds, signs and sends, verifies and decodes,
//! and says what it learned as [`Verified`] facts. It decides nothing about a payment, keeps
//! nothing, and knows neither the HTTP interface nor the store. Of our own crates a provider
//! imports this one and `dukou-domain`, nothing else; so does a [`plugin`].

#![warn(missing_docs)]

mod access_token;
mod error;
mod facts;
mod noted;
mod notify;
mod order;
pub mod plugin;
mod provider;
pub mod public_address;
mod rsa;
pub mod settings;
mod shared;
pub mod transport;
mod upkeep;
mod verified;

pub use access_token::{AccessToken, AccessTokenError, AccessTokens, TokenFailure, TokenOutcome, TokenStatus};
pub use error::{ErrorKind, FieldProblem, ProviderError, Reason};
pub use facts::{OrderStatus, OrderWord, PaidFacts, RefundStatus, RefundWord};
pub use noted::{note_request_id, with_request_id};
pub use notify::{
    Notice, NotifyError, NotifyKind, NotifyReply, PaymentNotice, PaymentOutcome, RawNotify, RefundHint, RefundNotice,
    Verdict,
};
pub use order::{
    Bill, BillRow, BillRowKind, FundBill, FundRow, Invoke, Login, PayOrder, Prepay, RefundOrder, RefundQuery,
};
pub use provider::{Capabilities, Clock, Context, Provider, ProviderFactory, ProviderInfo, Random};
pub use rsa::RsaPublicKey;
pub use shared::{ProcessState, SharedState};
pub use upkeep::{AnyTime, Checkup, EmptyShelf, Finding, Grade, Kept, PlatformTime, Presented, TrustKey, TrustShelf};
pub use verified::{Proof, Verified};

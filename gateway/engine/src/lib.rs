//! The use cases of the gateway, the ports they need from outside, and the jobs.
//!
//! Every decision about a payment is made here or in `dukou-domain`. This crate knows no SQL, no
//! Redis, no HTTP status and no platform's field name; it sees them through [`ports`] and
//! through the provider trait of `dukou-spi`.

mod access_token;
mod account;
mod ask;
mod calls;
mod close;
mod command;
mod create;
mod deliver;
pub mod delivery;
mod endpoint;
mod engine;
mod entering;
mod error;
mod fail_points;
mod foreign_refund;
mod invoke;
mod jobs;
mod journal;
mod lasting_trouble;
mod log_limit;
mod notify;
mod notify_url;
mod number;
pub mod open;
mod own_threads;
pub mod plugin;
pub mod ports;
pub mod question;
mod read;
pub mod records;
mod refund;
mod request;
mod rules;
mod schedule;
mod session;
mod shared_state;
mod spans;
mod success;
pub mod tenant;
pub mod timeline;
mod turns;
mod unfollowed;

pub use access_token::{AppToken, LentToken, TokenHolderName};
pub use command::{
    CreatePayment, CreateRefund, CreateRefundRequest, Decision, InvokePayment, Payer, PaymentAnswer, RefundAnswer,
};
pub use create::end_problem;
pub use deliver::{Entered, Made, Place};
pub use engine::{Engine, EngineConfig, unknown_provider};
pub use error::EngineError;
pub use fail_points::FAIL_POINTS;
pub use foreign_refund::ForeignRefund;
pub use lasting_trouble::LastingTrouble;
pub use log_limit::LogLimit;
pub use notify::Notified;
pub use notify_url::notify_url;
pub use own_threads::OwnThreads;
pub use schedule::{Schedule, Steps};
pub use session::{SESSION_PREFIX, Session, SessionClaims};
pub use shared_state::StoreState;
pub use spans::TARGET as TRACE_TARGET;

//! The engine's use cases over a real store, with a platform that says what the test wants and a
//! clock that the test moves.
// The lint spares unit tests only; helpers of integration tests panic just the same.
#![allow(clippy::unwrap_used)]

mod account;
mod asking;
mod clock;
mod closing;
mod create;
mod deliver;
mod foreign_refund;
mod frozen;
mod gone;
mod invoke;
mod jobs;
mod known;
mod notify;
mod payer;
mod plugins;
mod refund;
mod refund_end;
mod refused;
mod request;
mod session;
mod shared_state;
mod support;
mod taken_refund;
mod words;

//! The engine's use cases over a real store, with a platform that says what the test wants and a
//! clock that the test moves.

mod create;
mod jobs;
mod notify;
mod refund;
mod support;

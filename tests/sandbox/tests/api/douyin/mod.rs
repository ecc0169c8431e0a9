//! Douyin's side.

mod kit;
mod share;

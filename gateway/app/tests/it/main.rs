//! The real program, started as its users start it.

mod check;
mod demo;
mod gateway;
mod serve;

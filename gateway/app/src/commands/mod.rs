//! What the program does, one command a file.

pub mod backup;
pub mod check;
#[cfg(feature = "sandbox")]
pub mod demo;
pub mod doctor;
pub mod serve;
pub mod trace;

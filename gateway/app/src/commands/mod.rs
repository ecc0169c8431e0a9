//! What the program does, one command a file.

pub mod check;
#[cfg(feature = "sandbox")]
pub mod demo;
pub mod doctor;
pub mod serve;

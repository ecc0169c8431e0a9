//! What the program does, one command a file.

pub mod check;

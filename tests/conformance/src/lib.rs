//! One suite, run over every provider against the sandbox. It is all in `tests/it`; a provider
//! joins by a line in its `main.rs`, and by saying in a [`Platform`] of its own how its platform is
//! made to pay, fail and break.
//!
//! [`Platform`]: ../tests/it/subject.rs

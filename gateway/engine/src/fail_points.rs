//! Places where a test may stop or kill the process. Compiled to nothing without the
//! `failpoints` feature.

/// Every fail point of the engine, so that a sweep over them misses none.
pub const FAIL_POINTS: &[&str] = &[
    "create.recorded",
    "create.answered",
    "create.committed",
    "close.answered",
    "refund.recorded",
    "refund.answered",
    "refund.committed",
    "notify.verified",
    "notify.claimed",
    "notify.committed",
    "notify.marked",
    "provider.call",
];

/// Stops here as the test says: `return` ends the process at once, as a power cut would.
macro_rules! fail_point {
    ($name:literal) => {
        fail::fail_point!($name, |_| std::process::abort())
    };
}
pub(crate) use fail_point;

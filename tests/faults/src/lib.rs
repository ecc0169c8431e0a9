//! Fault scenarios against the real binary; see `tests/it`.

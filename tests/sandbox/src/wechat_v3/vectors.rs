//! The project's vectors of the v3 protocol, against this crate's reading of it.

//! HTTP to the platforms.

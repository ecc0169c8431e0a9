//! The real binary, driven over HTTP against the sandbox

//! Walks through the real binary, named after what a user does.

//! The payment platforms, simulated, for tests, demos and people

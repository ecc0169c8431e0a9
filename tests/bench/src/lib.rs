//! The load generator and micro-benchmarks

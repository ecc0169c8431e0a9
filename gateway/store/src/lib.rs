//! The engine's ports over SQLite, Redis and process memory

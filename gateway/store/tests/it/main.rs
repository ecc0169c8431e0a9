//! The store and the coordinators from outside.

mod records;
mod sqlite;
mod store_behaviour;

//! The HTTP interface: routes, the JSON of requests and answers, the error table, OpenAPI, and the
//! limits of the listeners.
//!
//! A handler reads a request, calls one use case of `dukou-engine` and writes the answer; it
//! decides nothing about a payment. Begin reading at [`endpoints`], the routing table.

mod accept;
mod admin_auth;
mod answer;
mod auth;
mod body;
mod client_address;
mod connection;
#[cfg(test)]
mod contract_tests;
mod cursor;
pub mod dto;
pub mod endpoints;
pub mod errors;
mod fields;
mod framing;
mod gateway;
mod guesses;
mod head;
mod hub;
mod idempotency;
mod json;
mod limits;
mod middleware;
pub mod openapi;
mod openapi_plugins;
mod plugin_endpoints;
mod problem;
mod query;
mod routes;
mod server;
mod store_trouble;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod testing_deliveries;
#[cfg(test)]
mod testing_engine;
#[cfg(test)]
mod testing_questions;
mod unkept;
mod waiting;

pub use admin_auth::{AdminToken, Operator};
pub use client_address::TrustedProxies;
pub use gateway::{Gateway, HttpConfig, HttpTelemetry};
pub use guesses::Guesses;
pub use limits::{LimitConfig, Rate};
pub use middleware::{Edge, around};
pub use openapi::Document;
pub use problem::{FieldError, PROBLEM_JSON, Problem, ProviderWords};
pub use routes::admin::{AdminState, Readiness, ReadyCheck, ReadyStatus};
pub use server::{admin_routes, public_routes, serve_admin, serve_public};
pub use waiting::{WaitingFor, serve_admin_waiting, serve_public_waiting};

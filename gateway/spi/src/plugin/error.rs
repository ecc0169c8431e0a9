//! Why a plugin does not do what it was asked.

use crate::{FieldProblem, ProviderError};

use super::DocumentError;

/// Becomes a problem document, with the public code that belongs to it.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// Fields of the request that cannot be taken (`invalid_request`).
    #[error("invalid request: {}", .0.iter().map(|problem| problem.field).collect::<Vec<_>>().join(", "))]
    Invalid(Vec<FieldProblem>),
    /// No such thing in this tenant (`not_found`); the text says what thing.
    #[error("there is no such {0}")]
    NotFound(String),
    /// The state does not allow it (`invalid_state`).
    #[error("{0}")]
    InvalidState(String),
    /// The platform said no, could not be reached, or did not answer.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Documents(#[from] DocumentError),
    /// A broken promise of the plugin's own (`internal_error`). The text goes to the log alone.
    #[error("{0}")]
    Internal(String),
}

impl PluginError {
    /// One field that cannot be taken.
    pub fn field(field: &'static str, message: impl Into<String>) -> Self {
        PluginError::Invalid(vec![FieldProblem { field, message: message.into() }])
    }
}

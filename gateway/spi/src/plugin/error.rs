//! Why a plugin does not do what it was asked.

use std::borrow::Cow;

use crate::ProviderError;

use super::DocumentError;

/// One field of a request that a plugin cannot take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongField {
    /// Its name in the public interface, or, where the plugin knows no such field, the caller's.
    pub field: Cow<'static, str>,
    /// What is wrong and what is expected.
    pub message: String,
}

impl WrongField {
    /// `message` says what is wrong and what is expected.
    pub fn new(field: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        WrongField { field: field.into(), message: message.into() }
    }
}

/// Becomes a problem document, with the public code that belongs to it.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// Fields of the request that cannot be taken (`invalid_request`).
    #[error("invalid request: {}", .0.iter().map(|problem| &*problem.field).collect::<Vec<_>>().join(", "))]
    Invalid(Vec<WrongField>),
    /// No such thing in this tenant (`not_found`); the text says what thing.
    #[error("there is no such {0}")]
    NotFound(String),
    /// The state does not allow it (`invalid_state`).
    #[error("{0}")]
    InvalidState(String),
    /// The platform said no, could not be reached, or did not answer.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The plugin's documents: `unavailable` where somebody else was first or the store is away, else `internal_error`.
    #[error(transparent)]
    Documents(#[from] DocumentError),
    /// A broken promise of the plugin's own (`internal_error`). The text goes to the log alone.
    #[error("{0}")]
    Internal(String),
}

impl PluginError {
    /// One field that cannot be taken.
    pub fn field(field: &'static str, message: impl Into<String>) -> Self {
        PluginError::Invalid(vec![WrongField::new(field, message)])
    }
}

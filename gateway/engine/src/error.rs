//! How a use case ends without the result that was asked for.

use dukou_spi::{FieldProblem, ProviderError};

use crate::ports::StoreError;

/// Every way a use case can fail; the HTTP interface has one public code for each.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// No such thing in this tenant.
    #[error("not found")]
    NotFound,
    /// Fields that the chosen provider cannot take, or that name what is not configured.
    #[error("invalid request: {}", list(.0))]
    Invalid(Vec<FieldProblem>),
    /// The tenant's configuration does not allow it; the text says which key would.
    #[error("{0}")]
    Forbidden(String),
    /// The number is taken by a payment with other content.
    #[error("out_trade_no belongs to a payment with other content: {0}")]
    OutTradeNoConflict(String),
    /// The number is taken by a refund with other content.
    #[error("out_refund_no belongs to a refund with other content: {0}")]
    OutRefundNoConflict(String),
    /// The payment or refund is in a state that does not allow it.
    #[error("{0}")]
    InvalidState(String),
    #[error("the sum of refunds would pass what was paid: {0}")]
    RefundExceedsPayment(String),
    /// The platform said no, could not be reached, or did not answer.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The store cannot take or give records now; no platform was called on this account.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn list(problems: &[FieldProblem]) -> String {
    problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect::<Vec<_>>().join("; ")
}

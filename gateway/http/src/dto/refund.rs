use dukou_domain::RefundState;
use dukou_engine::records::Refund;
use serde::Serialize;
use utoipa::ToSchema;

use super::{FailureBody, rfc3339};

/// A refund.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Refund, example = json!({
    "id": "ref_01M8E8YT3W6Q4Z2N5K7R9B1C0D", "tenant": "bookshop", "out_refund_no": "R-1",
    "out_trade_no": "B20261123-0001", "amount": 50, "currency": "CNY", "reason": "七天无理由", "status": "processing",
    "provider_refund_id": "50000408942018111907145868882", "failure": null, "created_at": "2026-11-23T08:05:00Z",
    "succeeded_at": null,
}))]
pub struct RefundBody {
    /// The gateway's identifier, `ref_…`.
    pub id: String,
    /// Whose it is.
    pub tenant: String,
    /// The tenant's number, unique in the tenant.
    pub out_refund_no: String,
    /// The payment's number.
    pub out_trade_no: String,
    /// In minor units (fen).
    #[schema(minimum = 1)]
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// As the tenant gave it; the payer may read it.
    #[schema(required = true)]
    pub reason: Option<String>,
    /// `processing`, `succeeded`, `failed` or `unknown`.
    pub status: String,
    /// The provider's number of the refund.
    #[schema(required = true)]
    pub provider_refund_id: Option<String>,
    /// Why the provider refused, where it did; of one that is still open, what it said last.
    #[schema(required = true)]
    pub failure: Option<FailureBody>,
    /// When the gateway entered it.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When the money went back, by the provider's word where it names a time.
    #[schema(required = true, format = DateTime)]
    pub succeeded_at: Option<String>,
}

/// All refunds of a payment.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefundList {
    /// Oldest first.
    pub data: Vec<RefundBody>,
    /// Always `null`: the list is complete.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

impl From<&Refund> for RefundBody {
    fn from(refund: &Refund) -> Self {
        RefundBody {
            id: refund.id.to_string(),
            tenant: refund.tenant.to_string(),
            out_refund_no: refund.out_refund_no.to_string(),
            out_trade_no: refund.out_trade_no.to_string(),
            amount: refund.amount.minor(),
            currency: refund.amount.currency().to_string(),
            reason: refund.reason.clone(),
            status: status(refund.state).to_owned(),
            provider_refund_id: refund.provider_refund_id.as_ref().map(ToString::to_string),
            failure: refund.failure.as_ref().map(FailureBody::from),
            created_at: rfc3339(refund.created_at),
            succeeded_at: refund.succeeded_at.map(rfc3339),
        }
    }
}

/// A recorded intent is on its way, as far as a caller is concerned.
fn status(state: RefundState) -> &'static str {
    match state {
        RefundState::Created | RefundState::Processing => RefundState::Processing.as_str(),
        RefundState::Unknown | RefundState::Succeeded | RefundState::Failed => state.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::refund;

    #[test]
    fn a_refund_is_shown_as_in_the_contract() {
        insta::assert_snapshot!("refund", serde_json::to_string_pretty(&RefundBody::from(&refund())).unwrap());
    }
}

use dukou_domain::{Currency, Money};
use dukou_engine::records::RefundRequest;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::refund_request::REASON;
use super::rfc3339;
use crate::fields::{Fields, TextRule};
use crate::problem::FieldError;

/// A buyer's words, on which a merchant decides about money: they are what they look like.
const BUYERS_REASON: TextRule = TextRule { visible_only: true, ..REASON };

/// What a buyer asks for.
//
// Only documents the body; `read_refund_request` reads it, field by field.
#[derive(ToSchema)]
#[schema(as = CreateRefundRequest)]
#[allow(dead_code, reason = "a schema: nothing makes a value of it")]
pub struct CreateRefundRequestBody {
    /// In minor units (fen).
    #[schema(minimum = 1, maximum = 10_000_000_000_i64)]
    amount: i64,
    /// Becomes the refund's reason. Holds no characters that turn the direction of writing, and no other invisible ones.
    #[schema(max_length = 80)]
    reason: Option<String>,
}

/// Reads the body of a refund request: the amount and the reason.
///
/// # Errors
/// Every field that is wrong.
pub fn read_refund_request(body: Value) -> Result<(Money, Option<String>), Vec<FieldError>> {
    let mut fields = Fields::new(body).map_err(|problem| vec![problem])?;
    let amount = fields.amount("amount", Currency::Cny);
    let amount = fields.require("amount", amount);
    let reason = fields.text("reason", BUYERS_REASON);
    let problems = fields.finish();
    amount.filter(|_| problems.is_empty()).map(|amount| (amount, reason)).ok_or(problems)
}

/// A buyer's wish to get money back.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = RefundRequest)]
pub struct RefundRequestBody {
    /// `rrq_…`
    pub id: String,
    /// The payment's number.
    pub out_trade_no: String,
    /// In minor units (fen).
    #[schema(minimum = 1)]
    pub amount: i64,
    /// ISO 4217.
    pub currency: String,
    /// As the buyer gave it.
    #[schema(required = true)]
    pub reason: Option<String>,
    /// `pending`, `approved` or `rejected`.
    pub status: String,
    /// The refund that the approval made.
    #[schema(required = true)]
    pub out_refund_no: Option<String>,
    /// When the buyer asked.
    #[schema(format = DateTime)]
    pub requested_at: String,
    /// When it was approved or rejected.
    #[schema(required = true, format = DateTime)]
    pub decided_at: Option<String>,
    /// The id of the API key that decided.
    #[schema(required = true)]
    pub decided_by: Option<String>,
}

/// A page of refund requests.
#[derive(Debug, Serialize, ToSchema)]
pub struct RefundRequestList {
    /// Newest first.
    pub data: Vec<RefundRequestBody>,
    /// Give it back as `cursor` for the next page; `null` on the last.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
}

impl From<&RefundRequest> for RefundRequestBody {
    fn from(request: &RefundRequest) -> Self {
        RefundRequestBody {
            id: request.id.to_string(),
            out_trade_no: request.out_trade_no.to_string(),
            amount: request.amount.minor(),
            currency: request.amount.currency().to_string(),
            reason: request.reason.clone(),
            status: request.state.to_string(),
            out_refund_no: request.out_refund_no.as_ref().map(ToString::to_string),
            requested_at: rfc3339(request.requested_at),
            decided_at: request.decided_at.map(rfc3339),
            decided_by: request.decided_by.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_buyers_reason_is_what_it_looks_like() {
        for hidden in [
            "\u{ad}", "\u{61c}", "\u{180e}", "\u{200b}", "\u{200e}", "\u{200f}", "\u{2028}", "\u{2029}", "\u{202a}",
            "\u{202e}", "\u{2060}", "\u{2066}", "\u{2069}", "\u{206f}", "\u{feff}", "\u{fff9}", "\u{7}", "\u{85}",
        ] {
            let read = read_refund_request(json!({ "amount": 1, "reason": format!("買{hidden}001 退") }));
            let fields: Vec<String> = read.unwrap_err().into_iter().map(|problem| problem.field).collect();
            assert_eq!(fields, ["reason"], "{hidden:?}");
        }
        for shown in ["买多了 (2 本)", "می\u{200c}خواهم", "क्\u{200d}ष", "שלום abc", "☺\u{fe0f}"]
        {
            let (_, reason) = read_refund_request(json!({ "amount": 1, "reason": shown })).unwrap();
            assert_eq!(reason.as_deref(), Some(shown));
        }
    }
}

use dukou_domain::{Currency, OutRefundNo};
use dukou_engine::CreateRefund;
use serde_json::Value;
use utoipa::ToSchema;

use crate::fields::{Fields, TextRule};
use crate::problem::FieldError;

pub(super) const REASON: TextRule = TextRule { max: 80, plane_zero_only: true, visible_only: false };

/// How much is to be given back.
//
// Only documents the body; `read_refund` reads it, field by field.
#[derive(ToSchema)]
#[schema(as = CreateRefund, example = json!({ "out_refund_no": "R-1", "amount": 50, "reason": "七天无理由" }))]
#[allow(dead_code, reason = "a schema: nothing makes a value of it")]
pub struct CreateRefundBody {
    /// The tenant's number, unique in the tenant: 1 to 64 of `A-Z a-z 0-9 _ - | * @`. One number
    /// refunds once.
    #[schema(example = "R-1", max_length = 64)]
    out_refund_no: String,
    /// In minor units (fen).
    #[schema(minimum = 1, maximum = 10_000_000_000_i64)]
    amount: i64,
    /// ISO 4217; left out: `CNY`, which is also the only one so far.
    currency: Option<String>,
    /// What the payer may read.
    #[schema(max_length = 80)]
    reason: Option<String>,
}

/// Reads the body of a refund.
///
/// # Errors
/// Every field that is wrong.
pub fn read_refund(body: Value) -> Result<CreateRefund, Vec<FieldError>> {
    let mut fields = Fields::new(body).map_err(|problem| vec![problem])?;
    let out_refund_no = fields.id("out_refund_no", OutRefundNo::new);
    let out_refund_no = fields.require("out_refund_no", out_refund_no);
    let currency = fields.word("currency", "CNY", Currency::parse).unwrap_or(Currency::Cny);
    let amount = fields.amount("amount", currency);
    let amount = fields.require("amount", amount);
    let reason = fields.text("reason", REASON);
    let problems = fields.finish();
    match (out_refund_no, amount) {
        (Some(out_refund_no), Some(amount)) if problems.is_empty() => {
            Ok(CreateRefund { out_refund_no, amount, reason })
        }
        _ => Err(problems),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_a_refund_or_names_what_is_wrong() {
        let refund = read_refund(json!({ "out_refund_no": "R-1", "amount": 50, "reason": "买多了" })).unwrap();
        assert_eq!((refund.out_refund_no.as_str(), refund.amount.minor()), ("R-1", 50));
        assert!(read_refund(json!({ "out_refund_no": "R-1", "amount": 50 })).unwrap().reason.is_none());
        for (body, named) in [
            (json!({ "amount": 50 }), "out_refund_no"),
            (json!({ "out_refund_no": "R 1", "amount": 50 }), "out_refund_no"),
            (json!({ "out_refund_no": "R-1" }), "amount"),
            (json!({ "out_refund_no": "R-1", "amount": 0.5 }), "amount"),
            (json!({ "out_refund_no": "R-1", "amount": 5, "reason": "r".repeat(81) }), "reason"),
            (json!({ "out_refund_no": "R-1", "amount": 5, "reason": "\u{1f600}" }), "reason"),
            (json!({ "out_refund_no": "R-1", "amount": 5, "refund_no": "R-2" }), "refund_no"),
            (json!([]), "body"),
        ] {
            let shown = body.to_string();
            let problems = read_refund(body).unwrap_err();
            assert_eq!(problems.iter().map(|problem| problem.field.as_str()).collect::<Vec<_>>(), [named], "{shown}");
        }
    }
}

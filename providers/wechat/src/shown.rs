//! What a person may see of a message of WeChat's: by name, since what is not known may be anything.

/// Fields that say what happened, of either interface.
const OPEN: &[&str] = &[
    "return_code",
    "return_msg",
    "result_code",
    "err_code",
    "err_code_des",
    "appid",
    "mch_id",
    "sub_appid",
    "sub_mch_id",
    "sp_appid",
    "sp_mchid",
    "mchid",
    "sub_mchid",
    "out_trade_no",
    "transaction_id",
    "total_fee",
    "settlement_total_fee",
    "cash_fee",
    "coupon_fee",
    "fee_type",
    "cash_fee_type",
    "bank_type",
    "trade_type",
    "time_end",
    "is_subscribe",
    "out_refund_no",
    "refund_id",
    "refund_fee",
    "settlement_refund_fee",
    "refund_status",
    "success_time",
    "refund_account",
    "refund_request_source",
    "trade_state",
    "trade_state_desc",
    "amount.total",
    "amount.payer_total",
    "amount.currency",
    "amount.payer_currency",
    "amount.refund",
    "amount.payer_refund",
    "id",
    "create_time",
    "event_type",
    "resource_type",
    "summary",
    "resource.original_type",
    "resource.algorithm",
];
/// Who paid.
const PAYERS: &[&str] = &["openid", "sub_openid", "payer.openid", "payer.sp_openid", "payer.sub_openid"];
const HIDDEN: &str = "***";

/// A field as it may be shown: what is not listed only as being there.
pub fn field(name: &str, value: &str) -> (String, String) {
    let shown = if OPEN.contains(&name) {
        value.to_owned()
    } else if PAYERS.contains(&name) {
        // Enough to tell two payers apart.
        let end: String = value.chars().rev().take(4).collect::<Vec<_>>().into_iter().rev().collect();
        if value.chars().count() > 8 { format!("{HIDDEN}{end}") } else { HIDDEN.to_owned() }
    } else {
        HIDDEN.to_owned()
    };
    (name.to_owned(), shown)
}

/// The fields of a JSON document, those of objects inside by path.
pub fn json(path: &str, value: &serde_json::Value, fields: &mut Vec<(String, String)>) {
    match value {
        serde_json::Value::Object(members) => {
            for (name, member) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                json(&path, member, fields);
            }
        }
        serde_json::Value::String(text) => fields.push(field(path, text)),
        other => fields.push(field(path, &other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_listed_is_hidden() {
        for (name, value, shown) in [
            ("total_fee", "101", "101"),
            ("sign", "6B820100D2D98784F3926889CC32AD96", "***"),
            ("nonce_str", "5d2b6c2a8db53831f7eda20af46e531c", "***"),
            ("attach", "what the merchant wrote", "***"),
            ("req_info", "T87GAHG17TGAHG1TGHAHAHA1Y1CIOA9UGJH1GAHV871HAGAGQYQQPOOJMXNBCXBVNMNMAJAA", "***"),
            ("openid", "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "***eS6o"),
            ("openid", "short", "***"),
            ("something new", "x", "***"),
        ] {
            assert_eq!(field(name, value), (name.to_owned(), shown.to_owned()));
        }
        let mut fields = Vec::new();
        let document =
            serde_json::json!({ "amount": { "total": 7 }, "resource": { "ciphertext": "abc" }, "payer": null });
        json("", &document, &mut fields);
        let expected = [("amount.total", "7"), ("payer", "***"), ("resource.ciphertext", "***")];
        assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}

//! Refusals of the v3 API (错误码): a code that may be branched on, its HTTP status, and words for people.

use serde_json::{Value, json};

/// Why a call is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    pub status: u16,
    pub code: String,
    pub message: String,
    pub detail: Option<Value>,
}

pub type Answered<T> = Result<T, ApiError>;

/// The status of every code the documents list (protocol, section 3.6).
const STATUSES: [(&str, u16); 30] = [
    ("USER_PAYING", 202),
    ("PARAM_ERROR", 400),
    ("INVALID_REQUEST", 400),
    ("APPID_MCHID_NOT_MATCH", 400),
    ("MCH_NOT_EXISTS", 400),
    ("ORDER_CLOSED", 400),
    ("ORDER_PAID", 400),
    ("NO_STATEMENT_EXIST", 400),
    ("STATEMENT_CREATING", 400),
    ("SIGN_ERROR", 401),
    ("NO_AUTH", 403),
    ("OUT_TRADE_NO_USED", 403),
    ("RULE_LIMIT", 403),
    ("TRADE_ERROR", 403),
    ("NOT_ENOUGH", 403),
    ("ACCOUNT_ERROR", 403),
    ("USER_ACCOUNT_ABNORMAL", 403),
    ("NOT_FOUND", 404),
    ("ORDER_NOT_EXIST", 404),
    ("RESOURCE_NOT_EXISTS", 404),
    ("METHOD_NOT_ALLOWED", 405),
    ("FREQUENCY_LIMITED", 429),
    ("FREQUENCY_LIMIT_EXCEED", 429),
    ("RATELIMIT_EXCEEDED", 429),
    ("SYSTEM_ERROR", 500),
    ("OPENID_MISMATCH", 500),
    ("BANK_ERROR", 500),
    ("INVALID_TRANSACTIONID", 500),
    ("BAD_GATEWAY", 502),
    ("SERVICE_UNAVAILABLE", 503),
];
/// Codes that were also seen without their underscores.
const ALSO_SPELT_TOGETHER: [&str; 10] = [
    "USER_PAYING",
    "ORDER_CLOSED",
    "ORDER_PAID",
    "NO_AUTH",
    "RULE_LIMIT",
    "NOT_ENOUGH",
    "ACCOUNT_ERROR",
    "ORDER_NOT_EXIST",
    "SYSTEM_ERROR",
    "BANK_ERROR",
];

/// The HTTP status of a code in either spelling; 400 for one that no document lists.
pub fn status(code: &str) -> u16 {
    let plain = |text: &str| text.replace('_', "");
    STATUSES.iter().find(|(known, _)| plain(known) == plain(code)).map_or(400, |(_, status)| *status)
}

impl ApiError {
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { status: status(code), code: code.to_owned(), message: message.into(), detail: None }
    }

    /// `PARAM_ERROR` about one field of the body, named by its JSON pointer.
    pub fn field(pointer: &str, value: Option<&Value>, issue: &str) -> Self {
        Self::located(pointer, value.cloned(), issue, "body")
    }

    /// `PARAM_ERROR` about a field in `location`: `body`, `query`, `url` or `header`.
    pub fn located(field: &str, value: Option<Value>, issue: &str, location: &str) -> Self {
        let mut detail = json!({ "field": field, "issue": issue, "location": location });
        if let Some(value) = value {
            detail["value"] = value;
        }
        let message = format!("参数错误：{field} {issue}");
        Self { detail: Some(detail), ..Self::new("PARAM_ERROR", message) }
    }

    pub fn no_such_order() -> Self {
        Self::new("ORDER_NOT_EXIST", "订单不存在")
    }

    /// The body; `legacy` spells the code as older systems do.
    pub fn body(&self, legacy: bool) -> Value {
        let together = legacy && ALSO_SPELT_TOGETHER.contains(&self.code.as_str());
        let code = if together { self.code.replace('_', "") } else { self.code.clone() };
        let mut body = json!({ "code": code, "message": self.message });
        if let Some(detail) = &self.detail {
            body["detail"] = detail.clone();
        }
        body
    }
}

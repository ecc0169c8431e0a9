//! WeChat's words in ours: error codes, order states, refund states. Each table in one place.

use dukou_spi::{ErrorKind, OrderWord, Reason, RefundWord};

use crate::hosts::Effect;
use crate::text::{is_foreign_payer, is_repeated_number};

use ErrorKind::{NotSent, Refused, Unknown};

/// The operation an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Pay,
    Query,
    Close,
    Refund,
    QueryRefund,
}

impl Call {
    /// What it has done where it was executed.
    pub const fn effect(self) -> Effect {
        match self {
            Call::Pay | Call::Close => Effect::Order,
            Call::Refund => Effect::Refund,
            Call::Query | Call::QueryRefund => Effect::None,
        }
    }
}

/// What a signed `err_code` means for a call.
///
/// A code that is not listed is `Unknown`: a word we cannot read is no proof that nothing
/// happened; a refusal it is in all likelihood ([`Reason::Unlisted`]). `description` (`err_code_des`)
/// never decides the kind; it only tells two reasons apart that share a code.
pub fn error_code(call: Call, code: &str, description: &str) -> (ErrorKind, Reason) {
    match code {
        // It may have been done: the same number again, or ask.
        "SYSTEMERROR" | "BIZERR_NEED_RETRY" => (Unknown, Reason::Platform),

        // Turned away at the door; the same number again, slower.
        "FREQUENCY_LIMITED" | "INVALID_REQ_TOO_MUCH" => (NotSent, Reason::RateLimited),

        // The set-up at WeChat.
        "NOAUTH" | "APPID_NOT_EXIST" | "MCHID_NOT_EXIST" | "APPID_MCHID_NOT_MATCH" | "SIGNERROR" => {
            (Refused, Reason::Configuration)
        }

        // The order.
        "ORDERPAID" => (Refused, Reason::AlreadyPaid),
        "ORDERCLOSED" => (Refused, Reason::OrderClosed),
        "ORDERNOTEXIST" | "REFUNDNOTEXIST" | "INVALID_TRANSACTIONID" => (Refused, Reason::NotFound),
        "OUT_TRADE_NO_USED" | "REFUND_FEE_MISMATCH" => (Refused, Reason::NumberUsed),
        "INVALID_REQUEST" if call == Call::Pay && is_repeated_number(description) => (Refused, Reason::NumberUsed),
        "PARAM_ERROR" if call == Call::Pay && is_foreign_payer(description) => (Refused, Reason::PayerMismatch),

        // The money: the payer's for an order, the merchant's for a refund.
        "NOTENOUGH" => (Refused, Reason::InsufficientBalance),

        // Final, and nothing a program can do.
        "TRADE_OVERDUE" | "USER_ACCOUNT_ABNORMAL" | "TRADE_STATE_ERROR" | "ERROR" => (Refused, Reason::Other),

        // The request itself.
        "INVALID_REQUEST"
        | "PARAM_ERROR"
        | "LACK_PARAMS"
        | "XML_FORMAT_ERROR"
        | "REQUIRE_POST_METHOD"
        | "POST_DATA_EMPTY"
        | "NOT_UTF8" => (Refused, Reason::Other),

        "" => (Unknown, Reason::Other),
        _ => (Unknown, Reason::Unlisted),
    }
}

/// What an unsigned `return_code` FAIL means for a call.
///
/// WeChat says by it that it did not take the request at all, and does not sign it. So it may not
/// end anything: an order can be sent again under its number, and a refund, where a wrong "no"
/// would pay twice, has to be asked after. The reason only tells what to say.
pub fn unsigned_failure(call: Call, message: &str) -> (ErrorKind, Reason) {
    // What somebody has to change: the set-up, or what the gateway asks for.
    const WRONG: [&str; 12] = [
        "签名",
        "sign",
        "appid",
        "openid",
        "mch_id",
        "商户号",
        "权限",
        "参数",
        "param",
        "invalid",
        "time_expire",
        "证书",
    ];
    let kind = if call == Call::Refund { Unknown } else { NotSent };
    let lower = message.to_ascii_lowercase();
    let reason = if call == Call::Pay && is_foreign_payer(message) {
        Reason::PayerMismatch
    } else if WRONG.iter().any(|word| lower.contains(word)) {
        Reason::Configuration
    } else {
        Reason::Platform
    };
    (kind, reason)
}

/// An unpaid order's `trade_state`; `None` for the paid ones, which need their facts.
///
/// REFUND says that an order was paid and some of it went back: the refunds tell the rest.
/// PAYERROR is one failed try: until it is closed the order can still be paid.
pub fn unpaid_state(trade_state: &str) -> Option<OrderWord> {
    match trade_state {
        "SUCCESS" | "REFUND" => None,
        "NOTPAY" | "USERPAYING" | "ACCEPT" | "PAYERROR" => Some(OrderWord::Waiting),
        "CLOSED" | "REVOKED" => Some(OrderWord::Closed),
        _ => Some(OrderWord::Unrecognised),
    }
}

/// A bill that could not be had, by its `error_code`.
pub fn bill_failure(code: &str) -> (ErrorKind, Reason) {
    match code {
        "20001" | "20007" => (Refused, Reason::Configuration),
        // 20002, 20003, 20100 and whatever comes: ask again later.
        _ => (NotSent, Reason::Platform),
    }
}

/// `refund_status`, in a refund query's answer and in a refund's notify.
pub fn refund_state(refund_status: &str) -> RefundWord {
    match refund_status {
        "SUCCESS" => RefundWord::Succeeded,
        "PROCESSING" => RefundWord::Processing,
        "REFUNDCLOSE" => RefundWord::Closed,
        "CHANGE" => RefundWord::Abnormal,
        _ => RefundWord::Unrecognised,
    }
}

#[cfg(test)]
mod tests;

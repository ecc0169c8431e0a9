//! WeChat's words in ours: error codes, order states, refund states. Each table in one place.

use dukou_spi::{ErrorKind, OrderWord, Reason, RefundWord};

use ErrorKind::{NotSent, Refused, Unknown};

use crate::hosts::Effect;
use crate::text::{is_foreign_payer, is_repeated_number};

/// The operation an answer belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    Pay,
    Query,
    Close,
    Refund,
    QueryRefund,
    Bill,
    Certificates,
}

impl Call {
    /// What it has done where it was executed.
    pub const fn effect(self) -> Effect {
        match self {
            Call::Pay | Call::Close => Effect::Order,
            Call::Refund => Effect::Refund,
            Call::Query | Call::QueryRefund | Call::Bill | Call::Certificates => Effect::None,
        }
    }
}

/// A code as it is compared: older interfaces leave out the low lines.
pub fn normal(code: &str) -> String {
    code.replace('_', "").to_ascii_uppercase()
}

/// What a signed error means for a call: `code` decides, the HTTP status only where nobody knows the
/// code.
///
/// A code that is not listed is `Unknown`: a word we cannot read is no proof that nothing
/// happened. With a status of the 4xx it is a refusal in all likelihood ([`Reason::Unlisted`]). `message`
/// never decides the kind; it only tells two reasons apart that share a code.
pub fn error_code(call: Call, status: u16, code: &str, message: &str) -> (ErrorKind, Reason) {
    match normal(code).as_str() {
        // It may have been done: the same number again, or ask.
        "SYSTEMERROR" | "BANKERROR" | "BIZERRNEEDRETRY" => (Unknown, Reason::Platform),

        // Turned away at the door; the same number again, slower.
        "FREQUENCYLIMITED" | "FREQUENCYLIMITEXCEED" | "RATELIMITEXCEEDED" | "INVALIDREQTOOMUCH" => {
            (NotSent, Reason::RateLimited)
        }
        // The payer is entering the password: not now.
        "USERPAYING" => (NotSent, Reason::Platform),
        "STATEMENTCREATING" => (NotSent, Reason::Platform),

        // The set-up at WeChat.
        "NOAUTH" | "APPIDMCHIDNOTMATCH" | "APPIDNOTEXIST" | "MCHIDNOTEXIST" | "MCHNOTEXISTS" | "SIGNERROR" => {
            (Refused, Reason::Configuration)
        }

        // The order.
        "ORDERPAID" => (Refused, Reason::AlreadyPaid),
        "ORDERCLOSED" => (Refused, Reason::OrderClosed),
        "ORDERNOTEXIST" | "REFUNDNOTEXIST" | "RESOURCENOTEXISTS" | "INVALIDTRANSACTIONID" => {
            (Refused, Reason::NotFound)
        }
        "OUTTRADENOUSED" | "REFUNDFEEMISMATCH" => (Refused, Reason::NumberUsed),
        "INVALIDREQUEST" | "PARAMERROR" if call == Call::Pay && is_repeated_number(message) => {
            (Refused, Reason::NumberUsed)
        }
        "OPENIDMISMATCH" => (Refused, Reason::PayerMismatch),
        "INVALIDREQUEST" | "PARAMERROR" if call == Call::Pay && is_foreign_payer(message) => {
            (Refused, Reason::PayerMismatch)
        }

        // The money: the payer's for an order, the merchant's for a refund.
        "NOTENOUGH" => (Refused, Reason::InsufficientBalance),

        // Final, and nothing a program can do.
        "RULELIMIT" | "TRADEERROR" | "TRADEOVERDUE" | "TRADESTATEERROR" | "ACCOUNTERROR" | "USERACCOUNTABNORMAL" => {
            (Refused, Reason::Other)
        }

        // The request itself.
        "PARAMERROR" | "INVALIDREQUEST" | "LACKPARAMS" | "NOTUTF8" | "POSTDATAEMPTY" | "REQUIREPOSTMETHOD" => {
            (Refused, Reason::Other)
        }

        _ if status == 429 => (NotSent, Reason::RateLimited),
        _ if status >= 500 => (Unknown, Reason::Platform),
        word if status >= 400 && !word.is_empty() => (Unknown, Reason::Unlisted),
        _ => (Unknown, Reason::Other),
    }
}

/// What an error that nobody signed means for a call.
///
/// TLS is all that vouches for it. So it may not end anything: an order can be sent again under its
/// number, and a refund, where a wrong "no" would pay twice, has to be asked after.
pub fn unsigned_error(call: Call, status: u16, code: &str, message: &str) -> (ErrorKind, Reason) {
    let (kind, reason) = error_code(call, status, code, message);
    let reason = match reason {
        _ if status == 401 => Reason::Configuration,
        // Nobody signed that it was a refusal.
        Reason::Unlisted => Reason::Other,
        reason => reason,
    };
    match kind {
        Refused | NotSent if call != Call::Refund => (NotSent, reason),
        Refused | NotSent | Unknown => (Unknown, reason),
    }
}

/// An unpaid order's `trade_state`; `None` for the paid ones, which need their facts.
///
/// REFUND says that an order was paid and some of it went back: the refunds tell the rest.
/// PAYERROR is one failed try: until it is closed the order can still be paid.
pub fn unpaid_state(trade_state: &str) -> Option<OrderWord> {
    match trade_state {
        "SUCCESS" | "REFUND" => None,
        "NOTPAY" | "USERPAYING" | "PAYERROR" => Some(OrderWord::Waiting),
        "CLOSED" | "REVOKED" => Some(OrderWord::Closed),
        _ => Some(OrderWord::Unrecognised),
    }
}

/// `status` of a refund, and `refund_status` of its notify.
pub fn refund_state(status: &str) -> RefundWord {
    match status {
        "SUCCESS" => RefundWord::Succeeded,
        "PROCESSING" => RefundWord::Processing,
        "CLOSED" => RefundWord::Closed,
        "ABNORMAL" => RefundWord::Abnormal,
        _ => RefundWord::Unrecognised,
    }
}

#[cfg(test)]
mod tests;

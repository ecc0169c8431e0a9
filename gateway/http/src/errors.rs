//! The table of public error codes: every problem document carries one of them, and nothing
//! else does.

macro_rules! error_codes {
    ($($name:ident = $code:literal, $status:literal, $title:literal;)+) => {
        /// A stable code that callers may match on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ErrorCode { $(#[doc = $title] $name),+ }

        impl ErrorCode {
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name),+];

            /// The public word, as in the member `code` of a problem document.
            pub const fn as_str(self) -> &'static str {
                match self { $(ErrorCode::$name => $code),+ }
            }

            /// The HTTP status it is answered with.
            pub const fn status(self) -> u16 {
                match self { $(ErrorCode::$name => $status),+ }
            }

            /// What the code means, the same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(ErrorCode::$name => $title),+ }
            }

            /// The problem type (RFC 9457, section 3.1.1).
            pub const fn type_uri(self) -> &'static str {
                match self { $(ErrorCode::$name => concat!("urn:dukou:problem:", $code)),+ }
            }
        }
    };
}

// A code that is no longer used keeps its row, so that it is never given another meaning.
error_codes! {
    InvalidRequest = "invalid_request", 400, "The request is not valid";
    Unauthorized = "unauthorized", 401, "The key or token is missing or not valid here";
    ProviderRefused = "provider_refused", 402, "The provider refused";
    Forbidden = "forbidden", 403, "The caller may not do this";
    NotFound = "not_found", 404, "There is no such thing";
    MethodNotAllowed = "method_not_allowed", 405, "The address does not take this method";
    NotAcceptable = "not_acceptable", 406, "The answer is not available in the form asked for";
    RequestTimeout = "request_timeout", 408, "The request did not arrive in time";
    OutTradeNoConflict = "out_trade_no_conflict", 409, "The out_trade_no belongs to a payment with other content";
    OutRefundNoConflict = "out_refund_no_conflict", 409, "The out_refund_no belongs to a refund with other content";
    IdempotencyKeyConflict = "idempotency_key_conflict", 409, "The idempotency key belongs to another request";
    IdempotencyInProgress = "idempotency_in_progress", 409, "The first request with this idempotency key is still running";
    InvalidState = "invalid_state", 409, "The state does not allow it";
    BodyTooLarge = "body_too_large", 413, "The request body is too large";
    UnsupportedMediaType = "unsupported_media_type", 415, "The request body is in a form that is not read here";
    RefundExceedsPayment = "refund_exceeds_payment", 422, "The refunds would add up to more than was paid";
    RateLimited = "rate_limited", 429, "Too many requests";
    InternalError = "internal_error", 500, "The gateway failed";
    ProviderUnavailable = "provider_unavailable", 502, "The provider could not be reached; it executed nothing";
    Unavailable = "unavailable", 503, "The gateway cannot take requests at this moment";
    ProviderTimeout = "provider_timeout", 504, "The provider's answer was lost; the gateway will ask what became of the call";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_changes_only_in_plain_sight() {
        let table: String = ErrorCode::ALL
            .iter()
            .map(|code| format!("{} {} {}: {}\n", code.status(), code.as_str(), code.type_uri(), code.title()))
            .collect();
        insta::assert_snapshot!("error_table", table);
    }

    #[test]
    fn no_code_is_there_twice() {
        for (at, code) in ErrorCode::ALL.iter().enumerate() {
            assert!(ErrorCode::ALL[at + 1..].iter().all(|other| other.as_str() != code.as_str()), "{code:?}");
            assert!((400..=599).contains(&code.status()));
        }
    }
}

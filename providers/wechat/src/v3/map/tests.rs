use super::*;

type Case = (&'static [Call], u16, &'static str, &'static str, ErrorKind, Reason);

#[test]
fn every_error_code_of_the_protocol_has_its_meaning() {
    use Call::{Bill, Close, Pay, Query, QueryRefund, Refund};
    const ALL: [Call; 6] = [Pay, Query, Close, Refund, QueryRefund, Bill];
    let cases: [Case; 62] = [
        (&ALL, 500, "SYSTEM_ERROR", "系统繁忙", Unknown, Reason::Platform),
        (&ALL, 500, "SYSTEMERROR", "", Unknown, Reason::Platform),
        (&ALL, 500, "BANK_ERROR", "", Unknown, Reason::Platform),
        (&ALL, 500, "BANKERROR", "", Unknown, Reason::Platform),
        (&ALL, 400, "BIZERR_NEED_RETRY", "", Unknown, Reason::Platform),
        (&ALL, 429, "FREQUENCY_LIMITED", "频率限制", NotSent, Reason::RateLimited),
        (&ALL, 429, "FREQUENCY_LIMIT_EXCEED", "", NotSent, Reason::RateLimited),
        (&ALL, 429, "RATELIMIT_EXCEEDED", "", NotSent, Reason::RateLimited),
        (&ALL, 403, "INVALID_REQ_TOO_MUCH", "", NotSent, Reason::RateLimited),
        (&ALL, 429, "SOMETHING_NEW", "", NotSent, Reason::RateLimited),
        (&[Close], 202, "USER_PAYING", "", NotSent, Reason::Platform),
        (&[Close], 202, "USERPAYING", "", NotSent, Reason::Platform),
        (&[Bill], 400, "STATEMENT_CREATING", "", NotSent, Reason::Platform),
        (&ALL, 403, "NO_AUTH", "商户无权限", Refused, Reason::Configuration),
        (&ALL, 403, "NOAUTH", "", Refused, Reason::Configuration),
        (&ALL, 400, "APPID_MCHID_NOT_MATCH", "", Refused, Reason::Configuration),
        (&ALL, 400, "APPID_NOT_EXIST", "", Refused, Reason::Configuration),
        (&ALL, 400, "MCHID_NOT_EXIST", "", Refused, Reason::Configuration),
        (&ALL, 400, "MCH_NOT_EXISTS", "", Refused, Reason::Configuration),
        (&ALL, 404, "MCH_NOT_EXISTS", "", Refused, Reason::Configuration),
        (&ALL, 401, "SIGN_ERROR", "签名错误", Refused, Reason::Configuration),
        (&[Pay, Close], 400, "ORDER_PAID", "该订单已支付", Refused, Reason::AlreadyPaid),
        (&[Pay, Close], 400, "ORDERPAID", "", Refused, Reason::AlreadyPaid),
        (&[Pay, Close], 400, "ORDER_CLOSED", "订单已关闭", Refused, Reason::OrderClosed),
        (&[Pay, Close], 400, "ORDERCLOSED", "", Refused, Reason::OrderClosed),
        (&[Query, Close], 404, "ORDER_NOT_EXIST", "订单不存在", Refused, Reason::NotFound),
        (&[Query], 404, "ORDERNOTEXIST", "", Refused, Reason::NotFound),
        (&[QueryRefund], 404, "REFUND_NOT_EXIST", "", Refused, Reason::NotFound),
        (&[QueryRefund], 404, "REFUNDNOTEXIST", "", Refused, Reason::NotFound),
        (&[Refund, QueryRefund], 404, "RESOURCE_NOT_EXISTS", "", Refused, Reason::NotFound),
        (&[Refund], 500, "INVALID_TRANSACTIONID", "", Refused, Reason::NotFound),
        (&[Pay], 403, "OUT_TRADE_NO_USED", "商户订单号重复", Refused, Reason::NumberUsed),
        (&[Refund], 400, "REFUND_FEE_MISMATCH", "", Refused, Reason::NumberUsed),
        (&[Pay], 400, "INVALID_REQUEST", "201 商户订单号重复", Refused, Reason::NumberUsed),
        (&[Pay], 400, "PARAM_ERROR", "订单重入参数校验失败", Refused, Reason::NumberUsed),
        (&[Refund], 400, "INVALID_REQUEST", "订单重入参数校验失败", Refused, Reason::Other),
        (&[Pay], 500, "OPENID_MISMATCH", "", Refused, Reason::PayerMismatch),
        (&[Pay], 400, "PARAM_ERROR", "appid和openid不匹配", Refused, Reason::PayerMismatch),
        (&[Pay], 400, "PARAM_ERROR", "无效的openid", Refused, Reason::Other),
        (&[Query], 400, "PARAM_ERROR", "appid和openid不匹配", Refused, Reason::Other),
        (&[Pay, Refund], 403, "NOT_ENOUGH", "余额不足", Refused, Reason::InsufficientBalance),
        (&[Refund], 403, "NOTENOUGH", "", Refused, Reason::InsufficientBalance),
        (&[Pay], 403, "RULE_LIMIT", "", Refused, Reason::Other),
        (&[Pay], 403, "RULELIMIT", "", Refused, Reason::Other),
        (&[Pay, Refund], 403, "TRADE_ERROR", "", Refused, Reason::Other),
        (&[Pay], 403, "ACCOUNT_ERROR", "", Refused, Reason::Other),
        (&[Refund], 403, "USER_ACCOUNT_ABNORMAL", "", Refused, Reason::Other),
        (&[Refund], 403, "TRADE_OVERDUE", "订单已经超过退款期限", Refused, Reason::Other),
        (&[Refund], 403, "TRADEOVERDUE", "", Refused, Reason::Other),
        (&[Refund], 400, "TRADE_STATE_ERROR", "", Refused, Reason::Other),
        (&ALL, 400, "PARAM_ERROR", "", Refused, Reason::Other),
        (&ALL, 400, "INVALID_REQUEST", "", Refused, Reason::Other),
        (&ALL, 400, "LACK_PARAMS", "", Refused, Reason::Other),
        (&ALL, 400, "NOT_UTF8", "", Refused, Reason::Other),
        (&ALL, 400, "POST_DATA_EMPTY", "", Refused, Reason::Other),
        (&ALL, 405, "REQUIRE_POST_METHOD", "", Refused, Reason::Other),
        (&ALL, 400, "SOMETHING_NEW", "", Unknown, Reason::Unlisted),
        (&ALL, 403, "SOMETHING_NEW", "", Unknown, Reason::Unlisted),
        (&ALL, 404, "SOMETHING_NEW", "", Unknown, Reason::Unlisted),
        (&ALL, 500, "SOMETHING_NEW", "", Unknown, Reason::Platform),
        (&ALL, 400, "", "", Unknown, Reason::Other),
        (&ALL, 503, "", "", Unknown, Reason::Platform),
    ];
    for (calls, status, code, message, kind, reason) in cases {
        for call in calls {
            assert_eq!(error_code(*call, status, code, message), (kind, reason), "{call:?} {status} {code} {message}");
        }
    }
}

#[test]
fn an_unsigned_error_ends_nothing() {
    let cases = [
        (Call::Pay, 401, "SIGN_ERROR", NotSent, Reason::Configuration),
        (Call::Query, 404, "ORDER_NOT_EXIST", NotSent, Reason::NotFound),
        (Call::Pay, 400, "PARAM_ERROR", NotSent, Reason::Other),
        (Call::Pay, 400, "SOMETHING_NEW", Unknown, Reason::Other),
        (Call::Pay, 500, "SYSTEM_ERROR", Unknown, Reason::Platform),
        (Call::Refund, 401, "SIGN_ERROR", Unknown, Reason::Configuration),
        (Call::Refund, 403, "NOT_ENOUGH", Unknown, Reason::InsufficientBalance),
        (Call::Refund, 429, "FREQUENCY_LIMITED", Unknown, Reason::RateLimited),
    ];
    for (call, status, code, kind, reason) in cases {
        assert_eq!(unsigned_error(call, status, code, ""), (kind, reason), "{call:?} {status} {code}");
    }
}

#[test]
fn every_state_has_its_word() {
    for (state, word) in [
        ("NOTPAY", OrderWord::Waiting),
        ("USERPAYING", OrderWord::Waiting),
        ("PAYERROR", OrderWord::Waiting),
        ("CLOSED", OrderWord::Closed),
        ("REVOKED", OrderWord::Closed),
        ("PAID", OrderWord::Unrecognised),
        ("success", OrderWord::Unrecognised),
    ] {
        assert_eq!(unpaid_state(state), Some(word), "{state}");
    }
    assert_eq!((unpaid_state("SUCCESS"), unpaid_state("REFUND")), (None, None));
    for (state, word) in [
        ("SUCCESS", RefundWord::Succeeded),
        ("PROCESSING", RefundWord::Processing),
        ("CLOSED", RefundWord::Closed),
        ("ABNORMAL", RefundWord::Abnormal),
        ("CHANGE", RefundWord::Unrecognised),
    ] {
        assert_eq!(refund_state(state), word, "{state}");
    }
}

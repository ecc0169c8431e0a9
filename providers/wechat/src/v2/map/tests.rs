use super::*;

#[test]
fn every_error_code_of_the_protocol_has_its_meaning() {
    use Call::{Close, Pay, Query, QueryRefund, Refund};
    const ALL: [Call; 5] = [Pay, Query, Close, Refund, QueryRefund];
    let cases: [(&[Call], &str, &str, ErrorKind, Reason); 36] = [
        (&ALL, "SYSTEMERROR", "系统超时", Unknown, Reason::Platform),
        (&ALL, "BIZERR_NEED_RETRY", "并发", Unknown, Reason::Platform),
        (&ALL, "FREQUENCY_LIMITED", "频率限制", NotSent, Reason::RateLimited),
        (&ALL, "INVALID_REQ_TOO_MUCH", "", NotSent, Reason::RateLimited),
        (&ALL, "NOAUTH", "商户无此接口权限", Refused, Reason::Configuration),
        (&ALL, "APPID_NOT_EXIST", "", Refused, Reason::Configuration),
        (&ALL, "MCHID_NOT_EXIST", "", Refused, Reason::Configuration),
        (&ALL, "APPID_MCHID_NOT_MATCH", "", Refused, Reason::Configuration),
        (&ALL, "SIGNERROR", "签名错误", Refused, Reason::Configuration),
        (&[Pay, Close], "ORDERPAID", "该订单已支付", Refused, Reason::AlreadyPaid),
        (&[Pay, Close], "ORDERCLOSED", "订单已关闭", Refused, Reason::OrderClosed),
        (&[Query, Refund, Close], "ORDERNOTEXIST", "订单不存在", Refused, Reason::NotFound),
        (&[QueryRefund], "REFUNDNOTEXIST", "退款不存在", Refused, Reason::NotFound),
        (&[Refund, QueryRefund], "INVALID_TRANSACTIONID", "", Refused, Reason::NotFound),
        (&[Pay], "OUT_TRADE_NO_USED", "商户订单号重复", Refused, Reason::NumberUsed),
        (&[Refund], "REFUND_FEE_MISMATCH", "", Refused, Reason::NumberUsed),
        (&[Pay], "INVALID_REQUEST", "201 商户订单号重复", Refused, Reason::NumberUsed),
        (&[Pay], "INVALID_REQUEST", "参数错误", Refused, Reason::Other),
        (&[Refund], "INVALID_REQUEST", "201 商户订单号重复", Refused, Reason::Other),
        (&[Pay], "PARAM_ERROR", "appid和openid不匹配", Refused, Reason::PayerMismatch),
        (&[Pay], "PARAM_ERROR", "openid与AppID不匹配", Refused, Reason::PayerMismatch),
        (&[Pay], "PARAM_ERROR", "缺少openid", Refused, Reason::Other),
        (&[Query], "PARAM_ERROR", "appid和openid不匹配", Refused, Reason::Other),
        (&[Pay, Refund], "NOTENOUGH", "余额不足", Refused, Reason::InsufficientBalance),
        (&[Refund], "TRADE_OVERDUE", "", Refused, Reason::Other),
        (&[Refund], "USER_ACCOUNT_ABNORMAL", "", Refused, Reason::Other),
        (&[Refund], "ERROR", "业务错误", Refused, Reason::Other),
        (&[Close], "TRADE_STATE_ERROR", "", Refused, Reason::Other),
        (&ALL, "LACK_PARAMS", "", Refused, Reason::Other),
        (&ALL, "XML_FORMAT_ERROR", "", Refused, Reason::Other),
        (&ALL, "REQUIRE_POST_METHOD", "", Refused, Reason::Other),
        (&ALL, "POST_DATA_EMPTY", "", Refused, Reason::Other),
        (&ALL, "NOT_UTF8", "", Refused, Reason::Other),
        (&ALL, "SOMETHING_NEW", "", Unknown, Reason::Unlisted),
        (&ALL, "systemerror", "", Unknown, Reason::Unlisted),
        (&ALL, "", "", Unknown, Reason::Other),
    ];
    for (calls, code, description, kind, reason) in cases {
        for call in calls {
            assert_eq!(error_code(*call, code, description), (kind, reason), "{call:?} {code} {description}");
        }
    }
}

#[test]
fn an_unsigned_failure_ends_nothing() {
    let cases = [
        (Call::Pay, "签名错误", NotSent, Reason::Configuration),
        (Call::Pay, "appid不存在", NotSent, Reason::Configuration),
        (Call::Pay, "系统繁忙", NotSent, Reason::Platform),
        (Call::Pay, "您没有JSAPI支付权限", NotSent, Reason::Configuration),
        (Call::Pay, "appid and openid not match", NotSent, Reason::PayerMismatch),
        (Call::Pay, "appid和openid不匹配", NotSent, Reason::PayerMismatch),
        (Call::Pay, "sub_appid and sub_openid not match", NotSent, Reason::PayerMismatch),
        (Call::Query, "appid and openid not match", NotSent, Reason::Configuration),
        (Call::Refund, "appid and openid not match", Unknown, Reason::Configuration),
        (Call::Refund, "签名错误", Unknown, Reason::Configuration),
        (Call::Pay, "invalid spbill_create_ip", NotSent, Reason::Configuration),
        (Call::Pay, "time_expire时间过短，刷卡至少1分钟，其他5分钟", NotSent, Reason::Configuration),
        (Call::Refund, "invalid refund_fee", Unknown, Reason::Configuration),
        (Call::Refund, "系统繁忙", Unknown, Reason::Platform),
    ];
    for (call, message, kind, reason) in cases {
        assert_eq!(unsigned_failure(call, message), (kind, reason), "{call:?} {message}");
    }
}

#[test]
fn every_state_has_its_word() {
    for (state, word) in [
        ("NOTPAY", OrderWord::Waiting),
        ("USERPAYING", OrderWord::Waiting),
        ("ACCEPT", OrderWord::Waiting),
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
        ("REFUNDCLOSE", RefundWord::Closed),
        ("CHANGE", RefundWord::Abnormal),
        ("FAIL", RefundWord::Unrecognised),
    ] {
        assert_eq!(refund_state(state), word, "{state}");
    }
}

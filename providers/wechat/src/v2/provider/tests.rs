//! Each operation against replayed answers.

use dukou_spi::transport::{HttpMethod, TransportError};
use serde_json::json;

use super::*;
use crate::v2::sign::SignType::{HmacSha256, Md5};
use crate::v2::sign::Signer;
use crate::v2::testing::{self, ok, order, provider, signed, status};

const OK: (&str, &str) = ("result_code", "SUCCESS");
const NUMBER: (&str, &str) = ("out_trade_no", "T20260704000017");

fn not_sent() -> Result<dukou_spi::transport::HttpAnswer, TransportError> {
    Err(TransportError::NotSent { host: "h".into(), reason: "refused".into() })
}

fn timeout() -> Result<dukou_spi::transport::HttpAnswer, TransportError> {
    Err(TransportError::Timeout { host: "h".into() })
}

fn broken() -> Result<dukou_spi::transport::HttpAnswer, TransportError> {
    Err(TransportError::Broken { host: "h".into(), reason: "reset".into() })
}

fn refusal(code: &str) -> String {
    signed(Md5, &[("result_code", "FAIL"), ("err_code", code), ("err_code_des", "?")])
}

fn failed(code: &str) -> Result<dukou_spi::transport::HttpAnswer, TransportError> {
    ok(refusal(code))
}

#[tokio::test]
async fn paying_gives_the_methods_token() {
    let cases = [
        (Method::Jsapi, "HMAC-SHA256:wx01", 7200),
        (Method::App, "HMAC-SHA256:wx01", 7200),
        (Method::Native, "weixin://wxpay/bizpayurl?pr=1", 7200),
        (Method::H5, "https://wx.tenpay.com/x?prepay_id=wx01", 300),
    ];
    for (method, token, life) in cases {
        let (provider, replay) = provider(json!({ "sign_type": "HMAC-SHA256" }));
        replay.push(ok(signed(
            HmacSha256,
            &[
                OK,
                ("prepay_id", "wx01"),
                ("code_url", "weixin://wxpay/bizpayurl?pr=1"),
                ("mweb_url", "https://wx.tenpay.com/x?prepay_id=wx01"),
            ],
        )));
        let prepay = provider.pay(&order(method)).await.unwrap();
        assert_eq!(
            prepay,
            Prepay { token: token.to_owned(), valid_until: testing::NOW.plus(Duration::from_secs(life)) }
        );
        assert_eq!(replay.sent()[0].url, "https://api.mch.weixin.qq.com/pay/unifiedorder");
        assert_eq!(replay.sent()[0].method, HttpMethod::Post);
        let invoke = provider.invoke(&order(method), &prepay).unwrap();
        let names: Vec<&str> = invoke.0.iter().map(|(name, _)| *name).collect();
        let expected: &[&str] = match method {
            Method::Jsapi => &["appId", "timeStamp", "nonceStr", "package", "signType", "paySign"],
            Method::App => &["appid", "partnerid", "prepayid", "package", "noncestr", "timestamp", "sign"],
            Method::Native => &["code_url"],
            Method::H5 => &["h5_url"],
        };
        assert_eq!(names, expected);
    }
}

/// Until it is paid an order is signed as it was made, whatever the configuration says by now.
#[test]
fn an_orders_arguments_are_signed_with_the_orders_own_type() {
    for (kept, before, after) in
        [("MD5:wx01", Md5, "HMAC-SHA256"), ("HMAC-SHA256:wx01", HmacSha256, "MD5"), ("wx01", Md5, "MD5")]
    {
        let (provider, _) = provider(json!({ "sign_type": after }));
        let signer = Signer::new(before, Secret::new(testing::API_KEY));
        let prepay = Prepay { token: kept.to_owned(), valid_until: testing::NOW };
        for (method, name) in [(Method::Jsapi, "paySign"), (Method::App, "sign")] {
            let Invoke(mut arguments) = provider.invoke(&order(method), &prepay).unwrap();
            let (signed_as, signature) = arguments.pop().unwrap();
            assert_eq!(signed_as, name);
            let fields: Vec<(&str, &str)> = arguments.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(signature, signer.sign(&fields), "{kept} {method}");
            let named = if method == Method::App { "prepayid" } else { "package" };
            let token = fields.iter().find(|(name, _)| *name == named).unwrap().1;
            assert_eq!(token.strip_prefix("prepay_id=").unwrap_or(token), "wx01");
        }
    }
}

#[tokio::test]
async fn a_token_of_another_method_is_not_signed() {
    let (provider, _) = provider(json!({}));
    for (method, token) in [
        (Method::Jsapi, ""),
        (Method::Jsapi, "weixin://x"),
        (Method::App, "a b"),
        (Method::Native, "wx01"),
        (Method::H5, "wx01"),
    ] {
        let prepay = Prepay { token: token.to_owned(), valid_until: testing::NOW };
        assert_eq!(provider.invoke(&order(method), &prepay).unwrap_err().kind, ErrorKind::Refused, "{method} {token}");
    }
}

#[tokio::test]
async fn an_order_that_wechat_cannot_take_is_not_sent() {
    let (provider, replay) = provider(json!({}));
    let mut order = order(Method::Jsapi);
    order.openid = None;
    assert_eq!(provider.pay(&order).await.unwrap_err().kind, ErrorKind::Refused);
    assert!(replay.sent().is_empty());
}

/// The order of judgement: what each answer to a payment means for the money.
#[tokio::test]
async fn every_answer_to_a_payment_is_judged() {
    use ErrorKind::{NotSent, Refused, Unknown};
    let page = "<html><head><title>400 No required SSL certificate was sent</title></head></html>";
    let good = signed(Md5, &[OK, ("prepay_id", "wx01")]);
    let failed =
        |code, description| signed(Md5, &[("result_code", "FAIL"), ("err_code", code), ("err_code_des", description)]);
    let unsigned_failure = "<xml><return_code>FAIL</return_code><return_msg>签名错误</return_msg></xml>";
    let foreign = "<xml><return_code>FAIL</return_code><return_msg>appid and openid not match</return_msg></xml>";
    let cases = [
        (not_sent(), NotSent, Reason::Transport),
        (timeout(), Unknown, Reason::Timeout),
        (broken(), Unknown, Reason::Transport),
        (Err(TransportError::TooLong { host: "h".into(), limit: 1 }), Unknown, Reason::Transport),
        (status(502, "<html>bad gateway</html>"), Unknown, Reason::Platform),
        (status(500, &good), Unknown, Reason::Platform),
        (status(400, page), NotSent, Reason::Configuration),
        (status(400, "<html>other</html>"), Unknown, Reason::Platform),
        (ok("<html>busy</html>"), Unknown, Reason::Transport),
        (ok(""), Unknown, Reason::Transport),
        (ok(&good[..good.len() - 9]), Unknown, Reason::Transport),
        (ok(unsigned_failure), NotSent, Reason::Configuration),
        (ok(foreign), NotSent, Reason::PayerMismatch),
        (ok(good.replace("wx01", "wx02")), Unknown, Reason::BadSignature),
        (ok(signed(HmacSha256, &[OK, ("prepay_id", "wx01")])), Unknown, Reason::BadSignature),
        (
            ok(
                "<xml><return_code>SUCCESS</return_code><result_code>SUCCESS</result_code><prepay_id>1</prepay_id></xml>",
            ),
            Unknown,
            Reason::BadSignature,
        ),
        (ok(signed(Md5, &[OK, ("prepay_id", "wx01"), ("mch_id", "1900000110")])), Unknown, Reason::Transport),
        (ok(signed(Md5, &[OK, ("prepay_id", "wx01"), ("appid", "wx7777777777777777")])), Unknown, Reason::Transport),
        (ok(signed(Md5, &[OK])), Unknown, Reason::Transport),
        (ok(signed(Md5, &[("prepay_id", "wx01")])), Unknown, Reason::Transport),
        (ok(signed(Md5, &[("result_code", "FAIL")])), Unknown, Reason::Other),
        (ok(failed("SYSTEMERROR", "系统超时")), Unknown, Reason::Platform),
        (ok(failed("ORDERPAID", "该订单已支付")), Refused, Reason::AlreadyPaid),
        (ok(failed("PARAM_ERROR", "appid和openid不匹配")), Refused, Reason::PayerMismatch),
        (ok(failed("SOMETHING_NEW", "?")), Unknown, Reason::Unlisted),
    ];
    for (answer, kind, reason) in cases {
        let shown = format!("{answer:?}");
        let (provider, replay) = provider(json!({ "base_url": "https://pay.example.com" }));
        replay.push(answer);
        let error = provider.pay(&order(Method::Jsapi)).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (kind, reason), "{shown}");
        if reason == Reason::PayerMismatch {
            assert!(error.message.contains("openid belongs to another app"), "{error}");
        }
    }
}

/// Every call is known by its number: the same bytes go to the backup host.
#[tokio::test]
async fn the_backup_host_gets_what_the_first_one_did_not_answer() {
    let refund_no = ("out_refund_no", "RF-1");
    for (first, repeats) in [
        (not_sent as fn() -> _, true),
        (timeout, true),
        (broken, true),
        (|| status(502, "<html>bad gateway</html>"), true),
        // Its own trouble is told with http status 200.
        (|| failed("SYSTEMERROR"), true),
        (|| failed("BIZERR_NEED_RETRY"), false),
        (|| failed("FREQUENCY_LIMITED"), false),
        (|| failed("SOMETHING_NEW"), false),
        (|| status(400, ""), false),
    ] {
        for (call, answer) in [
            ("/pay/unifiedorder", signed(Md5, &[OK, ("prepay_id", "wx01")])),
            ("/pay/orderquery", signed(Md5, &[OK, NUMBER, ("trade_state", "NOTPAY")])),
            ("/pay/closeorder", signed(Md5, &[OK])),
            ("/secapi/pay/refund", signed(Md5, &[OK, NUMBER, refund_no])),
            ("/pay/refundquery", refusal("REFUNDNOTEXIST")),
        ] {
            let (provider, replay) = provider(json!({}));
            replay.push(first());
            replay.push(ok(answer));
            let is_ok = match call {
                "/pay/unifiedorder" => provider.pay(&order(Method::Jsapi)).await.is_ok(),
                "/pay/orderquery" => provider.query(&order(Method::Jsapi)).await.is_ok(),
                "/pay/closeorder" => provider.close(&order(Method::Jsapi)).await.is_ok(),
                "/pay/refundquery" => provider.query_refund(&testing::refund_query()).await.is_ok(),
                _ => provider.refund(&testing::refund()).await.is_ok(),
            };
            assert_eq!(is_ok, repeats, "{call}");
            let sent = replay.sent();
            assert_eq!(sent.len(), 1 + usize::from(repeats), "{call}");
            if repeats {
                assert_eq!(sent[1].url, format!("https://api2.mch.weixin.qq.com{call}"));
                assert_eq!(sent[0].body, sent[1].body);
            }
        }
    }
    let (provider, replay) = provider(json!({ "base_url": "https://pay.example.com" }));
    replay.push(not_sent());
    assert_eq!(provider.query(&order(Method::Jsapi)).await.unwrap_err().kind, ErrorKind::NotSent);
    assert_eq!(replay.sent().len(), 1);
}

/// What the first host may have done is not unmade by a backup host that did not do it.
#[tokio::test]
async fn after_a_host_that_may_have_done_it_nothing_counts_as_not_sent() {
    use ErrorKind::{NotSent, Refused, Unknown};
    let unsigned = "<xml><return_code>FAIL</return_code><return_msg>签名错误</return_msg></xml>";
    for (first, kind) in [
        (not_sent as fn() -> _, NotSent),
        (timeout, Unknown),
        (|| status(503, ""), Unknown),
        (|| failed("SYSTEMERROR"), Unknown),
    ] {
        for (backup, kind) in [
            (not_sent(), kind),
            (timeout(), Unknown),
            (ok(unsigned), kind),
            (failed("FREQUENCY_LIMITED"), kind),
            (failed("ORDERPAID"), Refused),
            (failed("SYSTEMERROR"), Unknown),
        ] {
            let shown = format!("{:?}, then {backup:?}", first());
            let (provider, replay) = provider(json!({}));
            replay.push(first());
            replay.push(backup);
            assert_eq!(provider.pay(&order(Method::Jsapi)).await.unwrap_err().kind, kind, "{shown}");
        }
    }
}

/// The first host may be at work while the backup host refuses: money that is told as not given back is given back
/// again, under another number.
#[tokio::test]
async fn a_refusal_says_nothing_of_what_the_first_host_may_have_done() {
    use ErrorKind::{Refused, Unknown};
    for (first, refused) in [(not_sent as fn() -> _, Refused), (timeout, Unknown), (|| status(503, ""), Unknown)] {
        for (call, code, kind) in [
            ("refund", "ERROR", refused),
            ("refund", "NOTENOUGH", refused),
            ("refund", "INVALID_REQUEST", refused),
            ("refund", "REFUND_FEE_MISMATCH", refused),
            ("refund", "ORDERPAID", refused),
            ("close", "NOAUTH", refused),
            ("close", "ORDERPAID", Refused),
            ("pay", "NOAUTH", refused),
            ("pay", "OUT_TRADE_NO_USED", refused),
            ("pay", "ORDERPAID", Refused),
            ("pay", "ORDERCLOSED", Refused),
            ("query", "NOAUTH", Refused),
        ] {
            let (provider, replay) = provider(json!({}));
            replay.push(first());
            replay.push(failed(code));
            let error = match call {
                "pay" => provider.pay(&order(Method::Jsapi)).await.unwrap_err(),
                "query" => provider.query(&order(Method::Jsapi)).await.unwrap_err(),
                "close" => provider.close(&order(Method::Jsapi)).await.unwrap_err(),
                _ => provider.refund(&testing::refund()).await.unwrap_err(),
            };
            assert_eq!(error.kind, kind, "{:?}, then {code} to a {call}", first());
            assert_eq!(error.code.as_deref(), Some(code), "what it said is told");
        }
    }
}

#[tokio::test]
async fn a_query_says_what_became_of_the_order() {
    let paid =
        [OK, NUMBER, ("openid", "o1"), ("total_fee", "5990"), ("transaction_id", "42"), ("time_end", "20260704123045")];
    for state in ["SUCCESS", "REFUND"] {
        let (provider, replay) = provider(json!({}));
        replay.push(ok(signed(Md5, &[&paid[..], &[("trade_state", state)]].concat())));
        let found = provider.query(&order(Method::Jsapi)).await.unwrap().into_inner();
        assert_eq!(found.platform_word, state);
        let OrderWord::Paid(facts) = found.word else { panic!("{:?}", found.word) };
        assert_eq!((facts.amount, facts.paid_at), (testing::fen(5990), Some(testing::NOW)));
    }
    for (state, word) in [
        ("NOTPAY", OrderWord::Waiting),
        ("PAYERROR", OrderWord::Waiting),
        ("CLOSED", OrderWord::Closed),
        ("REVOKED", OrderWord::Closed),
        ("NEWSTATE", OrderWord::Unrecognised),
    ] {
        let (provider, replay) = provider(json!({}));
        replay.push(ok(signed(Md5, &[OK, NUMBER, ("trade_state", state)])));
        assert_eq!(provider.query(&order(Method::Jsapi)).await.unwrap().get().word, word);
    }
    let (provider_, replay) = provider(json!({}));
    replay.push(ok(signed(Md5, &[("result_code", "FAIL"), ("err_code", "ORDERNOTEXIST")])));
    assert_eq!(provider_.query(&order(Method::Jsapi)).await.unwrap().get().word, OrderWord::Missing);

    // Paid needs every fact, for the very order asked after.
    for missing in ["out_trade_no", "total_fee", "transaction_id"] {
        let (provider, replay) = provider(json!({}));
        let mut fields = [&paid[..], &[("trade_state", "SUCCESS")]].concat();
        fields.retain(|(name, _)| *name != missing);
        replay.push(ok(signed(Md5, &fields)));
        assert!(provider.query(&order(Method::Jsapi)).await.is_err(), "{missing}");
    }
    let (provider, replay) = provider(json!({}));
    replay.push(ok(signed(Md5, &[OK, ("out_trade_no", "T2"), ("trade_state", "CLOSED")])));
    assert!(provider.query(&order(Method::Jsapi)).await.is_err());
}

#[tokio::test]
async fn closing_what_cannot_be_paid_succeeds() {
    for (code, reason) in [
        ("ORDERCLOSED", None),
        ("ORDERNOTEXIST", None),
        ("ORDERPAID", Some(Reason::AlreadyPaid)),
        ("SYSTEMERROR", Some(Reason::Platform)),
    ] {
        let (provider, replay) = provider(json!({}));
        for _host in 0..2 {
            replay.push(failed(code));
        }
        let closed = provider.close(&order(Method::Jsapi)).await;
        assert_eq!(closed.err().map(|error| error.reason), reason, "{code}");
    }
    let (provider, replay) = provider(json!({}));
    replay.push(ok(signed(Md5, &[OK])));
    provider.close(&order(Method::Jsapi)).await.unwrap();
}

#[tokio::test]
async fn a_refund_that_was_accepted_is_processing() {
    let (provider_, replay) = provider(json!({}));
    replay.push(ok(signed(Md5, &[OK, ("out_refund_no", "RF-1"), ("refund_id", "50300"), ("refund_fee", "1990")])));
    let status = provider_.refund(&testing::refund()).await.unwrap().into_inner();
    assert_eq!(status.word, RefundWord::Processing);
    assert_eq!(status.amount, Some(testing::fen(1990)));
    assert_eq!(status.provider_refund_id.unwrap().as_str(), "50300");

    let (provider, replay) = provider(json!({}));
    replay.push(ok("<xml><return_code>FAIL</return_code><return_msg>invalid refund_fee</return_msg></xml>"));
    assert_eq!(provider.refund(&testing::refund()).await.unwrap_err().kind, ErrorKind::Unknown);

    // Of another order, it is no answer to this call: a question tells.
    for (named, is_ours) in [(NUMBER.1, true), ("T2", false)] {
        let (provider, replay) = self::provider(json!({}));
        replay.push(ok(signed(Md5, &[OK, ("out_trade_no", named), ("out_refund_no", "RF-1"), ("refund_fee", "1990")])));
        let answer = provider.refund(&testing::refund()).await.map(|status| status.into_inner().trade_no);
        match answer {
            Ok(trade_no) => assert!(is_ours && trade_no.is_some_and(|found| found.as_str() == named)),
            Err(error) => assert!(!is_ours && error.kind == ErrorKind::Unknown, "{error}"),
        }
    }
}

#[tokio::test]
async fn without_a_certificate_or_a_secret_only_what_needs_them_is_refused() {
    let replay = Arc::new(testing::Replay::default());
    let (provider, problems) = testing::build(&testing::section(json!({ "app_secret": null })), replay.clone());
    let provider = provider.unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("warning: shop.toml: providers.wechat.client_cert: "), "{problems:?}");
    let refused = provider.refund(&testing::refund()).await.unwrap_err();
    let login = provider.login(&Secret::new("code")).await.unwrap_err();
    for error in [refused, login] {
        assert_eq!((error.kind, error.reason), (ErrorKind::Refused, Reason::Configuration));
    }
    assert!(replay.sent().is_empty() && !provider.capabilities().login);
}

#[tokio::test]
async fn a_refund_is_found_among_others() {
    let fields = [
        OK,
        NUMBER,
        ("refund_count", "2"),
        ("out_refund_no_0", "RF-0"),
        ("refund_status_0", "SUCCESS"),
        ("refund_fee_0", "1"),
        ("refund_id_0", "500"),
        ("out_refund_no_1", "RF-1"),
        ("refund_status_1", "CHANGE"),
        ("refund_fee_1", "1990"),
        ("refund_id_1", "501"),
        ("refund_success_time_0", "2026-07-04 12:30:45"),
    ];
    let (provider_, replay) = provider(json!({}));
    replay.push(ok(signed(Md5, &fields)));
    let status = provider_.query_refund(&testing::refund_query()).await.unwrap().into_inner();
    assert_eq!(
        (status.word, status.amount, status.succeeded_at),
        (RefundWord::Abnormal, Some(testing::fen(1990)), None)
    );
    assert_eq!(status.trade_no.as_ref().map(TradeNo::as_str), Some(NUMBER.1));

    for code in ["REFUNDNOTEXIST", "ORDERNOTEXIST"] {
        let (provider, replay) = provider(json!({}));
        replay.push(ok(signed(Md5, &[("result_code", "FAIL"), ("err_code", code)])));
        let status = provider.query_refund(&testing::refund_query()).await.unwrap().into_inner();
        assert_eq!(status.word, RefundWord::Missing);
    }
    let (provider, replay) = provider(json!({}));
    replay.push(ok(signed(Md5, &fields[..7])));
    assert!(provider.query_refund(&testing::refund_query()).await.is_err());
}

#[tokio::test]
async fn a_bill_is_rows_nothing_or_not_yet() {
    let day = time::macros::date!(2026 - 07 - 04);
    let failure = |message: &str, code: &str| {
        ok(format!(
            "<xml><return_code>FAIL</return_code><return_msg>{message}</return_msg><error_code>{code}</error_code></xml>"
        ))
    };
    for message in ["No Bill Exist", "NO Bill Exist"] {
        let (provider, replay) = provider(json!({}));
        replay.push(failure(message, "20002"));
        assert_eq!(provider.bill(day).await.unwrap(), Bill::default());
    }
    for (answer, kind, reason) in [
        (failure("Bill Creating", "20002"), ErrorKind::NotSent, Reason::Platform),
        (failure("CompressGZip Error", "20003"), ErrorKind::NotSent, Reason::Platform),
        (failure("SIGN ERROR", "20001"), ErrorKind::Refused, Reason::Configuration),
        (ok("not a bill"), ErrorKind::Unknown, Reason::Transport),
        (status(404, ""), ErrorKind::Unknown, Reason::Platform),
    ] {
        let (provider, replay) = provider(json!({}));
        replay.push(answer);
        let error = provider.bill(day).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (kind, reason), "{error}");
    }
}

#[tokio::test]
async fn a_login_asks_once_more_when_the_platform_is_busy() {
    let (provider, replay) = provider(json!({}));
    replay.push(ok(r#"{"errcode":-1,"errmsg":"system error"}"#));
    replay.push(ok(r#"{"openid":"o1","session_key":"k"}"#));
    let login = provider.login(&Secret::new("a b&c")).await.unwrap();
    assert_eq!(login.openid, "o1");
    let sent = replay.sent();
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0].url, sent[1].url);
    assert!(sent[0].url.starts_with("https://api.weixin.qq.com/sns/jscode2session?appid=wx8888888888888888&secret="));
    assert!(sent[0].url.ends_with("&js_code=a%20b%26c&grant_type=authorization_code"));
}

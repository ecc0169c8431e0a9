//! Each operation against replayed answers.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dukou_domain::TransactionId;
use dukou_spi::transport::{HttpAnswer, HttpMethod, TransportError};
use serde_json::{Value, json};

use super::*;
use crate::v3::sign::Signature;
use crate::v3::testing::{
    APP_ID, MCH_ID, NOW, PUBLIC_KEY_ID, VECTORS, World, certificate_mode, fen, key_pair, key_text, order, partner_mode,
    refund, refund_query, signed,
};

mod hosts;

fn not_sent() -> Result<HttpAnswer, TransportError> {
    Err(TransportError::NotSent { host: "h".into(), reason: "refused".into() })
}

fn timeout() -> Result<HttpAnswer, TransportError> {
    Err(TransportError::Timeout { host: "h".into() })
}

fn broken() -> Result<HttpAnswer, TransportError> {
    Err(TransportError::Broken { host: "h".into(), reason: "reset".into() })
}

fn unsigned(status: u16, body: &str) -> Result<HttpAnswer, TransportError> {
    Ok(HttpAnswer { status, headers: Vec::new(), body: body.to_owned().into() })
}

fn world(changes: Value) -> (World, Arc<dyn Provider>) {
    let world = World::default();
    let provider = world.provider(changes);
    (world, provider)
}

#[tokio::test]
async fn paying_gives_the_methods_token() {
    let cases = [
        (Method::Jsapi, "wx01", 7200),
        (Method::App, "wx01", 7200),
        (Method::Native, "weixin://wxpay/bizpayurl?pr=1", 7200),
        (Method::H5, "https://wx.tenpay.com/x?prepay_id=wx01", 300),
    ];
    for (method, token, life) in cases {
        let (world, provider) = world(json!({}));
        world.answers(
            200,
            r#"{"prepay_id":"wx01","code_url":"weixin://wxpay/bizpayurl?pr=1","h5_url":"https://wx.tenpay.com/x?prepay_id=wx01"}"#,
        );
        let prepay = provider.pay(&order(method)).await.unwrap();
        assert_eq!(prepay, Prepay { token: token.to_owned(), valid_until: NOW.plus(Duration::from_secs(life)) });
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

/// What is signed is what is sent: the target with its query, and the body's very bytes.
#[tokio::test]
async fn every_request_is_signed_over_the_bytes_that_are_sent() {
    let (world, provider) = world(json!({ "base_url": "https://proxy.example.com/wx" }));
    world.answers(200, r#"{"prepay_id":"wx01"}"#);
    world.answers(404, r#"{"code":"ORDER_NOT_EXIST","message":"订单不存在"}"#);
    provider.pay(&order(Method::Jsapi)).await.unwrap();
    provider.query(&order(Method::Jsapi)).await.unwrap();
    let key = crate::v3::sign::MerchantKey {
        pair: key_pair("keys.merchant.private_key_pkcs8_pem"),
        serial_no: key_text("keys.merchant.serial_no").to_owned(),
    };
    let sent = world.replay.sent();
    assert_eq!(
        sent[1].url,
        "https://proxy.example.com/wx/v3/pay/transactions/out-trade-no/T20260704000017?mchid=1900000109"
    );
    for request in sent {
        let header = |wanted: &str| {
            let mut found = request.headers.iter().filter(|(name, _)| *name == wanted).map(|(_, value)| value.clone());
            let value = found.next();
            assert_eq!(found.next(), None);
            value
        };
        let method = if request.method == HttpMethod::Post { "POST" } else { "GET" };
        let target = request.url.strip_prefix("https://proxy.example.com").unwrap();
        let nonce = "000102030405060708090a0b0c0d0e0f";
        let expected = key.authorization(MCH_ID, method, target, &request.body, NOW.as_seconds(), nonce).unwrap();
        assert_eq!(header("authorization").unwrap(), expected);
        assert_eq!(header("wechatpay-serial").as_deref(), Some(PUBLIC_KEY_ID));
        assert_eq!(header("accept").as_deref(), Some("application/json"));
        assert_eq!(header("content-type").is_some(), request.method == HttpMethod::Post);
    }
}

#[tokio::test]
async fn in_partner_mode_the_merchants_app_signs_for_the_front_end() {
    let (world, provider) = world(partner_mode());
    world.answers(200, r#"{"prepay_id":"wx01"}"#);
    let prepay = provider.pay(&order(Method::Jsapi)).await.unwrap();
    let invoke = provider.invoke(&order(Method::Jsapi), &prepay).unwrap();
    assert_eq!(invoke.0[0], ("appId", "wx7777777777777777".to_owned()));
    assert_eq!(provider.info().app_id, format!("{APP_ID}/wx7777777777777777"));
    assert!(world.replay.sent()[0].url.ends_with("/v3/pay/partner/transactions/jsapi"));
}

#[tokio::test]
async fn a_token_of_another_method_is_not_signed() {
    let (_, provider) = world(json!({}));
    for (method, token) in
        [(Method::Jsapi, ""), (Method::Jsapi, "weixin://x"), (Method::App, "a\nb"), (Method::H5, "wx01")]
    {
        let prepay = Prepay { token: token.to_owned(), valid_until: NOW };
        assert_eq!(provider.invoke(&order(method), &prepay).unwrap_err().kind, ErrorKind::Refused, "{method} {token}");
    }
}

#[tokio::test]
async fn an_order_that_wechat_cannot_take_is_not_sent() {
    let (world, provider) = world(json!({}));
    let order = PayOrder { openid: None, ..order(Method::Jsapi) };
    assert_eq!(provider.pay(&order).await.unwrap_err().kind, ErrorKind::Refused);
    assert!(world.replay.sent().is_empty());
}

/// The gateway's own address stands for the page: its name is cut to what WeChat takes, and it itself cannot be.
#[tokio::test]
async fn an_h5_orders_page_is_never_longer_than_wechat_takes() {
    let at = |host: &str| {
        let notify_url = format!("https://{host}/notify/bookshop/wechat/payment");
        PayOrder { notify_url, ..order(Method::H5) }
    };
    let long = format!("{}.example.com", "a".repeat(100));
    let too_long = format!("{}.example.com", ["a".repeat(60), "b".repeat(60)].join("."));
    let (world, provider) = world(json!({}));
    assert_eq!(provider.check(&at(&long)), []);
    world.answers(200, r#"{"h5_url":"https://wx.tenpay.com/x?prepay_id=wx01"}"#);
    provider.pay(&at(&long)).await.unwrap();
    let sent: Value = serde_json::from_slice(&world.replay.sent()[0].body).unwrap();
    let page = &sent["scene_info"]["h5_info"];
    assert_eq!(page["app_url"], format!("https://{long}"));
    assert_eq!(page["app_name"], long[..64]);

    let fields: Vec<&str> = provider.check(&at(&too_long)).iter().map(|problem| problem.field).collect();
    assert_eq!(fields, ["method"]);
    assert_eq!(provider.pay(&at(&too_long)).await.unwrap_err().kind, ErrorKind::Refused);
    let native = PayOrder { method: Method::Native, ..at(&too_long) };
    assert_eq!(provider.check(&native), []);
    let configured = World::default().provider(json!({ "h5_url": "https://books.example.com" }));
    assert_eq!(configured.check(&at(&too_long)), []);
}

/// The order of judgement: what each answer to a payment means for the money.
#[tokio::test]
async fn every_answer_to_a_payment_is_judged() {
    use ErrorKind::{NotSent, Refused, Unknown};
    let error = |code: &str, message: &str| json!({ "code": code, "message": message }).to_string();
    let good = r#"{"prepay_id":"wx01"}"#;
    let now = World::default();
    let by_us = |status, body: &str| now.signed_by(PUBLIC_KEY_ID, status, body);
    let changed = |change: &dyn Fn(&mut HttpAnswer)| {
        let mut answer = by_us(200, good).unwrap();
        change(&mut answer);
        Ok(answer)
    };
    let cases = [
        (not_sent(), NotSent, Reason::Transport),
        (timeout(), Unknown, Reason::Timeout),
        (broken(), Unknown, Reason::Transport),
        (Err(TransportError::TooLong { host: "h".into(), limit: 1 }), Unknown, Reason::Transport),
        // Not signed: a success is forged, an error ends nothing.
        (unsigned(200, good), Unknown, Reason::BadSignature),
        (unsigned(204, ""), Unknown, Reason::BadSignature),
        (unsigned(401, &error("SIGN_ERROR", "签名错误")), NotSent, Reason::Configuration),
        (unsigned(400, &error("PARAM_ERROR", "")), NotSent, Reason::Other),
        (unsigned(500, &error("SYSTEM_ERROR", "")), Unknown, Reason::Platform),
        (unsigned(400, "<html>400 Bad Request</html>"), Unknown, Reason::Platform),
        (unsigned(502, "<html>bad gateway</html>"), Unknown, Reason::Platform),
        // Signed, and not as it must be.
        (changed(&|answer| answer.body = good.replace("wx01", "wx02").into()), Unknown, Reason::BadSignature),
        (changed(&|answer| answer.body = br#"{"prepay_id": "wx01"}"#[..].into()), Unknown, Reason::BadSignature),
        (changed(&|answer| drop(answer.headers.remove(3))), Unknown, Reason::BadSignature),
        (changed(&|answer| answer.headers.push(answer.headers[0].clone())), Unknown, Reason::BadSignature),
        (now.signed_by("PUB_KEY_ID_UNKNOWN", 200, good), Unknown, Reason::BadSignature),
        (
            changed(&|answer| answer.headers = signed(PUBLIC_KEY_ID, NOW.as_seconds() - 300, good.as_bytes())),
            Unknown,
            Reason::BadSignature,
        ),
        // Signed, and says what cannot be understood.
        (by_us(200, "<html>busy</html>"), Unknown, Reason::Transport),
        (by_us(200, r#"{"prepay_id":"wx01","#), Unknown, Reason::Transport),
        (by_us(200, r#"{"prepay_id":"wx01","prepay_id":"wx02"}"#), Unknown, Reason::Transport),
        (by_us(200, r#"{"code_url":"weixin://x"}"#), Unknown, Reason::Transport),
        (by_us(400, "{}"), Unknown, Reason::Other),
        (by_us(500, &error("SYSTEM_ERROR", "系统繁忙")), Unknown, Reason::Platform),
        (by_us(400, &error("ORDER_PAID", "该订单已支付")), Refused, Reason::AlreadyPaid),
        (by_us(403, &error("OUT_TRADE_NO_USED", "商户订单号重复")), Refused, Reason::NumberUsed),
        (by_us(500, &error("OPENID_MISMATCH", "openid和appid不匹配")), Refused, Reason::PayerMismatch),
        (by_us(429, &error("FREQUENCY_LIMITED", "")), NotSent, Reason::RateLimited),
        (by_us(400, &error("SOMETHING_NEW", "?")), Unknown, Reason::Unlisted),
    ];
    for (answer, kind, reason) in cases {
        let shown = format!("{answer:?}");
        let (world, provider) = world(json!({ "base_url": "https://pay.example.com" }));
        world.replay.push(answer);
        let error = provider.pay(&order(Method::Jsapi)).await.unwrap_err();
        assert_eq!((error.kind, error.reason), (kind, reason), "{shown}");
        if reason == Reason::PayerMismatch {
            assert!(error.message.contains("openid belongs to another app"), "{error}");
        }
    }
}

/// The platform tests us, and may have done what was asked: the same again, quietly.
#[tokio::test]
async fn a_probe_is_answered_by_the_same_call_again() {
    let probe = |world: &World, body: &str| {
        let mut answer = world.signed_by(PUBLIC_KEY_ID, 200, body).unwrap();
        answer.headers[3].1 = format!("WECHATPAY/SIGNTEST/{}", &answer.headers[3].1[19..]);
        world.replay.push(Ok(answer));
    };
    let (world_, provider) = world(json!({}));
    probe(&world_, r#"{"prepay_id":"wx00"}"#);
    world_.answers(200, r#"{"prepay_id":"wx01"}"#);
    assert_eq!(provider.pay(&order(Method::Jsapi)).await.unwrap().token, "wx01");
    let sent = world_.replay.sent();
    assert_eq!((sent.len(), &sent[0].body), (2, &sent[1].body));

    let (world, provider) = world(json!({}));
    probe(&world, r#"{"prepay_id":"wx00"}"#);
    probe(&world, r#"{"prepay_id":"wx00"}"#);
    let error = provider.pay(&order(Method::Jsapi)).await.unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::Unknown, Reason::BadSignature));
}

fn paid(state: &str) -> Value {
    json!({
        "appid": APP_ID, "mchid": MCH_ID, "out_trade_no": "T20260704000017", "trade_state": state,
        "transaction_id": "42", "success_time": "2026-07-04T12:30:45.120+08:00", "payer": { "openid": "o1" },
        "amount": { "total": 5990, "payer_total": 5890, "currency": "CNY" },
    })
}

#[tokio::test]
async fn a_query_says_what_became_of_the_order() {
    for state in ["SUCCESS", "REFUND"] {
        let (world, provider) = world(json!({}));
        world.answers(200, &paid(state).to_string());
        let found = provider.query(&order(Method::Jsapi)).await.unwrap().into_inner();
        let OrderWord::Paid(facts) = found.word else { panic!("{:?}", found.word) };
        assert_eq!((facts.amount, facts.paid_at.map(|at| at.as_millis())), (fen(5990), Some(NOW.as_millis() + 120)));
    }
    for (state, word) in [
        ("NOTPAY", OrderWord::Waiting),
        ("USERPAYING", OrderWord::Waiting),
        ("PAYERROR", OrderWord::Waiting),
        ("CLOSED", OrderWord::Closed),
        ("REVOKED", OrderWord::Closed),
        ("NEWSTATE", OrderWord::Unrecognised),
    ] {
        let (world, provider) = world(json!({}));
        world.answers(200, &json!({ "out_trade_no": "T20260704000017", "trade_state": state }).to_string());
        assert_eq!(provider.query(&order(Method::Jsapi)).await.unwrap().get().word, word);
    }
    let (world_, provider) = world(json!({}));
    world_.answers(404, r#"{"code":"ORDER_NOT_EXIST","message":"订单不存在"}"#);
    assert_eq!(provider.query(&order(Method::Jsapi)).await.unwrap().get().word, OrderWord::Missing);

    // Paid needs every fact, for the very order asked after.
    for missing in ["out_trade_no", "amount", "transaction_id"] {
        let (world, provider) = world(json!({}));
        let mut answer = paid("SUCCESS");
        answer.as_object_mut().unwrap().remove(missing);
        world.answers(200, &answer.to_string());
        assert!(provider.query(&order(Method::Jsapi)).await.is_err(), "{missing}");
    }
    let (world, provider) = world(json!({}));
    world.answers(200, r#"{"out_trade_no":"T2","trade_state":"CLOSED"}"#);
    assert!(provider.query(&order(Method::Jsapi)).await.is_err());
}

/// Its question named them.
#[tokio::test]
async fn a_paid_answer_that_names_neither_app_nor_merchant_is_about_ours() {
    for mode in [json!({}), partner_mode(), json!({ "sub_mch_id": "1900000100" })] {
        let (world, provider) = world(mode.clone());
        let mut answer = paid("SUCCESS");
        for name in ["appid", "mchid"] {
            answer.as_object_mut().unwrap().remove(name);
        }
        world.answers(200, &answer.to_string());
        let found = provider.query(&order(Method::Jsapi)).await.unwrap().into_inner();
        let OrderWord::Paid(facts) = found.word else { panic!("{mode}: {:?}", found.word) };
        // Of a partner's two apps, the merchant's is left out as it was.
        assert_eq!((facts.app_id.as_str(), &facts.merchant_id), (APP_ID, &provider.info().merchant_id), "{mode}");
    }
    // What is named counts, ours or not.
    let (world, provider) = world(json!({}));
    let mut answer = paid("SUCCESS");
    (answer["appid"], answer["mchid"]) = (json!("wx7777777777777777"), json!("1900000110"));
    world.answers(200, &answer.to_string());
    let found = provider.query(&order(Method::Jsapi)).await.unwrap().into_inner();
    let OrderWord::Paid(facts) = found.word else { panic!("{:?}", found.word) };
    assert_eq!((facts.app_id.as_str(), facts.merchant_id.as_str()), ("wx7777777777777777", "1900000110"));
}

/// 202 says "accepted", and only with a code that it was not.
#[tokio::test]
async fn what_is_accepted_without_a_code_is_no_refusal() {
    let (world, provider) = world(json!({}));
    world.answers(202, r#"{"prepay_id":"wx01"}"#);
    assert_eq!(provider.pay(&order(Method::Jsapi)).await.unwrap().token, "wx01");
    world.answers(202, &refunded("PROCESSING").to_string());
    assert_eq!(provider.refund(&refund()).await.unwrap().get().word, RefundWord::Processing);
    for body in ["", "{}"] {
        world.answers(202, body);
        provider.close(&order(Method::Jsapi)).await.unwrap();
    }
}

#[tokio::test]
async fn a_query_goes_by_wechats_number_where_it_is_known() {
    let (world, provider) = world(json!({}));
    world.answers(200, &paid("SUCCESS").to_string());
    let known = PayOrder { transaction_id: TransactionId::new("4200").ok(), ..order(Method::Jsapi) };
    provider.query(&known).await.unwrap();
    assert!(world.replay.sent()[0].url.ends_with("/v3/pay/transactions/id/4200?mchid=1900000109"));
}

#[tokio::test]
async fn closing_what_cannot_be_paid_succeeds() {
    for (status, code, reason) in [
        (400, "ORDER_CLOSED", None),
        (400, "ORDERCLOSED", None),
        (404, "ORDER_NOT_EXIST", None),
        (400, "ORDER_PAID", Some(Reason::AlreadyPaid)),
        (500, "SYSTEM_ERROR", Some(Reason::Platform)),
        (202, "USER_PAYING", Some(Reason::Platform)),
    ] {
        let (world, provider) = world(json!({ "base_url": "https://pay.example.com" }));
        world.answers(status, &json!({ "code": code, "message": "m" }).to_string());
        let closed = provider.close(&order(Method::Jsapi)).await;
        assert_eq!(closed.err().map(|error| error.reason), reason, "{code}");
    }
    let (world, provider) = world(json!({}));
    world.answers(204, "");
    provider.close(&order(Method::Jsapi)).await.unwrap();
    assert_eq!(world.replay.sent()[0].body, r#"{"mchid":"1900000109"}"#);
}

fn refunded(status: &str) -> Value {
    json!({
        "refund_id": "50300", "out_refund_no": "RF-1", "transaction_id": "42", "out_trade_no": "T20260704000017",
        "channel": "ORIGINAL", "status": status, "amount": { "total": 5990, "refund": 1990, "currency": "CNY" },
    })
}

#[tokio::test]
async fn a_refund_is_what_wechat_says_it_is() {
    for (status, word) in [
        ("PROCESSING", RefundWord::Processing),
        ("SUCCESS", RefundWord::Succeeded),
        ("CLOSED", RefundWord::Closed),
        ("ABNORMAL", RefundWord::Abnormal),
        ("NEW", RefundWord::Unrecognised),
    ] {
        let (world, provider) = world(json!({}));
        world.answers(200, &refunded(status).to_string());
        world.answers(200, &refunded(status).to_string());
        let made = provider.refund(&refund()).await.unwrap().into_inner();
        let asked = provider.query_refund(&refund_query()).await.unwrap().into_inner();
        assert_eq!((made.word, made.amount), (word, Some(fen(1990))));
        assert_eq!(made, asked);
        assert_eq!(made.trade_no.as_ref().map(|number| number.as_str()), Some("T20260704000017"));
        assert_eq!(asked.provider_refund_id.unwrap().as_str(), "50300");
    }
    for code in ["RESOURCE_NOT_EXISTS", "ORDER_NOT_EXIST"] {
        let (world, provider) = world(json!({}));
        world.answers(404, &json!({ "code": code, "message": "m" }).to_string());
        let status = provider.query_refund(&refund_query()).await.unwrap().into_inner();
        assert_eq!(status.word, RefundWord::Missing);
    }
    let (world_, provider) = world(json!({}));
    world_.answers(200, &refunded("SUCCESS").to_string().replace("RF-1", "RF-2"));
    assert!(provider.query_refund(&refund_query()).await.is_err());
    // One number may stand for another order's refund: what was asked after says whose it is, what was made is ours.
    let (other, provider) = world(json!({}));
    let another = refunded("SUCCESS").to_string().replace("T20260704000017", "T2");
    other.answers(200, &another);
    other.answers(200, &another);
    let asked = provider.query_refund(&refund_query()).await.unwrap().into_inner();
    assert_eq!(asked.trade_no.as_ref().map(|number| number.as_str()), Some("T2"));
    assert_eq!(provider.refund(&refund()).await.unwrap_err().kind, ErrorKind::Unknown);
    // A false "no" that nobody signed would pay twice.
    let (world, provider) = world(json!({}));
    world.replay.push(unsigned(403, r#"{"code":"NOT_ENOUGH","message":"余额不足"}"#));
    assert_eq!(provider.refund(&refund()).await.unwrap_err().kind, ErrorKind::Unknown);
}

fn bill_vector() -> (Vec<u8>, &'static str) {
    let vectors = VECTORS["vectors"].as_array().unwrap();
    let input = &vectors.iter().find(|vector| vector["kind"] == "v3_bill").unwrap()["input"];
    let file = BASE64_STANDARD.decode(input["file_base64"].as_str().unwrap()).unwrap();
    (file, input["hash_value"].as_str().unwrap())
}

fn bill_answer(hash: &str, url: &str) -> String {
    json!({ "hash_type": "SHA1", "hash_value": hash, "download_url": url }).to_string()
}

#[tokio::test]
async fn a_bill_is_rows_nothing_or_not_yet() {
    const URL: &str = "https://api.mch.weixin.qq.com/v3/billdownload/file?token=a%2Fb&tartype=gzip";
    let day = time::macros::date!(2026 - 07 - 04);
    let (file, hash) = bill_vector();
    let downloaded = |body: Vec<u8>| Ok(HttpAnswer { status: 200, headers: Vec::new(), body: body.into() });

    let (world_, provider) = world(json!({}));
    world_.answers(200, &bill_answer(hash, URL));
    world_.replay.push(downloaded(file.clone()));
    assert_eq!(provider.bill(day).await.unwrap().rows.len(), 2);
    let sent = world_.replay.sent();
    assert_eq!(sent[1].url, URL, "the address as it was given");
    assert!(sent[1].headers.iter().any(|(name, _)| *name == "authorization"));

    for code in ["NO_STATEMENT_EXIST", "NO_BILL_EXIST"] {
        let (world, provider) = world(json!({}));
        world.answers(400, &json!({ "code": code, "message": "账单不存在" }).to_string());
        assert_eq!(provider.bill(day).await.unwrap(), Bill::default());
    }
    let (world_, provider) = world(json!({}));
    world_.answers(400, r#"{"code":"STATEMENT_CREATING","message":"m"}"#);
    let error = provider.fund_bill(day).await.unwrap_err();
    assert_eq!((error.kind, error.reason), (ErrorKind::NotSent, Reason::Platform));

    // Another file than was signed, and addresses that our signature does not go to.
    let (world_, provider) = world(json!({}));
    world_.answers(200, &bill_answer(&"0".repeat(40), URL));
    world_.replay.push(downloaded(file));
    assert!(provider.bill(day).await.unwrap_err().message.contains("hash"));
    for url in [
        "https://evil.example.com/v3/billdownload/file?token=1",
        "https://api.mch.weixin.qq.com.evil.example.com/file",
        "https://api.mch.weixin.qq.com@evil.example.com/file",
        "http://api.mch.weixin.qq.com/v3/billdownload/file",
    ] {
        let (world, provider) = world(json!({}));
        world.answers(200, &bill_answer(hash, url));
        assert!(provider.bill(day).await.unwrap_err().message.contains("download_url"), "{url}");
        assert_eq!(world.replay.sent().len(), 1);
    }
}

#[tokio::test]
async fn a_login_names_the_paying_app() {
    for (changes, app) in [(json!({}), APP_ID), (partner_mode(), "wx7777777777777777")] {
        let (world, provider) = world(changes);
        world.replay.push(unsigned(200, r#"{"openid":"o1","session_key":"k"}"#));
        assert_eq!(provider.login(&Secret::new("code")).await.unwrap().openid, "o1");
        let url = &world.replay.sent()[0].url;
        assert!(url.starts_with(&format!("https://api.weixin.qq.com/sns/jscode2session?appid={app}&")), "{url}");
    }
    let (_, provider) = world(json!({ "app_secret": null }));
    assert!(!provider.capabilities().login);
    assert_eq!(provider.login(&Secret::new("code")).await.unwrap_err().reason, Reason::Configuration);
}

#[tokio::test]
async fn the_merchants_own_certificate_is_watched_too() {
    let (_, provider) = world(json!({ "certificate": "file:keys.merchant.certificate_pem" }));
    let own = provider.trust().remove(0);
    assert_eq!(own.serial, key_text("keys.merchant.serial_no"));
    assert_eq!(own.expires_at.map(|end| end.as_seconds()), Some(1_924_992_000));
    let headers = signed(PUBLIC_KEY_ID, 1, b"");
    assert!(Signature::read(&headers).is_ok() && World::default().provider(certificate_mode()).trust().is_empty());
}

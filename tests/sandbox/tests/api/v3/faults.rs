//! Every fault of the control API, on v3 calls.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::{Answer, Shop, now};

const JSAPI: &str = "/v3/pay/transactions/jsapi";

async fn set(shop: &Shop, operation: &str, fault: Value) {
    shop.bench.must("/faults", json!({ "operation": operation, "times": 1, "fault": fault })).await;
}

async fn order(shop: &Shop, number: &str) -> reqwest::Result<Answer> {
    shop.send("POST", JSAPI, &shop.order(number).to_string(), shop.bent()).await
}

async fn exists(shop: &Shop, number: &str) -> bool {
    shop.query(number).await.status == 200
}

#[tokio::test]
async fn answers_that_do_not_come() {
    let shop = Shop::open();
    for (n, (fault, effect)) in [
        (json!({ "type": "drop" }), false),
        (json!({ "type": "lose_answer" }), true),
        (json!({ "type": "hang", "ms": 20 }), false),
        (json!({ "type": "hang", "ms": 20, "after_effect": true }), true),
    ]
    .into_iter()
    .enumerate()
    {
        let number = format!("T202607041700{n:02}");
        set(&shop, "v3_prepay", fault.clone()).await;
        let error = order(&shop, &number).await.err().expect("no answer");
        assert!(!error.is_timeout() && error.status().is_none(), "{fault}: {error:?}");
        assert_eq!(exists(&shop, &number).await, effect, "{fault}");
        assert_eq!(order(&shop, &number).await.unwrap().status, 200, "it struck once");
    }
    let journal = shop.bench.look("/journal?out_trade_no=T20260704170001&operation=v3_prepay").await;
    assert_eq!(journal["entries"][0]["note"], "fault: lose_answer");
    assert!(journal["entries"][0]["response"].as_str().unwrap().contains("prepay_id"));
}

#[tokio::test]
async fn the_journal_says_whether_an_answer_was_vouched_for() {
    let shop = Shop::open();
    let number = "T20260704170801";
    shop.prepay(number, "http://127.0.0.1:9/notify").await;
    let path = format!("/v3/pay/transactions/out-trade-no/{number}?mchid={}", shop.mch_id);
    let genuine = async |fault: Option<Value>| {
        if let Some(fault) = fault {
            set(&shop, "v3_query", fault).await;
        }
        // Some of these answers never come.
        let _ = shop.send("GET", &path, "", shop.bent()).await;
        let journal = shop.bench.look("/journal?operation=v3_query").await;
        journal["entries"].as_array().unwrap().last().unwrap()["v3"]["genuine"] == true
    };
    assert!(genuine(None).await);
    assert!(genuine(Some(json!({ "type": "slow_body", "ms": 20 }))).await);
    assert!(genuine(Some(json!({ "type": "err_code", "code": "SYSTEM_ERROR" }))).await, "a refusal is signed too");
    for fault in [
        json!({ "type": "bad_signature" }),
        json!({ "type": "truncate" }),
        json!({ "type": "cut_body" }),
        json!({ "type": "lose_answer" }),
        json!({ "type": "hang", "ms": 20, "after_effect": true }),
        json!({ "type": "http", "status": 200, "body": "{}" }),
        json!({ "type": "return_fail", "message": "签名错误" }),
        json!({ "type": "signature", "damage": "probe" }),
        json!({ "type": "signature", "damage": "missing" }),
        json!({ "type": "signature", "damage": "doubled" }),
        json!({ "type": "signature", "damage": "unknown_serial" }),
        json!({ "type": "signature", "damage": { "late": { "seconds": 400 } } }),
    ] {
        assert!(!genuine(Some(fault.clone())).await, "{fault}");
    }
}

#[tokio::test]
async fn a_refund_whose_answer_is_lost_is_there() {
    let shop = Shop::open();
    shop.prepay("T20260704170101", "http://127.0.0.1:9/notify").await;
    shop.pay("T20260704170101", json!({ "notify": false })).await;
    let fault = json!({ "type": "err_code", "code": "SYSTEM_ERROR", "after_effect": true });
    let rule = json!({ "operation": "v3_refund", "out_refund_no": "R1", "times": 1, "fault": fault });
    shop.bench.must("/faults", rule).await;
    let answer = shop.refund("T20260704170101", "R1", 100, "http://127.0.0.1:9/refund").await;
    assert_eq!(answer.code(), "500 SYSTEM_ERROR");
    assert!(shop.is_signed(&answer));
    assert_eq!(shop.get("/v3/refund/domestic/refunds/R1").await.json()["status"], "SUCCESS");
}

#[tokio::test]
async fn answers_that_are_wrong() {
    let shop = Shop::open();
    let number = "T20260704170201";
    for (code, status) in [
        ("SYSTEM_ERROR", 500),
        ("FREQUENCY_LIMITED", 429),
        ("NOT_ENOUGH", 403),
        ("NOTENOUGH", 403),
        ("USER_PAYING", 202),
        ("SOMETHING_NEW", 400),
    ] {
        set(&shop, "v3_prepay", json!({ "type": "err_code", "code": code })).await;
        let answer = order(&shop, number).await.unwrap();
        assert_eq!(answer.code(), format!("{status} {code}"));
        assert!(shop.is_signed(&answer));
    }
    set(
        &shop,
        "v3_prepay",
        json!({ "type": "err_code", "code": "NOT_ENOUGH", "status": 400, "description": "余额不足" }),
    )
    .await;
    assert_eq!(order(&shop, number).await.unwrap().code(), "400 NOT_ENOUGH", "a status of one's own");
    assert!(!exists(&shop, number).await);

    set(&shop, "*", json!({ "type": "return_fail", "message": "签名错误" })).await;
    let answer = order(&shop, number).await.unwrap();
    assert_eq!((answer.code().as_str(), answer.header("wechatpay-signature")), ("401 SIGN_ERROR", ""));
    set(&shop, "v3_prepay", json!({ "type": "http", "status": 502, "body": "<html>Bad Gateway</html>" })).await;
    let answer = order(&shop, number).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (502, b"<html>Bad Gateway</html>".as_slice()));
    assert!(!exists(&shop, number).await);

    for (fault, has) in [
        (json!({ "type": "bad_signature" }), true),
        (json!({ "type": "truncate" }), true),
        (json!({ "type": "signature", "damage": "probe" }), true),
        (json!({ "type": "signature", "damage": "missing" }), false),
        (json!({ "type": "signature", "damage": "unknown_serial" }), true),
        (json!({ "type": "signature", "damage": { "late": { "seconds": 600 } } }), true),
    ] {
        set(&shop, "v3_prepay", fault.clone()).await;
        let answer = order(&shop, number).await.unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(!answer.header("wechatpay-signature").is_empty(), has, "{fault}");
        assert!(!has || !shop.is_signed(&answer), "{fault}");
    }
    set(&shop, "v3_prepay", json!({ "type": "signature", "damage": "doubled" })).await;
    assert_eq!(order(&shop, number).await.unwrap().headers.get_all("wechatpay-signature").iter().count(), 2);
    set(&shop, "v3_prepay", json!({ "type": "duplicate_field" })).await;
    let text = String::from_utf8(order(&shop, number).await.unwrap().body).unwrap();
    assert_eq!(
        text.matches("\"prepay_id\"").count() + text.matches("\"sandbox_extra\"").count(),
        2 + usize::from(text.contains("sandbox_extra")),
        "{text}"
    );
    set(&shop, "v3_prepay", json!({ "type": "huge_answer", "bytes": 300_000 })).await;
    let huge = order(&shop, number).await.unwrap();
    assert!(huge.body.len() > 300_000 && shop.is_signed(&huge));
}

#[tokio::test]
async fn bodies_that_drag() {
    let shop = Shop::open();
    let number = "T20260704170301";
    set(&shop, "v3_prepay", json!({ "type": "cut_body" })).await;
    let error = order(&shop, number).await.err().expect("half a body");
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert!(exists(&shop, number).await);
    for fault in [json!({ "type": "slow_body", "ms": 200 }), json!({ "type": "delay", "ms": 150 })] {
        set(&shop, "v3_prepay", fault.clone()).await;
        let started = Instant::now();
        let answer = order(&shop, number).await.unwrap();
        assert!(shop.is_signed(&answer) && answer.header("content-type").starts_with("application/json"), "{fault}");
        assert!(started.elapsed() >= Duration::from_millis(150), "{fault}");
    }
}

#[tokio::test]
async fn an_unknown_field_is_signed_too() {
    let shop = Shop::open();
    shop.bench.must("/policy", json!({ "unknown_field_share": 1 })).await;
    let answer = order(&shop, "T20260704170401").await.unwrap();
    assert!(shop.is_signed(&answer) && answer.json()["sandbox_extra"].is_string());
    assert!(now() > 0);
}

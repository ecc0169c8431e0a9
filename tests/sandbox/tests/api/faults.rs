//! Every fault, through the wire.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{APP, Bench, MCH, OTHER_MCH, assert_code, fields, order_fields, read_xml};

async fn set(bench: &Bench, operation: &str, fault: serde_json::Value) {
    bench.must("/faults", json!({ "operation": operation, "times": 1, "fault": fault })).await;
}

/// One unifiedorder under the fault; the raw answer.
async fn order(bench: &Bench, number: &str) -> reqwest::Result<(u16, String)> {
    let xml = bench.sign(MCH, &order_fields(number, &[("mch_id", MCH), ("appid", APP)])).await;
    bench.send("/pay/unifiedorder", xml).await
}

async fn exists(bench: &Bench, number: &str) -> bool {
    bench.query(number).await["result_code"] == "SUCCESS"
}

#[tokio::test]
async fn answers_that_do_not_come() {
    let bench = Bench::start();
    for (n, (fault, effect)) in [
        (json!({ "type": "drop" }), false),
        (json!({ "type": "lose_answer" }), true),
        (json!({ "type": "hang", "ms": 20 }), false),
        (json!({ "type": "hang", "ms": 20, "after_effect": true }), true),
    ]
    .into_iter()
    .enumerate()
    {
        let number = format!("T202607040040{n:02}");
        set(&bench, "unifiedorder", fault.clone()).await;
        let error = order(&bench, &number).await.expect_err("no answer");
        assert!(!error.is_timeout() && error.status().is_none(), "{fault}: {error:?}");
        assert_eq!(exists(&bench, &number).await, effect, "{fault}");
        // The fault struck once.
        assert_code(&read_xml(&order(&bench, &number).await.unwrap().1), "SUCCESS");
    }
    let journal = bench.look("/journal?out_trade_no=T20260704004001&operation=unifiedorder").await;
    assert_eq!(journal["entries"][0]["note"], "fault: lose_answer");
}

#[tokio::test]
async fn a_caller_that_hangs_up_does_not_undo_the_call() {
    let bench = Bench::start();
    set(&bench, "unifiedorder", json!({ "type": "delay", "ms": 2000 })).await;
    let xml = bench.sign(MCH, &order_fields("T20260704004050", &[("mch_id", MCH), ("appid", APP)])).await;
    let url = format!("{}/pay/unifiedorder", bench.sandbox.http_url());
    let calling = tokio::spawn(bench.client.post(url).body(xml).send());
    // The fault is taken by the call that it holds up.
    crate::support::until(async || bench.look("/faults").await["faults"].as_array()?.is_empty().then_some(())).await;
    calling.abort();
    assert!(calling.await.is_err_and(|ended| ended.is_cancelled()), "it was answered before anybody hung up");
    crate::support::until(async || exists(&bench, "T20260704004050").await.then_some(())).await;
}

#[tokio::test]
async fn answers_that_are_wrong() {
    let bench = Bench::start();
    let number = "T20260704004100";

    set(&bench, "unifiedorder", json!({ "type": "err_code", "code": "SYSTEMERROR", "description": "系统错误" })).await;
    let answer = read_xml(&order(&bench, number).await.unwrap().1);
    assert_code(&answer, "SYSTEMERROR");
    assert_eq!(answer["sign"].len(), 32);
    assert!(!exists(&bench, number).await);

    set(&bench, "*", json!({ "type": "return_fail", "message": "签名错误" })).await;
    assert_code(&read_xml(&order(&bench, number).await.unwrap().1), "!签名错误");

    set(&bench, "unifiedorder", json!({ "type": "http", "status": 502, "body": "<html>Bad Gateway</html>" })).await;
    assert_eq!(order(&bench, number).await.unwrap(), (502, "<html>Bad Gateway</html>".to_owned()));
    assert!(!exists(&bench, number).await);

    set(&bench, "unifiedorder", json!({ "type": "err_code", "code": "SYSTEMERROR", "after_effect": true })).await;
    assert_code(&read_xml(&order(&bench, number).await.unwrap().1), "SYSTEMERROR");
    assert!(exists(&bench, number).await);

    set(&bench, "unifiedorder", json!({ "type": "bad_signature" })).await;
    let mut answer = read_xml(&order(&bench, number).await.unwrap().1);
    let signature = answer.remove("sign").unwrap();
    assert_ne!(read_xml(&bench.sign(MCH, &answer).await)["sign"], signature);

    set(&bench, "unifiedorder", json!({ "type": "truncate" })).await;
    assert!(!order(&bench, number).await.unwrap().1.contains("</xml>"));

    set(&bench, "unifiedorder", json!({ "type": "duplicate_field" })).await;
    assert_eq!(order(&bench, number).await.unwrap().1.matches("<result_code>").count(), 2);

    set(&bench, "unifiedorder", json!({ "type": "huge_answer", "bytes": 300_000 })).await;
    assert!(order(&bench, number).await.unwrap().1.len() > 300_000);
}

#[tokio::test]
async fn faults_strike_whom_they_are_meant_for() {
    let bench = Bench::start();
    let fault = json!({ "type": "err_code", "code": "SYSTEMERROR" });
    bench
        .must("/faults", json!({ "operation": "orderquery", "out_trade_no": "T20260704004201", "fault": fault }))
        .await;
    bench.must("/faults", json!({ "operation": "orderquery", "mch_id": OTHER_MCH, "fault": fault })).await;
    bench.order("T20260704004200", &[]).await;
    assert_code(&bench.query("T20260704004200").await, "SUCCESS");
    for _ in 0..3 {
        assert_code(&bench.query("T20260704004201").await, "SYSTEMERROR");
    }
    bench.client.delete(format!("{}/_sandbox/faults", bench.sandbox.http_url())).send().await.unwrap();
    assert_code(&bench.query("T20260704004201").await, "ORDERNOTEXIST");
    for bad in [
        json!({}),
        json!({ "operation": "*", "fault": { "type": "nonsense" } }),
        json!({ "operation": "*", "fault": { "type": "delay" } }),
    ] {
        assert_eq!(bench.control("/faults", bad).await.0, 400);
    }
}

#[tokio::test]
async fn nothing_at_all_is_written_before_a_close() {
    let bench = Bench::start();
    set(&bench, "*", json!({ "type": "lose_answer" })).await;
    let address = bench.sandbox.http_url().replace("http://", "");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(b"POST /pay/orderquery HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    assert_eq!(String::from_utf8_lossy(&bytes), "");
}

#[tokio::test]
async fn bodies_that_drag() {
    let bench = Bench::start();
    set(&bench, "unifiedorder", json!({ "type": "cut_body" })).await;
    let error = order(&bench, "T20260704004400").await.expect_err("half a body");
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert!(exists(&bench, "T20260704004400").await);

    set(&bench, "unifiedorder", json!({ "type": "slow_body", "ms": 200 })).await;
    let started = Instant::now();
    assert_code(&read_xml(&order(&bench, "T20260704004400").await.unwrap().1), "SUCCESS");
    assert!(started.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn the_platform_shows_another_time() {
    let bench = Bench::start();
    bench.must("/policy", json!({ "date_skew_seconds": -86_400 })).await;
    let url = format!("{}/pay/orderquery", bench.sandbox.http_url());
    let wrong = bench.client.post(url).send().await.unwrap().headers()["date"].clone();
    let url = format!("{}/_sandbox/state", bench.sandbox.http_url());
    let right = bench.client.get(url).send().await.unwrap().headers()["date"].clone();
    // Another day of the week.
    assert_ne!(wrong.to_str().unwrap()[..3], right.to_str().unwrap()[..3]);
}

#[tokio::test]
async fn a_delay_delays() {
    let bench = Bench::start();
    set(&bench, "closeorder", json!({ "type": "delay", "ms": 80 })).await;
    let started = Instant::now();
    assert_code(&bench.call("/pay/closeorder", fields(&[("out_trade_no", "T20260704004300")])).await, "ORDERNOTEXIST");
    assert!(started.elapsed() >= Duration::from_millis(80));
}

#[tokio::test]
async fn a_fault_of_an_operation_that_does_not_exist_is_refused() {
    let bench = Bench::start();
    for (path, wrong, right) in [
        ("/faults", "unifiedorders", &["unifiedorder", "downloadbill", "jscode2session", "stable_token", "token"][..]),
        ("/faults", "client_token", &["get_api_domain_ip", "v3_prepay", "v3_query", "v3_certificates", "*"]),
        ("/douyin/faults", "unifiedorder", &["client_token", "event_send", "*"]),
    ] {
        let fault = |operation: &str| json!({ "operation": operation, "fault": { "type": "drop" } });
        let (status, answer) = bench.control(path, fault(wrong)).await;
        assert_eq!(status, 400, "{path} {wrong}: {answer}");
        let error = answer["error"].as_str().unwrap();
        for operation in right {
            assert!(error.contains(operation), "{operation}: {error}");
            bench.must(path, fault(operation)).await;
        }
    }
}

//! Answers that are late, lost, wrong or broken.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::kit::{KEY, OTHER_KEY, OTHER_SECRET, SECRET, plain};
use crate::support::Bench;

/// The raw answer of client_token: status and body, or nothing.
async fn ask(bench: &Bench, client_key: &str, secret: &str) -> Option<(u16, String)> {
    let body = json!({ "grant_type": "client_credential", "client_key": client_key, "client_secret": secret });
    let url = format!("{}/oauth/client_token/", bench.sandbox.https_url());
    let response = bench.client.post(url).json(&body).send().await.ok()?;
    Some((response.status().as_u16(), response.text().await.ok()?))
}

async fn set(bench: &Bench, fault: Value) {
    bench.must("/douyin/faults", json!({ "operation": "client_token", "times": 1, "fault": fault })).await;
}

#[tokio::test]
async fn each_fault_strikes_once() {
    let bench = plain().await;
    let refused = |code: i64| format!("\"error_code\":{code}");
    let cases = [
        (json!({ "type": "err_code", "code": "2100004" }), Some((200, refused(2_100_004)))),
        (json!({ "type": "err_code", "code": "10020", "description": "慢一点" }), Some((200, "慢一点".to_owned()))),
        (json!({ "type": "return_fail", "message": "忙" }), Some((200, refused(-1)))),
        (json!({ "type": "http", "status": 502, "body": "<html>" }), Some((502, "<html>".to_owned()))),
        (json!({ "type": "huge_answer", "bytes": 5000 }), Some((200, "x".repeat(5000)))),
        (json!({ "type": "duplicate_field" }), Some((200, "{\"data\":{},\"data\":".to_owned()))),
        (json!({ "type": "slow_body", "ms": 40 }), Some((200, "clt.".to_owned()))),
        (json!({ "type": "drop" }), None),
        (json!({ "type": "lose_answer" }), None),
        (json!({ "type": "cut_body" }), None),
        (json!({ "type": "hang", "ms": 20 }), None),
    ];
    for (fault, expected) in cases {
        set(&bench, fault.clone()).await;
        let got = ask(&bench, KEY, SECRET).await;
        match (&got, &expected) {
            (Some((status, body)), Some((wanted, part))) => {
                assert!(status == wanted && body.contains(part), "{fault}: {got:?}");
            }
            (None, None) => {}
            _ => panic!("{fault}: {got:?}"),
        }
        let (status, body) = ask(&bench, KEY, SECRET).await.unwrap();
        assert!(status == 200 && body.contains("clt."), "after {fault}: {body}");
    }
    set(&bench, json!({ "type": "truncate" })).await;
    let (_, body) = ask(&bench, KEY, SECRET).await.unwrap();
    assert!(serde_json::from_str::<Value>(&body).is_err(), "{body}");
    set(&bench, json!({ "type": "delay", "ms": 60 })).await;
    let started = Instant::now();
    assert!(ask(&bench, KEY, SECRET).await.is_some() && started.elapsed() >= Duration::from_millis(60));
}

#[tokio::test]
async fn an_answer_is_lost_after_its_effect() {
    let bench = plain().await;
    let token = bench.client_token().await;
    bench
        .must("/douyin/faults", json!({ "operation": "share_id", "times": 1, "fault": { "type": "lose_answer" } }))
        .await;
    let url = format!("{}/share-id/?need_callback=true", bench.sandbox.https_url());
    assert!(bench.client.get(&url).header("access-token", &token).send().await.is_err());
    assert_eq!(bench.look("/douyin/shares").await["shares"].as_array().unwrap().len(), 1);
    let journal = bench.look("/journal?operation=share_id").await;
    assert_eq!(journal["entries"][0]["note"], "fault: lose_answer");
    // Dropped before: no effect.
    bench.must("/douyin/faults", json!({ "operation": "share_id", "times": 1, "fault": { "type": "drop" } })).await;
    assert!(bench.client.get(&url).header("access-token", &token).send().await.is_err());
    assert_eq!(bench.look("/douyin/shares").await["shares"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_fault_of_one_app_leaves_the_others() {
    let bench = plain().await;
    let rule = json!({ "operation": "*", "client_key": OTHER_KEY, "fault": { "type": "http", "status": 500 } });
    bench.must("/douyin/faults", rule).await;
    assert_eq!(ask(&bench, KEY, SECRET).await.unwrap().0, 200);
    assert_eq!(ask(&bench, OTHER_KEY, OTHER_SECRET).await.unwrap().0, 500);
    // WeChat's own calls do not know of it, nor do theirs strike here.
    bench.must("/faults", json!({ "operation": "*", "fault": { "type": "drop" } })).await;
    assert_eq!(ask(&bench, KEY, SECRET).await.unwrap().0, 200);
    assert_eq!(bench.look("/douyin/faults").await["faults"][0]["client_key"], OTHER_KEY);
    let url = format!("{}/_sandbox/douyin/faults", bench.sandbox.http_url());
    bench.client.delete(url).send().await.unwrap();
    assert_eq!(ask(&bench, OTHER_KEY, OTHER_SECRET).await.unwrap().0, 200);
    for bad in
        [json!({ "operation": "*", "fault": { "type": "bad_signature" } }), json!({ "fault": { "type": "drop" } })]
    {
        assert_eq!(bench.control("/douyin/faults", bad).await.0, 400);
    }
}

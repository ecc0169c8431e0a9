//! Notifications sent by hand, lost, doubled, broken.

use serde_json::json;

use crate::support::{ACCEPTED, Bench, MCH, Receiver, read_xml, until};

async fn paid(bench: &Bench, number: &str, url: &str) {
    bench.order(number, &[("notify_url", url)]).await;
    bench.must(&format!("/orders/{MCH}/{number}/pay"), json!({ "notify": false })).await;
}

async fn is_signed(bench: &Bench, body: &str) -> bool {
    let mut fields = read_xml(body);
    let signature = fields.remove("sign").unwrap();
    read_xml(&bench.sign(MCH, &fields).await)["sign"] == signature
}

#[tokio::test]
async fn copies_changes_and_damage() {
    let bench = Bench::start();
    let receiver = Receiver::start(|_| (200, ACCEPTED.to_owned())).await;
    let number = "T20260704005000";
    paid(&bench, number, &receiver.url).await;
    assert_eq!(receiver.count(), 0);
    let path = format!("/orders/{MCH}/{number}/notify");

    let sent = bench.must(&path, json!({ "copies": 20, "concurrent": true })).await;
    let responses = sent["responses"].as_array().unwrap();
    assert_eq!(responses.len(), 20);
    assert!(responses.iter().all(|r| r["status"] == 200 && r["success"] == true && r["body"] == ACCEPTED), "{sent}");
    assert_eq!(receiver.count(), 20);

    bench.must(&path, json!({ "set": { "total_fee": 1989, "openid": null }, "nonce": "fixed" })).await;
    let body = receiver.wait(21).await[20].clone();
    let fields = read_xml(&body);
    assert_eq!((fields["total_fee"].as_str(), fields["nonce_str"].as_str()), ("1989", "fixed"));
    assert!(!fields.contains_key("openid") && is_signed(&bench, &body).await);

    for corrupt in ["sign", "body"] {
        bench.must(&path, json!({ "corrupt": corrupt })).await;
        let body = receiver.wait(receiver.count()).await.pop().unwrap();
        assert!(!is_signed(&bench, &body).await, "{corrupt}");
    }
    bench.must(&path, json!({ "corrupt": "truncate" })).await;
    assert!(!receiver.wait(24).await[23].contains("</xml>"));

    let nobody = bench.must(&path, json!({ "url": "http://127.0.0.1:1/" })).await;
    assert!(nobody["responses"][0]["status"].is_null() && nobody["responses"][0]["error"].is_string());
    for bad in [json!({ "copies": 0 }), json!({ "corrupt": "x" }), json!({ "kind": "refund", "x": 1 })] {
        assert_eq!(bench.control(&path, bad).await.0, 400);
    }
    assert_eq!(bench.control(&path, json!({ "kind": "refund" })).await.0, 404);
    assert_eq!(bench.look("/notifies").await["notifies"], json!([]));
}

#[tokio::test]
async fn raw_ones() {
    let bench = Bench::start();
    let receiver = Receiver::start(|_| (200, ACCEPTED.to_owned())).await;
    let raw = json!({
        "mch_id": MCH, "url": receiver.url, "sign_type": "HMAC-SHA256",
        "fields": { "return_code": "SUCCESS", "out_trade_no": "Never-seen", "total_fee": 1 },
    });
    let sent = bench.must("/notify-raw", raw).await;
    assert_eq!(sent["responses"][0]["success"], true);
    let fields = read_xml(&receiver.wait(1).await[0]);
    assert_eq!((fields["out_trade_no"].as_str(), fields["sign"].len()), ("Never-seen", 64));
    let written =
        bench.must("/encrypt-refund", json!({ "mch_id": MCH, "fields": { "refund_status": "SUCCESS" } })).await;
    assert!(written["xml"].as_str().unwrap().contains("<req_info>"));
}

#[tokio::test]
async fn lost_doubled_delayed_and_sent_elsewhere() {
    let bench = Bench::start();
    let receiver = Receiver::start(|_| (200, ACCEPTED.to_owned())).await;
    let rewrite = json!([{ "from": "https://pay.example.com/notify", "to": receiver.url }]);
    bench
        .must(
            "/policy",
            json!({ "drop_notifies": 1, "notify_duplicates": 2, "notify_delay_ms": 60_000, "notify_rewrite": rewrite }),
        )
        .await;
    bench.order("T20260704005100", &[("notify_url", "https://pay.example.com/notify/1")]).await;
    bench.pay("T20260704005100").await;
    let attempts = async |count: usize| {
        until(async || {
            let queue = bench.look("/notifies").await;
            let job = &queue["notifies"][0];
            (job["attempts"].as_array().unwrap().len() == count && job["state"] != "sending").then(|| job.clone())
        })
        .await
    };
    attempts(0).await;
    bench.must("/clock", json!({ "advance_seconds": 60 })).await;
    let job = attempts(1).await;
    assert!(job["attempts"][0]["delivery"].is_null() && receiver.count() == 0, "the first one is lost");
    bench.must("/clock", json!({ "advance_seconds": 15 })).await;
    assert_eq!(attempts(2).await["state"], "delivered");
    assert_eq!(receiver.wait(3).await.len(), 3, "the attempt and two more copies");
    bench.must("/reset", json!({})).await;
    assert_eq!(bench.look("/policy").await["notify_duplicates"], 0);
    assert_eq!(bench.look("/state").await["order_count"], 0);
    for bad in
        [json!({ "nonsense": 1 }), json!({ "unknown_field_share": 2 }), json!({ "drop_notifies": -1 }), json!([])]
    {
        assert_eq!(bench.control("/policy", bad).await.0, 400);
    }
}

#[tokio::test]
async fn an_unknown_field_is_signed_too() {
    let bench = Bench::start();
    bench.must("/policy", json!({ "unknown_field_share": 1 })).await;
    let receiver = Receiver::start(|_| (200, ACCEPTED.to_owned())).await;
    paid(&bench, "T20260704005200", &receiver.url).await;
    bench.must(&format!("/orders/{MCH}/T20260704005200/notify"), json!({})).await;
    let body = receiver.wait(1).await[0].clone();
    assert!(body.contains("<sandbox_extra>") && is_signed(&bench, &body).await);
    assert!(bench.query("T20260704005200").await.contains_key("sandbox_extra"));
}

#[tokio::test]
async fn a_fast_clock_repeats_soon_and_gives_up_at_last() {
    let bench = Bench::start();
    bench.order("T20260704005300", &[("notify_url", "http://127.0.0.1:1/nobody")]).await;
    bench.pay("T20260704005300").await;
    bench.must("/clock", json!({ "speed": 1_000_000 })).await;
    let job = until(async || {
        let queue = bench.look("/notifies").await;
        (queue["notifies"][0]["state"] == "given_up").then(|| queue["notifies"][0].clone())
    })
    .await;
    assert_eq!(job["attempts"].as_array().unwrap().len(), 16);
}

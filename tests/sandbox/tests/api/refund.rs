//! Refunds: the certificate, the rules, the states, the notification.

use serde_json::json;

use crate::support::{
    ACCEPTED, APP, Bench, MCH, OTHER_APP, OTHER_MCH, Receiver, assert_code, client, fields, read_xml,
};

async fn paid(bench: &Bench, number: &str) {
    bench.order(number, &[]).await;
    bench.pay(number).await;
}

#[tokio::test]
async fn the_client_certificate_decides() {
    let bench = Bench::with_certificate();
    paid(&bench, "T20260704002000").await;
    let all = fields(&[
        ("mch_id", MCH),
        ("appid", APP),
        ("out_trade_no", "T20260704002000"),
        ("out_refund_no", "R1"),
        ("total_fee", "1990"),
        ("refund_fee", "1"),
    ]);
    let xml = bench.sign(MCH, &all).await;
    let url = format!("{}/secapi/pay/refund", bench.sandbox.https_url());
    let send = async |client: reqwest::Client, url: &str| {
        let response = client.post(url).body(xml.clone()).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };

    let (status, page) = send(client(&bench.sandbox, None), &url).await;
    assert!(status == 400 && page.contains("400 No required SSL certificate was sent"), "{status} {page}");
    let (status, page) = send(bench.client.clone(), &format!("{}/secapi/pay/refund", bench.sandbox.http_url())).await;
    assert!(status == 400 && page.contains("No required SSL certificate"), "{status} {page}");
    // The same number from another authority.
    let stranger = Bench::start();
    let files = stranger.sandbox.merchant(MCH).unwrap();
    let pem = format!("{}{}", files.client_cert_pem, files.client_key_pem);
    let foreign = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(bench.sandbox.ca_pem().as_bytes()).unwrap()])
        .identity(reqwest::Identity::from_pem(pem.as_bytes()).unwrap())
        .no_proxy()
        .build()
        .unwrap();
    let (status, page) = send(foreign, &url).await;
    assert!(status == 400 && page.contains("400 The SSL certificate error"), "{status} {page}");
    let (status, text) = send(client(&bench.sandbox, Some(OTHER_MCH)), &url).await;
    assert_eq!(status, 200);
    assert_code(&read_xml(&text), "!证书与商户号不匹配");
    assert_eq!(bench.look("/state").await["refund_count"], 0);
    let (status, text) = send(bench.client.clone(), &url).await;
    assert_eq!(status, 200);
    assert_code(&read_xml(&text), "SUCCESS");
}

#[tokio::test]
async fn rules() {
    let bench = Bench::with_certificate();
    paid(&bench, "T20260704002100").await;
    bench.order("T20260704002101", &[]).await;
    let number = "T20260704002100";
    let other = ("out_trade_no", "");
    assert_code(&bench.refund("T20260704002199", "R1", 1, &[]).await, "ORDERNOTEXIST");
    assert_code(&bench.refund("", "R1", 1, &[other, ("transaction_id", "42")]).await, "INVALID_TRANSACTIONID");
    assert_code(&bench.refund("T20260704002101", "R1", 1, &[]).await, "ERROR");
    assert_code(&bench.refund(number, "R1", 1, &[("total_fee", "1991")]).await, "PARAM_ERROR");
    assert_code(&bench.refund(number, "R 1", 1, &[]).await, "PARAM_ERROR");
    assert_code(&bench.refund(number, "R1", 1, &[("out_refund_no", "")]).await, "PARAM_ERROR");
    assert_code(&bench.refund(number, "R1", 0, &[]).await, "!invalid refund_fee");
    assert_code(&bench.refund(number, "R1", 1991, &[]).await, "ERROR");

    let first = bench.refund(number, "R1", 1000, &[]).await;
    assert_code(&first, "SUCCESS");
    assert!(first["refund_id"].len() == 29 && first["refund_id"].starts_with("50"), "{first:?}");
    // The same number is the same refund; with another amount it is a mistake.
    assert_eq!(bench.refund(number, "R1", 1000, &[]).await["refund_id"], first["refund_id"]);
    assert_code(&bench.refund(number, "R1", 999, &[]).await, "REFUND_FEE_MISMATCH");
    assert_code(&bench.refund(number, "R2", 991, &[]).await, "ERROR");
    assert_code(&bench.refund(number, "R2", 990, &[]).await, "SUCCESS");
    assert_code(&bench.refund(number, "R3", 1, &[]).await, "ERROR");
    assert_eq!(bench.query(number).await["trade_state"], "REFUND");
}

#[tokio::test]
async fn at_most_fifty_and_at_most_a_year() {
    let bench = Bench::with_certificate();
    paid(&bench, "T20260704002200").await;
    for n in 0..50 {
        assert_code(&bench.refund("T20260704002200", &format!("R{n}"), 1, &[]).await, "SUCCESS");
    }
    assert_code(&bench.refund("T20260704002200", "R50", 1, &[]).await, "ERROR");

    // Ten a page.
    let ask = async |offset: &str| {
        bench.call("/pay/refundquery", fields(&[("out_trade_no", "T20260704002200"), ("offset", offset)])).await
    };
    let last = ask("45").await;
    assert_eq!((last["refund_count"].as_str(), last["total_refund_count"].as_str()), ("5", "50"));
    assert_eq!(last["out_refund_no_4"], "R49");
    assert_eq!(ask("0").await["refund_count"], "10");
    assert_code(&ask("50").await, "PARAM_ERROR");

    paid(&bench, "T20260704002201").await;
    bench.must("/clock", json!({ "advance_seconds": 366 * 24 * 3600 })).await;
    assert_code(&bench.refund("T20260704002201", "Late", 1, &[]).await, "TRADE_OVERDUE");
}

#[tokio::test]
async fn asked_for_by_any_number() {
    let bench = Bench::with_certificate();
    let number = "T20260704002300";
    let ask = async |name: &str, value: &str| bench.call("/pay/refundquery", fields(&[(name, value)])).await;
    assert_code(&ask("out_trade_no", number).await, "REFUNDNOTEXIST");
    assert_code(&ask("out_refund_no", "R1").await, "REFUNDNOTEXIST");
    paid(&bench, number).await;
    assert_code(&ask("out_trade_no", number).await, "REFUNDNOTEXIST");
    bench.must("/policy", json!({ "auto_settle": false })).await;
    let accepted = bench.refund(number, "R1", 500, &[]).await;
    for (name, value) in [
        ("refund_id", accepted["refund_id"].as_str()),
        ("out_refund_no", "R1"),
        ("transaction_id", &accepted["transaction_id"]),
        ("out_trade_no", number),
    ] {
        let answer = ask(name, value).await;
        assert_eq!(answer["out_refund_no_0"], "R1", "{name}");
        assert_eq!(answer["refund_status_0"], "PROCESSING");
        assert!(answer.contains_key("refund_recv_accout_0") && !answer.contains_key("refund_success_time_0"));
    }
    let settle = async |status: &str| {
        bench.control(&format!("/orders/{MCH}/{number}/refunds/R1/settle"), json!({ "status": status })).await.0
    };
    assert_eq!(settle("PROCESSING").await, 400);
    assert_eq!(settle("CHANGE").await, 200);
    assert_eq!(ask("out_refund_no", "R1").await["refund_status_0"], "CHANGE");
    assert_eq!(settle("REFUNDCLOSE").await, 200);
    assert_eq!(settle("SUCCESS").await, 409);
    // A closed refund leaves its money with the merchant: all of it can be refunded under another number.
    assert_code(&bench.refund(number, "R2", 1990, &[]).await, "SUCCESS");
}

#[tokio::test]
async fn the_notification_is_encrypted() {
    let bench = Bench::with_certificate();
    let receiver = Receiver::start(|_| (200, ACCEPTED.to_owned())).await;
    paid(&bench, "T20260704002400").await;
    bench.refund("T20260704002400", "Silent", 1, &[]).await;
    let accepted = bench.refund("T20260704002400", "R1", 100, &[("notify_url", &receiver.url)]).await;
    let outer = read_xml(&receiver.wait(1).await[0]);
    assert!(!outer.contains_key("sign") && !outer.contains_key("refund_status"), "{outer:?}");
    assert_eq!((outer["return_code"].as_str(), outer["mch_id"].as_str()), ("SUCCESS", MCH));
    let opened = bench.must("/decrypt-refund", json!({ "mch_id": MCH, "req_info": outer["req_info"] })).await;
    let inner = &opened["fields"];
    assert_eq!(inner["out_refund_no"], "R1");
    assert_eq!(inner["refund_id"], accepted["refund_id"]);
    assert_eq!((&inner["refund_fee"], &inner["total_fee"]), (&json!("100"), &json!("1990")));
    assert_eq!(inner["refund_status"], "SUCCESS");
    let (status, _) =
        bench.control("/decrypt-refund", json!({ "mch_id": OTHER_MCH, "req_info": outer["req_info"] })).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn merchants_can_be_added() {
    let bench = Bench::start();
    let added = json!({
        "mch_id": "1900000200",
        "api_key": "0123456789abcdef0123456789abcdef",
        "apps": [{ "app_id": "wx1234567890abcdef", "app_secret": "s" }],
    });
    let files = bench.must("/merchants", added).await;
    let pem = format!("{}{}", files["client_cert_pem"].as_str().unwrap(), files["client_key_pem"].as_str().unwrap());
    assert!(reqwest::Identity::from_pem(pem.as_bytes()).is_ok());
    assert!(files["client_p12_base64"].as_str().unwrap().len() > 1000);
    let answer = bench.order("T20260704002500", &[("mch_id", "1900000200"), ("appid", "wx1234567890abcdef")]).await;
    assert_code(&answer, "SUCCESS");
    assert_code(&bench.order("T20260704002501", &[("mch_id", OTHER_MCH), ("appid", OTHER_APP)]).await, "PARAM_ERROR");
    for bad in
        [json!({ "mch_id": "1", "api_key": "short" }), json!({ "mch_id": "1900000201", "api_key": "short" }), json!([])]
    {
        assert_eq!(bench.control("/merchants", bad).await.0, 400);
    }
}

//! Ordering, paying, being notified, asking.

use serde_json::json;

use crate::support::{ACCEPTED, Bench, MCH, REFUSED, Receiver, assert_code, fields, read_xml, until};

#[tokio::test]
async fn an_order_is_paid_and_notified() {
    let bench = Bench::start();
    let receiver = Receiver::start(|_| (200, ACCEPTED.to_owned())).await;
    let prepaid = bench.order("T20260704000001", &[("notify_url", &receiver.url), ("attach", "a&b<c>")]).await;
    assert_code(&prepaid, "SUCCESS");
    assert!(prepaid["prepay_id"].starts_with("wx") && prepaid["prepay_id"].len() == 36, "{prepaid:?}");
    assert!(!prepaid.contains_key("sign_type"));

    let waiting = bench.query("T20260704000001").await;
    assert_eq!(waiting["trade_state"], "NOTPAY");
    assert!(!waiting.contains_key("transaction_id"));

    let paid = bench.pay("T20260704000001").await;
    let transaction_id = paid["transaction_id"].as_str().unwrap();
    assert!(transaction_id.len() == 28 && transaction_id.starts_with("42"), "{transaction_id}");
    let notice = read_xml(&receiver.wait(1).await[0]);
    assert_eq!(notice["transaction_id"], transaction_id);
    assert_eq!(notice["total_fee"], "1990");
    assert_eq!(notice["attach"], "a&b<c>");
    assert_eq!(notice["sign"].len(), 32);
    // The signature is what the fields give when they are signed again.
    let mut unsigned = notice.clone();
    unsigned.remove("sign");
    assert_eq!(read_xml(&bench.sign(MCH, &unsigned).await)["sign"], notice["sign"]);

    let asked = bench.query("T20260704000001").await;
    assert_eq!(asked["trade_state"], "SUCCESS");
    let by_id = bench.call("/pay/orderquery", fields(&[("transaction_id", transaction_id)])).await;
    assert_eq!(by_id["out_trade_no"], "T20260704000001");

    let journal = bench.look("/journal?out_trade_no=T20260704000001").await;
    let operations: Vec<_> =
        journal["entries"].as_array().unwrap().iter().map(|e| e["operation"].as_str().unwrap()).collect();
    assert_eq!(operations, ["unifiedorder", "orderquery", "notify_payment", "orderquery"]);
}

#[tokio::test]
async fn a_notification_is_repeated_until_xml_says_success() {
    let bench = Bench::start();
    let receiver = Receiver::start(|number| match number {
        0 => (200, "success".to_owned()),
        1 => (200, REFUSED.to_owned()),
        2 => (500, String::new()),
        // The status does not matter.
        _ => (500, ACCEPTED.to_owned()),
    })
    .await;
    bench.order("T20260704000002", &[("notify_url", &receiver.url)]).await;
    bench.pay("T20260704000002").await;
    for (count, seconds) in [(1, 14), (1, 2), (2, 15), (3, 30), (4, 90_000)] {
        let bodies = receiver.wait(count).await;
        assert_eq!(bodies.len(), count);
        // The attempt is entered in the queue before the clock moves on.
        until(async || {
            let queue = bench.look("/notifies").await;
            (queue["notifies"][0]["attempts"].as_array().unwrap().len() == count).then_some(())
        })
        .await;
        bench.must("/clock", json!({ "advance_seconds": seconds })).await;
    }
    let queue = bench.look("/notifies").await;
    assert_eq!(queue["notifies"][0]["state"], "delivered");
    assert_eq!(queue["notifies"][0]["attempts"].as_array().unwrap().len(), 4);
    let nonces: std::collections::BTreeSet<_> =
        receiver.wait(4).await.iter().map(|body| read_xml(body)["nonce_str"].clone()).collect();
    assert_eq!(nonces.len(), 4, "every attempt is signed anew");
}

//! Somebody who is not the platform tells, or the platform tells what cannot be.

use dukou_e2e::{Tenant, World};
use serde_json::{Value, json};

fn failed(delivery: &Value) -> bool {
    delivery["success"] == false && delivery["body"].as_str().is_some_and(|body| body.contains("FAIL"))
}

/// The notify of a paid order as a document, with some fields changed before it is signed.
async fn document(world: &World, tenant: &Tenant, order: &Value, changes: &Value) -> String {
    let mut fields = json!({
        "return_code": "SUCCESS", "result_code": "SUCCESS", "appid": tenant.app_id, "mch_id": tenant.mch_id,
        "out_trade_no": order["out_trade_no"], "total_fee": order["total_fee"], "cash_fee": order["total_fee"],
        "fee_type": "CNY", "trade_type": "JSAPI", "openid": tenant.openid(1), "is_subscribe": "N",
        "bank_type": "OTHERS", "time_end": "20261123120000", "transaction_id": order["transaction_id"],
    });
    for (name, value) in changes.as_object().unwrap() {
        fields[name] = value.clone();
    }
    world.control.sign(&tenant.mch_id, &tenant.sign_type, &fields).await
}

/// Sends a document as the platform would; status and body.
async fn post(world: &World, url: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
    let request = world.client().post(url).header("content-type", "text/xml").body(body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn what_is_not_signed_rightly_changes_nothing() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    let before = merchant.pending("FORGED1", 101).await;
    world.control.pay_silently(&tenant, "FORGED1").await;
    for (corrupt, outcome) in [("sign", "bad_signature"), ("body", "bad_signature"), ("truncate", "malformed")] {
        let count = world.metrics().await.notifies("bookshop", "payment", outcome);
        let deliveries = world.control.notify(&tenant, "FORGED1", &json!({ "corrupt": corrupt })).await;
        assert!(failed(&deliveries[0]), "{corrupt}: {deliveries:?}");
        assert_eq!(world.metrics().await.notifies("bookshop", "payment", outcome), count + 1, "{corrupt}");
    }
    let after = merchant.payment("FORGED1").await.expect(200);
    assert_eq!((&after["status"], &after["id"]), (&before["status"], &before["id"]));
    assert!(!merchant.event_types("FORGED1").await.contains(&"payment.succeeded".to_owned()));
    world.verify().await;
}

#[tokio::test]
async fn documents_that_are_no_notify_are_refused() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    merchant.pending("XML-001", 101).await;
    let order = world.control.pay_silently(&tenant, "XML-001").await;
    let valid = document(&world, &tenant, &order, &json!({})).await;
    let url = world.notify_url("bookshop", "payment");
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\">]><xml><a>&b;</a></xml>";
    let file = "<!DOCTYPE x [<!ENTITY f SYSTEM \"file:///etc/passwd\">]><xml><a>&f;</a></xml>";
    for (what, body) in [
        ("empty", String::new()),
        ("JSON", "{}".to_owned()),
        ("an entity bomb", bomb.to_owned()),
        ("an external entity", file.to_owned()),
        ("a DOCTYPE before a valid document", format!("<!DOCTYPE xml>{valid}")),
        ("two roots", format!("{valid}{valid}")),
        ("cut off", valid[..valid.len() - 3].to_owned()),
        ("unclosed tags", "<a>".repeat(20_000)),
        ("one field twice", valid.replacen("<xml>", "<xml><total_fee>101</total_fee>", 1)),
        ("no signature", valid.replace("<sign>", "<sing>").replace("</sign>", "</sing>")),
    ] {
        let (status, answer) = post(&world, &url, body).await;
        assert_eq!(status, 200, "{what}: {answer}");
        assert!(answer.contains("FAIL"), "{what}: {answer}");
        assert_eq!(merchant.status("XML-001").await, "pending", "{what}");
    }
    // What the platform itself sends is taken.
    let genuine = world.control.notify(&tenant, "XML-001", &json!({})).await;
    assert_eq!(genuine[0]["success"], true, "{genuine:?}");
    assert_eq!(merchant.status("XML-001").await, "succeeded");
    world.verify().await;
}

#[tokio::test]
async fn a_flipped_byte_is_noticed_wherever_it_is() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    merchant.pending("FLIP-01", 101).await;
    let order = world.control.pay_silently(&tenant, "FLIP-01").await;
    let valid = document(&world, &tenant, &order, &json!({})).await;
    let url = world.notify_url("bookshop", "payment");
    // Within the values: a byte between the fields may change without changing what is said.
    let values = valid.match_indices("<![CDATA[").filter_map(|(at, open)| {
        let from = at + open.len();
        Some(from..from + valid[from..].find("]]>")?)
    });
    let mut tried = 0;
    for position in values.flatten() {
        let mut bytes = valid.clone().into_bytes();
        bytes[position] ^= 1;
        let (_, answer) = post(&world, &url, bytes).await;
        assert!(answer.contains("FAIL"), "byte {position} of {valid}: {answer}");
        tried += 1;
    }
    assert!(tried > 100, "{tried} bytes were tried");
    assert_eq!(merchant.status("FLIP-01").await, "pending");
    world.verify().await;
}

#[tokio::test]
async fn what_contradicts_the_record_is_kept_and_raised() {
    for (field, value) in [
        ("total_fee", json!(100)),
        ("fee_type", json!("USD")),
        ("appid", json!("wx0000000000000000")),
        ("mch_id", json!("1900009999")),
    ] {
        let world = World::start().await;
        let (tenant, merchant) = world.bookshop();
        merchant.pending("CONTRA1", 101).await;
        world.control.pay_silently(&tenant, "CONTRA1").await;
        let mut how = json!({ "set": {} });
        how["set"][field] = value;
        for _ in 0..2 {
            let deliveries = world.control.notify(&tenant, "CONTRA1", &how).await;
            assert_eq!(deliveries[0]["success"], true, "{field}: {deliveries:?}");
        }
        assert_eq!(merchant.status("CONTRA1").await, "pending", "{field}");
        let events = merchant.all_events().await;
        let raised: Vec<&Value> = events.iter().filter(|event| event["type"] == "payment.mismatch").collect();
        assert_eq!(raised.len(), 1, "{field}: once, however often it is told");
        assert_eq!(raised[0]["data"]["out_trade_no"], "CONTRA1");
        assert_eq!(world.metrics().await.notifies("bookshop", "payment", "mismatch"), 1, "{field}");
        // The truth is still taken.
        let truth = world.control.notify(&tenant, "CONTRA1", &json!({})).await;
        assert_eq!(truth[0]["success"], true);
        assert_eq!(merchant.status("CONTRA1").await, "succeeded", "{field}");
        world.verify().await;
    }
}

#[tokio::test]
async fn an_order_that_nobody_made_here_is_raised_and_asked_again() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    let order = json!({
        "out_trade_no": "NOBODY1", "total_fee": 101, "transaction_id": "4200000000202611230000000009",
    });
    let valid = document(&world, &tenant, &order, &json!({})).await;
    for _ in 0..2 {
        let (status, answer) = post(&world, &world.notify_url("bookshop", "payment"), valid.clone()).await;
        assert_eq!(status, 200);
        assert!(answer.contains("FAIL"), "{answer}");
    }
    let events = merchant.all_events().await;
    let raised: Vec<&Value> = events.iter().filter(|event| event["type"] == "payment.unknown_order").collect();
    assert_eq!(raised.len(), 1);
    assert_eq!((&raised[0]["data"]["trade_no"], &raised[0]["data"]["amount"]), (&json!("NOBODY1"), &json!(101)));
    assert_eq!(world.metrics().await.notifies("bookshop", "payment", "unknown_order"), 2);
    world.verify().await;
}

#[tokio::test]
async fn a_notify_at_another_tenants_address_changes_neither() {
    let world = World::builder().tenant(Tenant::bookshop()).tenant(Tenant::teahouse()).start().await;
    let (bookshop, teahouse) = (world.merchant("bookshop"), world.merchant("teahouse"));
    for merchant in [&bookshop, &teahouse] {
        merchant.pending("CROSS-1", 101).await;
    }
    world.control.pay_silently(&teahouse.tenant, "CROSS-1").await;
    let url = world.notify_url("bookshop", "payment");
    let deliveries = world.control.notify(&teahouse.tenant, "CROSS-1", &json!({ "url": url })).await;
    assert!(failed(&deliveries[0]), "{deliveries:?}");
    assert_eq!(bookshop.status("CROSS-1").await, "pending");
    assert_eq!(teahouse.status("CROSS-1").await, "pending");
    for path in ["nobody/wechat/payment", "bookshop/alipay/payment", "BOOKSHOP/wechat/payment", "bookshop/wechat/other"]
    {
        let (status, _) = post(&world, &format!("{}/notify/{path}", world.gateway.url()), "<xml></xml>").await;
        assert_eq!(status, 404, "{path}");
    }
    let (status, _) = post(&world, &format!("{url}?a=b"), "<xml></xml>").await;
    assert_eq!(status, 400);
    world.verify().await;
}

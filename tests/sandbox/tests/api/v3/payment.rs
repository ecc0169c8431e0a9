//! Ordering, paying, being notified, asking, closing.

use serde_json::{Value, json};

use super::support::{KEY, PAYER, Shop, decrypt, verify};
use crate::support::{Receiver, until};

#[tokio::test]
async fn an_order_is_paid_and_notified() {
    let shop = Shop::open();
    let receiver = Receiver::start(|_| (204, String::new())).await;
    let number = "T20260704100001";
    let mut order = shop.order(number);
    order["notify_url"] = json!(receiver.url);
    let answer = shop.post("/v3/pay/transactions/jsapi", &order).await;
    assert!(answer.status == 200 && shop.is_signed(&answer), "{}", answer.json());
    assert!(answer.header("wechatpay-serial").starts_with("PUB_KEY_ID_01190000010900"));
    assert!(!answer.header("request-id").is_empty());
    let prepay_id = answer.json()["prepay_id"].as_str().unwrap().to_owned();
    assert!(prepay_id.starts_with("wx") && prepay_id.len() == 36, "{prepay_id}");

    let waiting = shop.query(number).await;
    assert!(shop.is_signed(&waiting));
    assert_eq!(waiting.json()["trade_state"], "NOTPAY");
    assert!(waiting.json()["transaction_id"].is_null() && waiting.json()["payer"].is_null());

    let paid = shop.pay(number, json!({ "client": shop.client(&prepay_id), "coupon_fee": 90 })).await;
    let transaction_id = paid["transaction_id"].as_str().unwrap();
    let notice = receiver.requests(1).await.remove(0);
    // The journal has the notification when its answer has come back, which is after it was received.
    until(async || {
        let sent = shop.bench.look("/journal?operation=notify_payment").await;
        (!sent["entries"].as_array().unwrap().is_empty()).then_some(())
    })
    .await;
    let serial = notice.header("wechatpay-serial");
    assert_eq!(serial, answer.header("wechatpay-serial"));
    assert!(verify(
        &shop.platform_key(serial).unwrap(),
        notice.header("wechatpay-timestamp"),
        notice.header("wechatpay-nonce"),
        notice.body.as_bytes(),
        notice.header("wechatpay-signature"),
    ));
    let envelope: Value = serde_json::from_str(&notice.body).unwrap();
    assert_eq!(
        (&envelope["event_type"], &envelope["resource_type"], &envelope["summary"]),
        (&json!("TRANSACTION.SUCCESS"), &json!("encrypt-resource"), &json!("支付成功"))
    );
    let mut resource: Value = serde_json::from_str(&decrypt(KEY, &envelope["resource"]).unwrap()).unwrap();
    let mut asked = shop.query(number).await.json();
    for value in [&mut resource, &mut asked] {
        value.as_object_mut().unwrap().remove("sandbox_extra");
    }
    assert_eq!(resource, asked, "the notification says what the query says");
    assert_eq!(
        asked["amount"],
        json!({ "total": 1990, "payer_total": 1900, "currency": "CNY", "payer_currency": "CNY" })
    );
    assert_eq!((&asked["attach"], &asked["payer"]["openid"]), (&json!("架7"), &json!(PAYER)));
    assert_eq!((&asked["trade_type"], &asked["trade_state"]), (&json!("JSAPI"), &json!("SUCCESS")));
    assert_eq!(asked["promotion_detail"][0]["amount"], 90);
    let by_id = shop.get(&format!("/v3/pay/transactions/id/{transaction_id}?mchid={}", shop.mch_id)).await;
    assert_eq!(by_id.json()["out_trade_no"], number);

    let journal = shop.bench.look(&format!("/journal?out_trade_no={number}")).await;
    let operations: Vec<_> =
        journal["entries"].as_array().unwrap().iter().map(|entry| entry["operation"].as_str().unwrap()).collect();
    assert_eq!(operations, ["v3_prepay", "v3_query", "notify_payment", "v3_query"]);
    assert_eq!(journal["entries"][2]["serial"], serial);
}

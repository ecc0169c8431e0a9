//! One merchant's orders through both APIs.

use serde_json::{Value, json};

use super::support::Shop;
use crate::support::{ACCEPTED, Receiver, assert_code, fields, read_xml};

#[tokio::test]
async fn an_order_is_the_same_through_either_api() {
    let shop = Shop::open();
    let receiver = Receiver::start(|_| (200, ACCEPTED.to_owned())).await;
    // Made by v3, asked for and closed through v2.
    shop.prepay("T20260704190001", &receiver.url).await;
    let asked = shop.bench.query("T20260704190001").await;
    assert_eq!((asked["trade_state"].as_str(), asked["attach"].as_str()), ("NOTPAY", "架7"));
    let again = shop.bench.order("T20260704190001", &[]).await;
    assert_code(&again, "OUT_TRADE_NO_USED");
    shop.pay("T20260704190001", json!({})).await;
    assert!(receiver.wait(1).await[0].starts_with('{'), "notified in the form of the API that made it");
    let asked = shop.bench.query("T20260704190001").await;
    assert_eq!((asked["trade_state"].as_str(), asked["total_fee"].as_str()), ("SUCCESS", "1990"));

    // Made by v2, asked for, closed and refunded through v3.
    assert_code(&shop.bench.order("T20260704190002", &[("notify_url", &receiver.url)]).await, "SUCCESS");
    assert_eq!(shop.query("T20260704190002").await.json()["trade_state"], "NOTPAY");
    let own = json!({ "mchid": shop.mch_id });
    let order = shop.order("T20260704190002");
    assert_eq!(shop.post("/v3/pay/transactions/jsapi", &order).await.code(), "403 OUT_TRADE_NO_USED");
    shop.pay("T20260704190002", json!({})).await;
    assert_eq!(read_xml(&receiver.wait(2).await[1])["out_trade_no"], "T20260704190002");
    assert_eq!(shop.query("T20260704190002").await.json()["trade_state"], "SUCCESS");
    let close = "/v3/pay/transactions/out-trade-no/T20260704190002/close";
    assert_eq!(shop.post(close, &own).await.code(), "400 ORDER_PAID");
    assert_eq!(shop.refund("T20260704190002", "R1", 100, &receiver.url).await.status, 200);
    let body: Value = serde_json::from_str(&receiver.wait(3).await[2]).unwrap();
    assert_eq!(body["event_type"], "REFUND.SUCCESS", "a refund's notification has the refund's form");
    let refund = shop.bench.call("/pay/refundquery", fields(&[("out_refund_no", "R1")])).await;
    assert_eq!(refund["refund_status_0"], "SUCCESS");
}

#[tokio::test]
async fn the_phone_shows_and_pays_them() {
    let shop = Shop::open();
    shop.prepay("T20260704190101", "http://127.0.0.1:9/notify").await;
    let listed = shop.bench.look("/phone/orders").await;
    let order = &listed["orders"][0];
    assert_eq!(
        (&order["body"], &order["api"], &order["total_fee"]),
        (&json!("书店-一本书"), &json!("v3"), &json!(1990))
    );
    let url = format!("{}/_sandbox/phone/pay/{}/T20260704190101", shop.bench.sandbox.http_url(), shop.mch_id);
    assert_eq!(shop.bench.client.post(url).send().await.unwrap().status().as_u16(), 200);
    assert_eq!(shop.query("T20260704190101").await.json()["trade_state"], "SUCCESS");
}

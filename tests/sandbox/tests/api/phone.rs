//! The phone page.

use serde_json::Value;

use crate::support::{Bench, MCH};

#[tokio::test]
async fn the_page_and_its_parts() {
    let bench = Bench::start();
    for (path, kind, part) in [
        ("/", "text/html", "待支付"),
        ("/_sandbox/phone", "text/html", "待支付"),
        ("/_sandbox/phone/style.css", "text/css", ".phone"),
        ("/_sandbox/phone/script.js", "text/javascript", "支付"),
    ] {
        let response = bench.client.get(format!("{}{path}", bench.sandbox.http_url())).send().await.unwrap();
        let headers = response.headers().clone();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(headers["content-type"].to_str().unwrap().starts_with(kind), "{path}");
        assert!(response.text().await.unwrap().contains(part), "{path}");
    }
}

#[tokio::test]
async fn the_button_pays() {
    let bench = Bench::start();
    bench.order("T20260704006000", &[("body", "<b>书</b>")]).await;
    let listed = bench.look("/phone/orders").await;
    let order = &listed["orders"][0];
    assert_eq!((&order["body"], &order["total_fee"]), (&Value::from("<b>书</b>"), &Value::from(1990)));
    let url = format!("{}/_sandbox/phone/pay/{MCH}/T20260704006000", bench.sandbox.http_url());
    assert_eq!(bench.client.post(&url).send().await.unwrap().status().as_u16(), 200);
    assert_eq!(bench.look("/phone/orders").await["orders"][0]["trade_state"], "SUCCESS");
    let again = bench.client.post(&url).send().await.unwrap();
    assert_eq!(again.status().as_u16(), 409);
    assert!(again.text().await.unwrap().contains("该订单已支付"));
}

//! A buyer pays in the mini-program what the backend ordered; a backend tries another channel.

use dukou_e2e::{Buyer, Merchant, World};
use serde_json::{Value, json};

use crate::{becomes, wrong_fields};

/// A payment whose payer is not known yet.
async fn waiting(merchant: &Merchant, out_trade_no: &str, amount: i64) {
    let mut body = merchant.order(out_trade_no, amount);
    body.as_object_mut().unwrap().remove("payer");
    let payment = merchant.create(&body).await.expect(201);
    assert_eq!((&payment["status"], &payment["invoke"]), (&json!("created"), &Value::Null), "{payment}");
}

#[tokio::test]
async fn a_buyer_pays_what_the_backend_ordered() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    waiting(&merchant, "PHONE-1", 101).await;
    let buyer = Buyer::log_in(&world, &tenant).await;
    buyer.get("/payments/PHONE-1").await.problem(404, "not_found");
    let request = buyer.request(reqwest::Method::POST, "/payments/PHONE-1/invoke");
    let payment = buyer.send(request).await.expect(200);
    assert_eq!((&payment["status"], &payment["openid"]), (&json!("pending"), &json!(buyer.openid)));
    assert_eq!(payment["amount"], 101);
    world.control.pay_with(&tenant, "PHONE-1", &json!({ "client": payment["invoke"] })).await;
    becomes(&merchant, "PHONE-1", "succeeded").await;
    assert_eq!(buyer.get("/payments/PHONE-1?refresh=true").await.expect(200)["status"], "succeeded");
    buyer.invoke("PHONE-1").await.problem(409, "invalid_state");
    world.verify().await;
}

#[tokio::test]
async fn the_mini_program_names_no_amount_and_no_other_payer() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    waiting(&merchant, "CHEAP-1", 101).await;
    let buyer = Buyer::log_in(&world, &tenant).await;
    for (body, field) in [
        (json!({ "amount": 1 }), "amount"),
        (json!({ "payer": { "openid": tenant.openid(2) } }), "payer"),
        (json!({ "provider": "other" }), "provider"),
        (json!({ "method": "cash" }), "method"),
    ] {
        let problem = buyer.post("/payments/CHEAP-1/invoke", &body).await.problem(400, "invalid_request");
        assert_eq!(wrong_fields(&problem), [field]);
    }
    assert_eq!(merchant.status("CHEAP-1").await, "created");
    buyer.invoke("NOTHERE").await.problem(404, "not_found");
    let named = buyer.post("/payments/CHEAP-1/invoke", &json!({ "provider": "wechat", "method": "jsapi" })).await;
    assert_eq!(named.expect(200)["amount"], 101);
    world.verify().await;
}

#[tokio::test]
async fn a_payment_belongs_to_the_first_who_pays_it() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    waiting(&merchant, "FIRST-1", 101).await;
    let (one, other) = tokio::join!(Buyer::log_in(&world, &tenant), Buyer::log_in(&world, &tenant));
    let answers = tokio::join!(one.invoke("FIRST-1"), other.invoke("FIRST-1"));
    let (winner, loser) = if answers.0.status == 200 { (&one, &other) } else { (&other, &one) };
    let statuses = [answers.0.status, answers.1.status];
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    loser.invoke("FIRST-1").await.problem(404, "not_found");
    loser.get("/payments/FIRST-1").await.problem(404, "not_found");
    loser.ask_refund("FIRST-1", 1).await.problem(404, "not_found");
    assert_eq!(winner.get("/payments/FIRST-1").await.expect(200)["openid"], *winner.openid);
    assert_eq!(world.control.journal("operation=unifiedorder&out_trade_no=FIRST-1").await.len(), 1);
    world.verify().await;
}

#[tokio::test]
async fn the_same_again_is_signed_anew_without_another_order() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    waiting(&merchant, "AGAIN-1", 101).await;
    let (one, other) = (Buyer::log_in(&world, &tenant).await, Buyer::log_in(&world, &tenant).await);
    let first = one.invoke("AGAIN-1").await.expect(200);
    let second = one.invoke("AGAIN-1").await.expect(200);
    assert_ne!(first["invoke"]["nonceStr"], second["invoke"]["nonceStr"]);
    assert_eq!(world.control.journal("operation=unifiedorder&out_trade_no=AGAIN-1").await.len(), 1);

    // One buyer's idempotency key says nothing about another's.
    let send = async |buyer: &Buyer| {
        let request = buyer.request(reqwest::Method::POST, "/payments/AGAIN-1/invoke");
        buyer.send(request.header("Idempotency-Key", "k1").json(&json!({}))).await
    };
    let kept = send(&one).await.expect(200);
    let replayed = send(&one).await;
    assert_eq!(replayed.header("idempotent-replayed"), Some("true"));
    assert_eq!(replayed.expect(200), kept);
    send(&other).await.problem(404, "not_found");
    world.verify().await;
}

#[tokio::test]
async fn a_backend_tries_another_channel() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    merchant.pending("OTHER-1", 101).await;
    let path = "/payments/OTHER-1/invoke";
    for (body, fields) in [
        (json!({}), &["provider", "method"][..]),
        (json!({ "provider": "wechat", "method": "native", "amount": 1 }), &["amount"]),
    ] {
        let problem = merchant.post(path, &body).await.problem(400, "invalid_request");
        assert_eq!(wrong_fields(&problem), fields);
    }
    let native = json!({ "provider": "wechat", "method": "native" });
    let payment = merchant.post_once("k1", path, &native).await.expect(200);
    assert!(payment["invoke"]["code_url"].is_string(), "{payment}");
    let attempts = payment["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 2, "{payment}");
    assert_eq!((&attempts[0]["status"], &attempts[1]["status"]), (&json!("closed"), &json!("live")));
    assert_eq!(merchant.post_once("k1", path, &native).await.header("idempotent-replayed"), Some("true"));
    let second = attempts[1]["trade_no"].as_str().unwrap();
    world.control.pay(&tenant, second).await;
    becomes(&merchant, "OTHER-1", "succeeded").await;
    world.verify().await;
}

/// WeChat closes no order within five minutes after it was made.
#[tokio::test]
async fn an_order_too_young_to_be_closed_stays_payable_until_it_can_be() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    world.control.policy(&json!({ "five_minute_close_rule": true })).await;
    merchant.pending("YOUNG-1", 101).await;
    merchant.pending("YOUNG-2", 101).await;
    let another_way = async |method: &str| {
        merchant.post("/payments/YOUNG-1/invoke", &json!({ "provider": "wechat", "method": method })).await
    };
    let refused = another_way("native").await.problem(402, "provider_refused");
    assert_eq!(refused["provider_code"], "TRADE_STATE_ERROR", "{refused}");
    let refused = merchant.close("YOUNG-2").await.problem(402, "provider_refused");
    assert_eq!(refused["provider_code"], "TRADE_STATE_ERROR", "{refused}");
    for number in ["YOUNG-1", "YOUNG-2"] {
        let payment = merchant.payment(number).await.expect(200);
        assert_eq!(payment["status"], "pending");
        assert!(payment["invoke"]["paySign"].is_string(), "{payment}");
    }
    // The way it began with is still the same order.
    let payment = another_way("jsapi").await.expect(200);
    assert!(payment["invoke"]["paySign"].is_string(), "{payment}");
    assert_eq!(payment["attempts"].as_array().unwrap().len(), 1, "{payment}");

    world.control.advance(300).await;
    let payment = another_way("native").await.expect(200);
    assert_eq!(
        (&payment["attempts"][0]["status"], &payment["attempts"][1]["status"]),
        (&json!("closed"), &json!("live"))
    );
    world.control.pay(&tenant, payment["attempts"][1]["trade_no"].as_str().unwrap()).await;
    becomes(&merchant, "YOUNG-1", "succeeded").await;
    assert_eq!(merchant.close("YOUNG-2").await.expect(200)["status"], "closed");
    world.verify().await;
}

/// The payer's address in the order that the platform was sent under this number.
async fn address_sent(world: &World, trade_no: &Value) -> String {
    let query = format!("operation=unifiedorder&out_trade_no={}", trade_no.as_str().unwrap());
    let sent = world.control.journal(&query).await;
    let request = sent[0]["request"].as_str().unwrap();
    let (_, rest) = request.split_once("<spbill_create_ip>").unwrap();
    let (field, _) = rest.split_once("</spbill_create_ip>").unwrap();
    field.trim_start_matches("<![CDATA[").trim_end_matches("]]>").to_owned()
}

/// A payment may have begun with the address of the backend, which is not what a payment by h5 is to name.
#[tokio::test]
async fn a_way_by_h5_names_the_payers_own_address() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    let mut order = merchant.order("WEB-001", 101);
    order["method"] = json!("native");
    order.as_object_mut().unwrap().retain(|field, _| field != "client_ip" && field != "payer");
    merchant.create(&order).await.expect(201);
    let path = "/payments/WEB-001/invoke";
    let mut way = json!({ "provider": "wechat", "method": "h5", "client_ip": "203.0.113.77" });
    let payment = merchant.post(path, &way).await.expect(200);
    assert!(payment["invoke"]["h5_url"].is_string(), "{payment}");
    assert_eq!(address_sent(&world, &payment["attempts"][1]["trade_no"]).await, "203.0.113.77");
    way.as_object_mut().unwrap().remove("client_ip");
    let again = merchant.post(path, &way).await.expect(200);
    assert_eq!(again["attempts"], payment["attempts"], "the same way again");

    // A phone that asks for itself is where its call comes from.
    waiting(&merchant, "WEB-002", 101).await;
    let buyer = Buyer::log_in(&world, &tenant).await;
    let payment = buyer.post("/payments/WEB-002/invoke", &json!({ "method": "h5" })).await.expect(200);
    assert_eq!(address_sent(&world, &payment["attempts"][1]["trade_no"]).await, "127.0.0.1");
    world.verify().await;
}

/// A code at a till is for the customer who stands there, and a number can be guessed.
#[tokio::test]
async fn a_shown_code_is_the_customers_who_pays_it_and_no_strangers() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    let stranger = Buyer::log_in(&world, &tenant).await;
    let customer = tenant.openid(7);
    for method in ["native", "h5", "app"] {
        let number = format!("TILL-{method}");
        let mut order = merchant.order(&number, 101);
        order.as_object_mut().unwrap().remove("payer");
        order["method"] = json!(method);
        let payment = merchant.create(&order).await.expect(201);
        for body in [json!({}), json!({ "method": "native" })] {
            let answer = stranger.post(&format!("/payments/{number}/invoke"), &body).await;
            answer.problem(404, "not_found");
        }
        stranger.get(&format!("/payments/{number}")).await.problem(404, "not_found");
        let after = merchant.payment(&number).await.expect(200);
        assert_eq!((&after["attempts"], &after["openid"]), (&payment["attempts"], &Value::Null), "{after}");
        world.control.pay_with(&tenant, &number, &json!({ "openid": customer })).await;
        becomes(&merchant, &number, "succeeded").await;
        assert_eq!(merchant.payment(&number).await.expect(200)["openid"], json!(customer));
        stranger.ask_refund(&number, 101).await.problem(404, "not_found");
    }
    // A stranger was the first where the payer was waited for; then the customer pays at the till.
    waiting(&merchant, "TAKEN-1", 101).await;
    stranger.invoke("TAKEN-1").await.expect(200);
    let path = "/payments/TAKEN-1/invoke";
    let payment = merchant.post(path, &json!({ "provider": "wechat", "method": "native" })).await.expect(200);
    assert_eq!(payment["openid"], Value::Null);
    stranger.invoke("TAKEN-1").await.problem(404, "not_found");
    let trade_no = payment["attempts"][1]["trade_no"].as_str().unwrap();
    world.control.pay_with(&tenant, trade_no, &json!({ "openid": customer })).await;
    becomes(&merchant, "TAKEN-1", "succeeded").await;
    assert_eq!(merchant.payment("TAKEN-1").await.expect(200)["openid"], json!(customer));
    stranger.get("/payments/TAKEN-1").await.problem(404, "not_found");
    stranger.ask_refund("TAKEN-1", 101).await.problem(404, "not_found");
    world.verify().await;
}

#[tokio::test]
async fn a_shop_names_who_may_pay_in_its_mini_program() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    let (buyer, stranger) = (Buyer::log_in(&world, &tenant).await, Buyer::log_in(&world, &tenant).await);
    let mut order = merchant.order("MINE-01", 101);
    order["payer"] = json!({ "openid": buyer.openid });
    order["metadata"] = json!({ "note": "table 7" });
    assert_eq!(merchant.create(&order).await.expect(201)["metadata"], order["metadata"]);
    stranger.invoke("MINE-01").await.problem(404, "not_found");
    let payment = buyer.invoke("MINE-01").await.expect(200);
    assert_eq!((&payment["openid"], &payment["metadata"]), (&json!(buyer.openid), &json!({})), "{payment}");
    assert_eq!(buyer.get("/payments/MINE-01").await.expect(200)["metadata"], json!({}));
    world.control.pay_with(&tenant, "MINE-01", &json!({ "client": payment["invoke"] })).await;
    becomes(&merchant, "MINE-01", "succeeded").await;
    assert_eq!(buyer.get("/payments/MINE-01").await.expect(200)["status"], "succeeded");

    // Where a stranger was quicker, the shop gives it to its buyer.
    waiting(&merchant, "MINE-02", 101).await;
    stranger.invoke("MINE-02").await.expect(200);
    buyer.invoke("MINE-02").await.problem(404, "not_found");
    let named = json!({ "provider": "wechat", "method": "jsapi", "payer": { "openid": buyer.openid } });
    merchant.post("/payments/MINE-02/invoke", &named).await.expect(200);
    stranger.invoke("MINE-02").await.problem(404, "not_found");
    assert_eq!(buyer.invoke("MINE-02").await.expect(200)["openid"], json!(buyer.openid));
    world.verify().await;
}

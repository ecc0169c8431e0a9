//! A merchant's backend looks at its payments.

use dukou_e2e::{Tenant, World};
use serde_json::{Value, json};

use crate::{becomes, wrong_fields};

fn numbers(page: &Value) -> Vec<&str> {
    page["data"].as_array().unwrap().iter().map(|payment| payment["out_trade_no"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_list_is_paged_newest_first() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    let mut created = Vec::new();
    for number in 1..=5 {
        created.push(merchant.pending(&format!("PAGE-{number:02}"), 100 + number).await);
    }
    let first = merchant.list("limit=2").await.expect(200);
    assert_eq!(numbers(&first), ["PAGE-05", "PAGE-04"]);
    assert!(first["data"][0].get("invoke").is_none(), "a list signs nothing");
    let second = merchant.list(&format!("limit=2&cursor={}", first["next_cursor"].as_str().unwrap())).await.expect(200);
    assert_eq!(numbers(&second), ["PAGE-03", "PAGE-02"]);
    let last = merchant.list(&format!("limit=2&cursor={}", second["next_cursor"].as_str().unwrap())).await.expect(200);
    assert_eq!((numbers(&last), &last["next_cursor"]), (vec!["PAGE-01"], &Value::Null));

    let after = created[2]["created_at"].as_str().unwrap();
    let newer = merchant.list(&format!("created_after={after}")).await.expect(200);
    let newer = numbers(&newer);
    assert!(newer.contains(&"PAGE-05") && !newer.contains(&"PAGE-01"), "{newer:?}");
}

#[tokio::test]
async fn a_list_is_filtered_by_status() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    for number in ["FILT-01", "FILT-02", "FILT-03"] {
        merchant.pending(number, 101).await;
    }
    world.control.pay(&tenant, "FILT-02").await;
    becomes(&merchant, "FILT-02", "succeeded").await;
    merchant.close("FILT-03").await.expect(200);
    for (status, expected) in
        [("pending", vec!["FILT-01"]), ("succeeded", vec!["FILT-02"]), ("closed", vec!["FILT-03"]), ("unknown", vec![])]
    {
        let page = merchant.list(&format!("status={status}")).await.expect(200);
        assert_eq!(numbers(&page), expected, "{status}");
    }
}

#[tokio::test]
async fn a_query_that_makes_no_sense_is_refused() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    for (query, field) in [
        ("status=paid", "status"),
        ("created_after=yesterday", "created_after"),
        ("cursor=garbage", "cursor"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("colour=red", "colour"),
    ] {
        let problem = merchant.list(query).await.problem(400, "invalid_request");
        assert_eq!(wrong_fields(&problem), [field], "{query}");
    }
}

#[tokio::test]
async fn refresh_asks_the_platform() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    merchant.pending("ASK-001", 101).await;
    let order = world.control.pay_silently(&tenant, "ASK-001").await;
    assert_eq!(merchant.status("ASK-001").await, "pending", "nobody told");
    let payment = merchant.refresh("ASK-001").await.expect(200);
    assert_eq!(payment["status"], "succeeded");
    assert_eq!(payment["provider_transaction_id"], order["transaction_id"]);
    assert!(payment["paid_at"].is_string());
    // The platform's own notify after that changes nothing more.
    let late = world.control.notify(&tenant, "ASK-001", &json!({})).await;
    assert_eq!(late[0]["success"], true);
    world.verify().await;
}

/// Only where the platform stayed silent an answer may have been lost.
#[tokio::test]
async fn a_question_whose_answer_is_of_no_use_is_told_from_one_without_an_answer() {
    let world = World::builder().tenant(Tenant::bookshop().set("providers.wechat.timeout", "2s")).start().await;
    let merchant = world.merchant("bookshop");
    merchant.pending("ASK-002", 101).await;
    for (fault, status, code) in [
        (json!({ "type": "http", "status": 502 }), 502, "provider_unavailable"),
        (json!({ "type": "truncate" }), 502, "provider_unavailable"),
        (json!({ "type": "bad_signature" }), 502, "provider_unavailable"),
        (json!({ "type": "err_code", "code": "SYSTEMERROR" }), 502, "provider_unavailable"),
        (json!({ "type": "hang", "ms": 3_000 }), 504, "provider_timeout"),
    ] {
        world.control.fault(&json!({ "operation": "orderquery", "times": 1, "fault": fault })).await;
        merchant.refresh("ASK-002").await.problem(status, code);
        assert_eq!(merchant.status("ASK-002").await, "pending", "{fault}");
    }
    assert_eq!(merchant.refresh("ASK-002").await.expect(200)["status"], "pending");
    world.verify().await;
}

#[tokio::test]
async fn an_overdue_payment_is_asked_after_without_being_told() {
    let world = World::builder().set("queries.pending", toml_list(&["1s", "2s"])).start().await;
    let (tenant, merchant) = world.bookshop();
    merchant.pending("OVERDUE", 101).await;
    world.control.pay_silently(&tenant, "OVERDUE").await;
    becomes(&merchant, "OVERDUE", "succeeded").await;
    world.verify().await;
}

fn toml_list(items: &[&str]) -> toml::Value {
    toml::Value::Array(items.iter().map(|item| toml::Value::from(*item)).collect())
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    for path in ["/payments/NONE-01", "/payments/NONE-01/refunds", "/refunds/NONE", "/payments/a%2fb", "/nothing"] {
        merchant.get(path).await.problem(404, "not_found");
    }
    merchant.close("NONE-01").await.problem(404, "not_found");
    merchant.refund("NONE-01", "R-1", 1).await.problem(404, "not_found");
    let wrong_method = merchant.request(reqwest::Method::DELETE, "/payments");
    let answer = merchant.send(wrong_method).await.unwrap();
    assert!(answer.header("allow").is_some_and(|allow| allow.contains("POST")), "{:?}", answer.headers);
    answer.problem(405, "method_not_allowed");
}

//! A merchant's backend creates payments.

use dukou_e2e::{Tenant, World};
use serde_json::{Value, json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::{becomes, wrong_fields};

/// A moment from now, as the API writes moments.
fn after(duration: Duration) -> String {
    let moment = (OffsetDateTime::now_utc() + duration).replace_nanosecond(0).unwrap();
    moment.format(&Rfc3339).unwrap()
}

#[tokio::test]
async fn each_method_gives_what_its_front_end_needs() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    for (method, number, keys) in [
        ("jsapi", "JS-0001", &["appId", "nonceStr", "package", "paySign", "signType", "timeStamp"][..]),
        ("app", "APP-001", &["appid", "noncestr", "package", "partnerid", "prepayid", "sign", "timestamp"]),
        ("native", "NAT-001", &["code_url"]),
        ("h5", "H5-0001", &["h5_url"]),
    ] {
        let mut body = merchant.order(number, 101);
        body["method"] = json!(method);
        if method != "jsapi" {
            body.as_object_mut().unwrap().remove("payer");
        }
        let payment = merchant.create(&body).await.expect(201);
        assert_eq!((&payment["status"], &payment["method"]), (&json!("pending"), &json!(method)), "{payment}");
        let invoke = payment["invoke"].as_object().unwrap();
        let mut found: Vec<&str> = invoke.keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, keys, "{method}");
        assert!(invoke.values().all(Value::is_string), "{method}: a phone takes texts only");
        // The phone checks the second signature and pays.
        let mut client = payment["invoke"].clone();
        if method == "h5" {
            client = json!({ "mweb_url": client["h5_url"] });
        }
        world.control.pay_with(&tenant, number, &json!({ "client": client })).await;
        becomes(&merchant, number, "succeeded").await;
    }
    world.verify().await;
}

#[tokio::test]
async fn a_payment_shows_everything_that_the_contract_names() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    let mut body = merchant.order("SHOW-01", 101);
    body["attach"] = json!("shelf 7");
    body["metadata"] = json!({ "cart": "9", "次": "二" });
    let payment = merchant.create(&body).await.expect(201);
    for (field, expected) in [
        ("tenant", json!("bookshop")),
        ("provider", json!("wechat")),
        ("method", json!("jsapi")),
        ("out_trade_no", json!("SHOW-01")),
        ("amount", json!(101)),
        ("currency", json!("CNY")),
        ("description", json!("阿飞书店-图书")),
        ("attach", json!("shelf 7")),
        ("metadata", json!({ "cart": "9", "次": "二" })),
        ("openid", json!(merchant.tenant.openid(1))),
        ("status", json!("pending")),
        ("late", json!(false)),
        ("provider_transaction_id", Value::Null),
        ("refunded_amount", json!(0)),
        ("paid_at", Value::Null),
        ("failure", Value::Null),
    ] {
        assert_eq!(payment[field], expected, "{field}");
    }
    assert!(payment["id"].as_str().unwrap().starts_with("pay_"), "{payment}");
    assert_eq!(payment["attempts"][0]["trade_no"], "SHOW-01");
    for moment in ["created_at", "expires_at"] {
        let text = payment[moment].as_str().unwrap();
        assert!(text.ends_with('Z') && OffsetDateTime::parse(text, &Rfc3339).is_ok(), "{moment} is {text}");
    }
    let read = merchant.payment("SHOW-01").await.expect(200);
    assert_eq!((&read["id"], &read["metadata"]), (&payment["id"], &payment["metadata"]));
}

#[tokio::test]
async fn the_payer_may_come_as_a_login_code_or_later() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    let (code, openid) = world.control.code(&tenant).await;
    let mut body = merchant.order("CODE-01", 101);
    body["payer"] = json!({ "code": code });
    let payment = merchant.create(&body).await.expect(201);
    assert_eq!(payment["openid"], *openid);
    // The same call again does not need the code, which works only once.
    assert_eq!(merchant.create(&body).await.expect(200)["id"], payment["id"]);

    body["out_trade_no"] = json!("CODE-02");
    let used = merchant.create(&body).await.problem(400, "invalid_request");
    assert_eq!(used["provider_code"], "40029", "{used}");
    body["payer"] = json!({ "code": world.control.refused_code(&tenant, 40029).await });
    let invalid = merchant.create(&body).await.problem(400, "invalid_request");
    assert_eq!(invalid["provider_code"], "40029");
    merchant.payment("CODE-02").await.problem(404, "not_found");

    let mut waiting = merchant.order("LATER-1", 101);
    waiting.as_object_mut().unwrap().remove("payer");
    let payment = merchant.create(&waiting).await.expect(201);
    assert_eq!((&payment["status"], &payment["invoke"]), (&json!("created"), &Value::Null), "{payment}");
    assert!(world.control.journal("out_trade_no=LATER-1").await.is_empty(), "nothing goes to the platform yet");
    world.verify().await;
}

#[tokio::test]
async fn the_same_payment_again_is_the_same_and_another_content_a_conflict() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    let body = merchant.order("SAME-01", 101);
    let first = merchant.create(&body).await.expect(201);
    let again = merchant.create(&body).await.expect(200);
    assert_eq!(first["id"], again["id"]);
    assert_ne!(first["invoke"]["nonceStr"], again["invoke"]["nonceStr"], "signed anew");
    for (field, other) in [
        ("amount", json!(102)),
        ("description", json!("another book")),
        ("attach", json!("x")),
        ("payer", json!({ "openid": merchant.tenant.openid(2) })),
        ("method", json!("app")),
    ] {
        let mut body = body.clone();
        body[field] = other;
        merchant.create(&body).await.problem(409, "out_trade_no_conflict");
    }
    assert_eq!(merchant.payment("SAME-01").await.expect(200)["amount"], 101);
    let orders = world.control.journal("operation=unifiedorder&out_trade_no=SAME-01").await;
    assert_eq!(orders.len(), 1, "one order went to the platform");
    world.verify().await;
}

#[tokio::test]
async fn fifty_identical_creates_at_once_are_one_payment() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    let body = merchant.order("ONCE-01", 101);
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let (merchant, body) = (merchant.clone(), body.clone());
            tokio::spawn(async move { merchant.create(&body).await })
        })
        .collect();
    let mut statuses = Vec::new();
    let mut ids = std::collections::BTreeSet::new();
    for call in calls {
        let answer = call.await.unwrap();
        statuses.push(answer.status);
        ids.insert(answer.json["id"].as_str().unwrap_or_default().to_owned());
    }
    statuses.sort_unstable();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 49, "{statuses:?}");
    assert_eq!(ids.len(), 1, "{ids:?}");
    world.verify().await;
}

#[tokio::test]
async fn an_openid_of_another_app_is_refused_by_the_platform() {
    let world = World::builder().tenant(Tenant::bookshop()).tenant(Tenant::teahouse()).start().await;
    let merchant = world.merchant("bookshop");
    let (_, foreign) = world.control.code(world.tenant("teahouse")).await;
    let mut body = merchant.order("FOREIGN-1", 101);
    body["payer"] = json!({ "openid": foreign });
    let refused = merchant.create(&body).await.problem(402, "provider_refused");
    assert_eq!(refused["provider_code"], "PARAM_ERROR");
    assert!(refused["provider_message"].as_str().unwrap().contains("openid"), "{refused}");
    let payment = merchant.payment("FOREIGN-1").await.expect(200);
    assert_eq!(payment["status"], "failed");
    assert_eq!(payment["failure"]["code"], "PARAM_ERROR");
    world.verify().await;
}

#[tokio::test]
async fn a_payment_has_an_end() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    let end = after(Duration::minutes(30));
    let mut body = merchant.order("END-001", 101);
    body["expires_at"] = json!(end);
    let payment = merchant.create(&body).await.expect(201);
    let shown = OffsetDateTime::parse(payment["expires_at"].as_str().unwrap(), &Rfc3339).unwrap();
    assert_eq!(shown, OffsetDateTime::parse(&end, &Rfc3339).unwrap());
    let order = world.control.order(&tenant, "END-001").await.expect(200);
    assert_eq!(order["expires_at"], shown.unix_timestamp() * 1000, "the platform knows the end too");

    body["out_trade_no"] = json!("END-002");
    body["expires_at"] = json!("tomorrow");
    let problem = merchant.create(&body).await.problem(400, "invalid_request");
    assert_eq!(wrong_fields(&problem), ["expires_at"]);
    for wrong in [
        after(Duration::minutes(-5)),
        after(Duration::seconds(20)),
        after(Duration::days(367)),
        "9999-12-31T23:59:59Z".to_owned(),
    ] {
        body["expires_at"] = json!(wrong);
        let problem = merchant.create(&body).await.problem(400, "invalid_request");
        assert_eq!(wrong_fields(&problem), ["expires_at"], "{wrong}");
        // With whatever else is wrong, whoever sees it first.
        let mut more = body.clone();
        more["provider"] = json!("alipay");
        let problem = merchant.create(&more).await.problem(400, "invalid_request");
        assert_eq!(wrong_fields(&problem), ["provider", "expires_at"], "{wrong}");
        more["amount"] = json!(0);
        let problem = merchant.create(&more).await.problem(400, "invalid_request");
        assert_eq!(wrong_fields(&problem), ["amount", "provider", "expires_at"], "{wrong}");
    }
    body["out_trade_no"] = json!("E-3");
    body["expires_at"] = json!(after(Duration::seconds(20)));
    let problem = merchant.create(&body).await.problem(400, "invalid_request");
    assert_eq!(wrong_fields(&problem), ["out_trade_no", "expires_at"], "what WeChat does not take, and what we do not");
}

#[tokio::test]
async fn a_number_that_is_too_long_with_the_tenants_prefix_is_told_with_the_rest() {
    let world = World::builder().tenant(Tenant::bookshop().set("trade_no_prefix", "shop_")).start().await;
    let merchant = world.merchant("bookshop");
    let (fits, too_long) = ("F".repeat(27), "L".repeat(28));
    assert_eq!(merchant.create(&merchant.order(&fits, 101)).await.expect(201)["out_trade_no"], fits);
    let mut body = merchant.order(&too_long, 101);
    body["expires_at"] = json!(after(Duration::seconds(20)));
    let problem = merchant.create(&body).await.problem(400, "invalid_request");
    let mut fields = wrong_fields(&problem);
    fields.sort_unstable();
    assert_eq!(fields, ["expires_at", "out_trade_no"]);
    assert_eq!(merchant.payment(&too_long).await.status, 404, "nothing was recorded");
    world.verify().await;
}

#[tokio::test]
async fn a_number_is_made_where_none_is_given() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    let mut body = merchant.order("unused", 101);
    body.as_object_mut().unwrap().remove("out_trade_no");
    let mut numbers = std::collections::BTreeSet::new();
    for _ in 0..2 {
        let payment = merchant.create(&body).await.expect(201);
        numbers.insert(payment["out_trade_no"].as_str().unwrap().to_owned());
    }
    assert_eq!(numbers.len(), 2, "{numbers:?}");
    for number in &numbers {
        assert_eq!(merchant.payment(number).await.expect(200)["status"], "pending");
    }
    world.verify().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let world = World::start().await;
    let merchant = world.merchant("bookshop");
    for (field, value) in [
        ("amount", json!(1.0)),
        ("amount", json!("100")),
        ("amount", json!(-1)),
        ("amount", json!(0)),
        ("amount", json!(9_223_372_036_854_775_808_u64)),
        ("amount", Value::Null),
        ("currency", json!("USD")),
        ("description", json!("a\u{0}b")),
        ("description", json!("图书😀")),
        ("description", json!("长".repeat(10_000))),
        ("description", json!("")),
        ("attach", json!("a\nb")),
        ("method", json!("cash")),
        ("provider", json!(7)),
        ("out_trade_no", json!("no spaces")),
        ("client_ip", json!("localhost")),
        ("metadata", json!({ "a": 1 })),
        ("colour", json!("red")),
    ] {
        let mut body = merchant.order("WRONG-1", 101);
        body[field] = value.clone();
        let problem = merchant.create(&body).await.problem(400, "invalid_request");
        let named = wrong_fields(&problem);
        assert!(named.len() == 1 && named[0].starts_with(field), "{field} = {value}: {problem}");
    }
    let nothing = merchant.create(&json!({})).await.problem(400, "invalid_request");
    for field in ["provider", "method", "amount", "description"] {
        assert!(wrong_fields(&nothing).contains(&field), "{field} is not named: {nothing}");
    }
    let both = json!({ "openid": "o1", "code": "c1" });
    let mut body = merchant.order("WRONG-1", 101);
    body["payer"] = both;
    assert_eq!(merchant.create(&body).await.problem(400, "invalid_request")["errors"][0]["field"], "payer.openid");
    merchant.payment("WRONG-1").await.problem(404, "not_found");
    assert!(world.control.orders().await.is_empty(), "none of it reached the platform");
}

#[tokio::test]
async fn a_body_that_cannot_be_read_is_refused() {
    let world = World::builder().set("server.body_limit", "4KiB").start().await;
    let merchant = world.merchant("bookshop");
    let valid = merchant.order("BODY-01", 101).to_string();
    let twice = valid.replacen('{', "{\"amount\": 5, ", 1);
    let long = format!("{{\"description\":\"{}\"}}", "x".repeat(5000));
    let deep = "[".repeat(2000);
    for (body, kind, status, code) in [
        ("{", "application/json", 400, "invalid_request"),
        ("", "application/json", 400, "invalid_request"),
        (twice.as_str(), "application/json", 400, "invalid_request"),
        ("{\"description\":\"\\ud800\"}", "application/json", 400, "invalid_request"),
        (deep.as_str(), "application/json", 400, "invalid_request"),
        (valid.as_str(), "text/plain", 415, "unsupported_media_type"),
        (long.as_str(), "application/json", 413, "body_too_large"),
    ] {
        let request = merchant.request(reqwest::Method::POST, "/payments").header("content-type", kind);
        merchant.send(request.body(body.to_owned())).await.unwrap().problem(status, code);
    }
    let request = merchant.request(reqwest::Method::POST, "/payments").header("content-type", "application/json");
    merchant.send(request.body(valid)).await.unwrap().expect(201);
}

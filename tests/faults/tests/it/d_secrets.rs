//! Secrets stay inside, whatever is logged and whatever goes wrong.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use dukou_e2e::{Answer, Merchant, Tenant, World};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::json;

use crate::support::{
    becomes, need_fail_points, notify_document, notify_once, paid_silently, post_notify, refund_becomes,
};

const ADMIN_TOKEN: &str = "admin-token-Zx9/mark+1";
const REDIS_PASSWORD: &str = "redis-password-Kq7mark2";

fn forms(secret: &str) -> Vec<String> {
    vec![
        secret.to_owned(),
        STANDARD.encode(secret),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        hex::encode(secret),
        hex::encode_upper(secret),
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
    ]
}

/// Every page of the console, and the history of each payment.
async fn what_operators_see(world: &World) -> Vec<String> {
    let admin = world.gateway.admin_url();
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let entered = client.post(format!("{admin}/console/login")).form(&[("token", ADMIN_TOKEN)]).send().await.unwrap();
    let cookie = entered.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let mut paths = vec!["/console".to_owned(), "/console/health".to_owned(), "/console/tenants".to_owned()];
    paths.push("/access-tokens".to_owned());
    for id in ["bookshop", "teahouse"] {
        for list in ["payments", "requests", "deliveries"] {
            paths.push(format!("/console/{list}?tenant={id}"));
        }
        for number in ["F31-paid", "F31-code", "F31-lost"] {
            paths.extend([format!("/console/payments/{id}/{number}"), format!("/timeline/{id}/{number}")]);
        }
    }
    let mut pages = Vec::new();
    for path in paths {
        let request = client.get(format!("{admin}{path}")).header("cookie", &cookie).bearer_auth(ADMIN_TOKEN);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        pages.push(answer.text().await.unwrap());
    }
    pages
}

/// A token that the platform refuses is replaced, or the call that would tell whether it does is answered with
/// nonsense. The tokens that were given; their own answers alone hold them.
async fn access_tokens(world: &World, merchant: &Merchant, fails: bool, bodies: &mut Vec<Answer>) -> Vec<String> {
    let given = |answer: Answer| answer.expect(201)["access_token"].as_str().unwrap().to_owned();
    let mut body = json!({ "provider": "wechat" });
    let first = given(merchant.post_once("F31-token", "/access-tokens", &body).await);
    world.control.must(&format!("/access-tokens/{}", merchant.tenant.app_id), &json!({ "refuse": true })).await;
    body["stale"] = json!(first);
    let mut tokens = vec![first];
    if fails {
        let fault = json!({ "type": "http", "status": 500, "body": "oops" });
        world.control.fault(&json!({ "operation": "get_api_domain_ip", "times": 1, "fault": fault })).await;
        let answer = merchant.post("/access-tokens", &body).await;
        assert!(answer.status >= 500, "{}", answer.text);
        bodies.push(answer);
    } else {
        let second = given(merchant.post("/access-tokens", &body).await);
        body["stale"] = json!(second);
        tokens.push(second);
    }
    // Too early for another look; and a field that nobody knows.
    bodies.push(merchant.post("/access-tokens", &body).await);
    body["force"] = json!(true);
    bodies.push(merchant.post("/access-tokens", &body).await);
    tokens
}

/// Watches: the type that cannot be printed, errors of the HTTP client that would name a whole address, and libraries
/// that log what they carry.
#[tokio::test]
async fn f31_no_secret_leaves_at_the_most_detailed_log_level() {
    need_fail_points().await;
    let sharing = |tenant: Tenant| tenant.set("providers.wechat.share_access_token", true);
    let shop = sharing(Tenant::bookshop()).set("providers.wechat.timeout", "1s");
    let world = World::builder()
        .tenant(shop)
        .tenant(sharing(Tenant::teahouse()))
        .env("RUST_LOG", "trace")
        .env("DUKOU__ADMIN__TOKEN", ADMIN_TOKEN)
        // Nobody listens there: what is logged about it must not name the password.
        .env("DUKOU__REDIS__URL", &format!("redis://:{REDIS_PASSWORD}@127.0.0.1:1/0"))
        .start()
        .await;
    let (mut bodies, mut tokens): (Vec<Answer>, Vec<String>) = (Vec::new(), Vec::new());
    for id in ["bookshop", "teahouse"] {
        let merchant = world.merchant(id);
        let tenant = &merchant.tenant;
        // What goes well: every kind of call, with both kinds of certificate.
        let (code, _) = world.control.code(tenant).await;
        let mut order = merchant.order("F31-code", 101);
        order["payer"] = json!({ "code": code });
        bodies.push(merchant.create(&order).await);
        paid_silently(&world, &merchant, "F31-paid", 101).await;
        assert!(notify_once(&world, tenant, "F31-paid").await);
        bodies.push(merchant.refund("F31-paid", "R31-0001", 50).await);
        refund_becomes(&merchant, "R31-0001", "succeeded").await;
        bodies.push(merchant.refresh("F31-code").await);
        bodies.push(merchant.close("F31-code").await);

        tokens.extend(access_tokens(&world, &merchant, id == "bookshop", &mut bodies).await);

        // What goes wrong at the platform, call by call.
        for (number, operation, fault) in [
            ("F31-drop", "jscode2session", json!({ "type": "drop" })),
            ("F31-page", "jscode2session", json!({ "type": "http", "status": 500, "body": "oops" })),
            ("F31-hang", "jscode2session", json!({ "type": "hang", "ms": 3000 })),
            ("F31-sign", "unifiedorder", json!({ "type": "bad_signature" })),
            ("F31-lost", "unifiedorder", json!({ "type": "lose_answer" })),
            ("F31-fail", "unifiedorder", json!({ "type": "return_fail", "message": "签名错误" })),
            ("F31-cut", "unifiedorder", json!({ "type": "truncate" })),
        ] {
            world.control.fault(&json!({ "operation": operation, "times": 1, "fault": fault })).await;
            let mut order = merchant.order(number, 101);
            if operation == "jscode2session" {
                let (code, _) = world.control.code(tenant).await;
                order["payer"] = json!({ "code": code });
            }
            let answer = merchant.create(&order).await;
            assert!(answer.status >= 400 || operation == "unifiedorder", "{number}: {}", answer.text);
            bodies.push(answer);
            world.control.clear_faults().await;
        }
        let refused = world.control.refused_code(tenant, 40029).await;
        let mut order = merchant.order("F31-refused", 101);
        order["payer"] = json!({ "code": refused });
        bodies.push(merchant.create(&order).await);

        // What goes wrong at the gateway's own door.
        let wrong = merchant.request(Method::GET, "/payments").header("Authorization", "Bearer wrong");
        bodies.push(merchant.send(wrong).await.unwrap());
        let other = if id == "bookshop" { "teahouse" } else { "bookshop" };
        let url = format!("{}/v1/{other}/payments", world.gateway.url());
        let foreign = world.client().get(url).bearer_auth(&tenant.api_key).send().await.unwrap();
        bodies.push(Answer::read(foreign).await.unwrap());
        let mut strange = merchant.order("F31-strange", 101);
        strange["api_key"] = json!("x");
        bodies.push(merchant.create(&strange).await);
        let document = notify_document(&world, tenant, "F31-paid").await;
        for spoilt in [document.replace("101", "100"), document[..100].to_owned()] {
            bodies.extend(post_notify(&world, &world.notify_url(id, "payment"), spoilt).await);
        }
        bodies.extend(post_notify(&world, &world.notify_url(id, "refund"), document).await);
    }

    // Panics, with everything in the variables around them.
    let panics = "provider.call=1*panic(deliberate);notify.verified=1*panic(deliberate)";
    world.gateway.restart_with(&[("FAILPOINTS", panics)]).await;
    let (tenant, merchant) = world.bookshop();
    bodies.push(merchant.create(&merchant.order("F31-panic", 101)).await);
    let document = notify_document(&world, &tenant, "F31-paid").await;
    bodies.extend(post_notify(&world, &world.notify_url("bookshop", "payment"), document).await);
    becomes(&merchant, "F31-panic", "created").await;

    let pages = what_operators_see(&world).await;
    let mut secrets: Vec<String> = world.tenants.iter().flat_map(Tenant::secrets).collect();
    assert_eq!(tokens.len(), 3);
    secrets.extend(tokens);
    secrets.extend([ADMIN_TOKEN.to_owned(), REDIS_PASSWORD.to_owned()]);
    for tenant in &world.tenants {
        let key = world.sandbox.merchant(&tenant.mch_id).unwrap().client_key_pem;
        secrets.extend(key.lines().filter(|line| line.len() > 40).map(str::to_owned));
    }
    let log = world.gateway.logs();
    assert!(log.contains("\"level\":\"TRACE\""), "the log is not at its most detailed");
    for secret in &secrets {
        let start: String = secret.chars().take(8).collect();
        for form in forms(secret) {
            for answer in &bodies {
                assert!(!answer.text.contains(&form), "{start}… is in an answer: {}", answer.text);
            }
            for page in &pages {
                assert!(!page.contains(&form), "{start}… is shown to operators: {page}");
            }
            if let Some(line) = log.lines().find(|line| line.contains(&form)) {
                panic!("{start}… is in the log: {}", line.replace(&form, "<the secret>"));
            }
        }
    }
    let checker = secrets.iter().fold(world.checker().degraded(), |checker, secret| checker.secret(secret));
    checker.verify().await;
}

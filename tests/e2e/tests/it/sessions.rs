//! A user opens the mini-program.

use dukou_e2e::{Answer, Buyer, Tenant, World, eventually};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::{SOON, wrong_fields};

async fn log_in(world: &World, code: &str) -> Answer {
    Buyer::session(world, "bookshop", &json!({ "provider": "wechat", "code": code })).await
}

#[tokio::test]
async fn a_login_code_becomes_a_session() {
    let world = World::builder().env("RUST_LOG", "trace").start().await;
    let (tenant, _) = world.bookshop();
    let (code, openid) = world.control.code(&tenant).await;
    let answer = log_in(&world, &code).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let session = answer.expect(201);
    assert_eq!(session["openid"], *openid);
    assert!(session.get("unionid").is_some(), "{session}");
    assert!(!session.to_string().contains("session_key"));
    let ends = OffsetDateTime::parse(session["expires_at"].as_str().unwrap(), &Rfc3339).unwrap();
    let lasts = (ends - OffsetDateTime::now_utc()).whole_minutes();
    assert!((115..=120).contains(&lasts), "{session}");
    let token = session["session_token"].as_str().unwrap();
    assert!(token.starts_with("dks1_"));
    let request = world.client().get(format!("{}/v1/bookshop/payments/NONE-01", world.gateway.url()));
    assert_eq!(request.bearer_auth(token).send().await.unwrap().status(), 404);
    let logs = eventually("the session's request is in the log", SOON, async || {
        Some(world.gateway.logs()).filter(|logs| logs.contains("\"session\""))
    });
    let logs = logs.await;
    for secret in [token, token.split_once('.').unwrap().1, &code] {
        assert!(!logs.contains(secret), "in the most detailed log");
    }
}

#[tokio::test]
async fn a_phone_that_sends_twice_is_answered_alike() {
    let world = World::start().await;
    let (tenant, _) = world.bookshop();
    let (code, _) = world.control.code(&tenant).await;
    let both = tokio::join!(log_in(&world, &code), log_in(&world, &code));
    let (one, other) = (both.0.expect(201), both.1.expect(201));
    assert_eq!(one, other);
    assert_eq!(log_in(&world, &code).await.expect(201), one);
    assert_eq!(world.control.journal("operation=jscode2session").await.len(), 1);
}

async fn log_in_once(world: &World, key: &str, body: &Value) -> Answer {
    let url = format!("{}/v1/bookshop/sessions", world.gateway.url());
    let response = world.client().post(url).header("Idempotency-Key", key).json(body).send().await.unwrap();
    Answer::read(response).await.unwrap()
}

#[tokio::test]
async fn under_an_idempotency_key_the_session_is_given_again_and_its_token_is_not_stored() {
    let world = World::builder().embedded().start().await;
    let (tenant, merchant) = world.bookshop();
    let (code, openid) = world.control.code(&tenant).await;
    let body = json!({ "provider": "wechat", "code": code });
    let first = log_in_once(&world, "key-1", &body).await;
    assert_eq!((first.header("idempotent-replayed"), first.header("cache-control")), (None, Some("no-store")));
    let session = first.expect(201);
    // After a restart nobody remembers the code, and the platform takes it once.
    world.gateway.restart().await;
    let again = log_in_once(&world, "key-1", &body).await;
    assert_eq!((again.header("idempotent-replayed"), again.header("cache-control")), (Some("true"), Some("no-store")));
    assert_eq!(again.expect(201), session);
    assert_eq!(session["openid"], *openid);
    assert_eq!(world.control.journal("operation=jscode2session").await.len(), 1);

    let (other, _) = world.control.code(&tenant).await;
    let another = json!({ "provider": "wechat", "code": other });
    log_in_once(&world, "key-1", &another).await.problem(409, "idempotency_key_conflict");
    log_in_once(&world, "no key", &another).await.problem(400, "invalid_request");
    // A backend's key of the same name is another key.
    merchant.post_once("key-1", "/payments", &merchant.order("KEYS-01", 101)).await.expect(201);
    // What is refused leaves nothing in the store, where anybody could fill it.
    let refused = json!({ "provider": "wechat", "code": "invented" });
    for _ in 0..2 {
        let answer = log_in_once(&world, "key-2-of-nobody", &refused).await;
        assert_eq!(answer.header("idempotent-replayed"), None);
        assert_eq!(wrong_fields(&answer.problem(400, "invalid_request")), ["code"]);
    }

    world.gateway.terminate();
    assert!(world.gateway.wait_exit(crate::SOON).await.success());
    let stored = std::fs::read(world.directory().join("data/dukou.db")).unwrap();
    let token = session["session_token"].as_str().unwrap();
    for secret in [token, token.split_once('.').unwrap().0, token.split_once('.').unwrap().1, &code] {
        assert!(!stored.windows(secret.len()).any(|part| part == secret.as_bytes()), "in the store");
    }
    assert!(stored.windows(openid.len()).any(|part| part == openid.as_bytes()), "the search finds what is there");
}

#[tokio::test]
async fn what_is_no_login_is_refused() {
    let world = World::start().await;
    let (tenant, _) = world.bookshop();
    let refused = log_in(&world, &world.control.refused_code(&tenant, 40029).await).await;
    let refused = refused.problem(400, "invalid_request");
    assert_eq!((&refused["provider_code"], wrong_fields(&refused)), (&json!("40029"), vec!["code"]));
    // Here it is the user: a phone that got a new code would be refused for ever.
    let blocked = log_in(&world, &world.control.refused_code(&tenant, 40226).await).await;
    let blocked = blocked.problem(400, "invalid_request");
    assert_eq!((&blocked["provider_code"], wrong_fields(&blocked)), (&json!("40226"), vec!["code"]));
    assert!(blocked["errors"][0]["message"].as_str().unwrap().contains("no other code"), "{blocked}");
    log_in(&world, "invented").await.problem(400, "invalid_request");

    let (code, _) = world.control.code(&tenant).await;
    for (body, field) in [
        (json!({ "provider": "alipay", "code": code }), "provider"),
        (json!({ "code": code }), "provider"),
        (json!({ "provider": "wechat" }), "code"),
        (json!({ "provider": "wechat", "code": code, "openid": "o1" }), "openid"),
    ] {
        let problem = Buyer::session(&world, "bookshop", &body).await.problem(400, "invalid_request");
        assert_eq!(wrong_fields(&problem), [field], "{body}");
    }
    let body = json!({ "provider": "wechat", "code": code });
    Buyer::session(&world, "nobody", &body).await.problem(401, "unauthorized");
    log_in(&world, &code).await.expect(201);
}

#[tokio::test]
async fn a_token_is_good_for_its_tenant_and_survives_a_restart() {
    let world = World::builder().tenant(Tenant::bookshop()).tenant(Tenant::teahouse()).start().await;
    let mut buyer = Buyer::log_in(&world, world.tenant("bookshop")).await;
    buyer.get("/payments/NONE-01").await.problem(404, "not_found");
    world.gateway.restart().await;
    buyer.get("/payments/NONE-01").await.problem(404, "not_found");
    let there = format!("{}/v1/teahouse/payments/NONE-01", world.gateway.url());
    let request = world.client().get(there).bearer_auth(&buyer.token);
    buyer.send(request).await.problem(401, "unauthorized");
    let last = buyer.token.pop().unwrap();
    buyer.token.push(if last == 'A' { 'E' } else { 'A' });
    buyer.get("/payments/NONE-01").await.problem(401, "unauthorized");
}

#[tokio::test]
async fn what_is_the_backends_is_not_the_buyers() {
    let world = World::start().await;
    let (tenant, merchant) = world.bookshop();
    merchant.pending("THEIRS1", 101).await;
    let buyer = Buyer::log_in(&world, &tenant).await;
    for path in ["/payments", "/events", "/refund-requests", "/payments/THEIRS1/refunds", "/refunds/R-1"] {
        buyer.get(path).await.problem(403, "forbidden");
    }
    for path in ["/payments", "/payments/THEIRS1/close", "/payments/THEIRS1/refunds", "/refund-requests/rrq_1/approve"]
    {
        buyer.post(path, &json!({})).await.problem(403, "forbidden");
    }
    let asked = json!({ "amount": 1 });
    merchant.post("/payments/THEIRS1/refund-requests", &asked).await.problem(403, "forbidden");
    assert_eq!(merchant.status("THEIRS1").await, "pending");
}

#[tokio::test]
async fn who_asks_too_often_is_told_to_wait_and_the_backend_is_not() {
    let world = World::builder()
        .set("limits.sessions_per_client", "1/h burst 2")
        .set("limits.calls_per_client", "1/h burst 3")
        .set("server.trusted_proxies", toml::Value::Array(vec!["127.0.0.1".into()]))
        .start()
        .await;
    let (tenant, merchant) = world.bookshop();
    merchant.pending("OFTEN-1", 101).await;
    let buyer = Buyer::log_in(&world, &tenant).await;
    log_in(&world, "invented").await.problem(400, "invalid_request");
    let (code, _) = world.control.code(&tenant).await;
    let refused = log_in(&world, &code).await;
    let wait: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((3000..=3600).contains(&wait), "{wait}");
    refused.problem(429, "rate_limited");
    // Another client, as the proxy says.
    let url = format!("{}/v1/bookshop/sessions", world.gateway.url());
    let body = json!({ "provider": "wechat", "code": code });
    let request = world.client().post(url).header("X-Forwarded-For", "1.1.1.1, 203.0.113.7").json(&body);
    buyer.send(request).await.expect(201);

    for _ in 0..3 {
        buyer.get("/payments/OFTEN-1").await.problem(404, "not_found");
    }
    buyer.get("/payments/OFTEN-1").await.problem(429, "rate_limited");
    for _ in 0..50 {
        let payment = merchant.payment("OFTEN-1").await.expect(200);
        assert_ne!(payment["status"], Value::Null);
    }
}

//! The access token of an app: one for all who share it, for their backends, and seen by the operator without it.

use dukou_e2e::{Answer, Buyer, Merchant, Tenant, World, dukou, eventually};
use serde_json::{Value, json};

use crate::{SOON, wrong_fields};

const ADMIN: &str = "the-admins-own-token";

fn sharing(tenant: Tenant) -> Tenant {
    tenant.set("providers.wechat.share_access_token", true)
}

async fn ask(merchant: &Merchant, more: Value) -> Answer {
    let mut body = json!({ "provider": "wechat" });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    merchant.post("/access-tokens", &body).await
}

async fn token(merchant: &Merchant) -> String {
    let given = ask(merchant, json!({})).await.expect(201);
    given["access_token"].as_str().unwrap().to_owned()
}

/// Whether the platform takes it.
async fn is_accepted(world: &World, token: &str) -> bool {
    let url = format!("{}/cgi-bin/get_api_domain_ip?access_token={token}", world.sandbox.http_url());
    let answer: Value = world.client().get(url).send().await.unwrap().json().await.unwrap();
    answer["ip_list"].is_array()
}

/// Calls for a token that reached the platform, and those by force among them.
async fn calls(world: &World) -> (usize, usize) {
    let calls = world.control.journal("operation=stable_token").await;
    let by_force = |call: &&Value| call["request"].as_str().unwrap().contains("\"force_refresh\":true");
    (calls.len(), calls.iter().filter(by_force).count())
}

async fn break_it(world: &World, change: Value) {
    let path = format!("/access-tokens/{}", world.bookshop().0.app_id);
    world.control.must(&path, &change).await;
}

async fn seen_by_the_operator(world: &World, token: &str) -> Answer {
    let url = format!("{}/access-tokens", world.gateway.admin_url());
    Answer::read(world.client().get(url).bearer_auth(token).send().await.unwrap()).await.unwrap()
}

#[tokio::test]
async fn one_token_serves_all_who_share_the_app() {
    let twin = Tenant::new("twin", "1900000112", &Tenant::bookshop().app_id);
    let world = World::builder()
        .tenant(sharing(Tenant::bookshop()))
        .tenant(sharing(twin))
        .embedded()
        .env("DUKOU__ADMIN__TOKEN", ADMIN)
        .start()
        .await;
    let (tenant, merchant) = world.bookshop();
    let twin = world.merchant("twin");
    let asked: Vec<_> = (0..60)
        .map(|at| {
            let merchant = if at % 2 == 0 { merchant.clone() } else { twin.clone() };
            tokio::spawn(async move { token(&merchant).await })
        })
        .collect();
    let first = token(&merchant).await;
    for given in asked {
        assert_eq!(given.await.unwrap(), first);
    }
    assert!(is_accepted(&world, &first).await);
    assert_eq!(calls(&world).await, (1, 0));
    let answer = ask(&merchant, json!({})).await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let given = answer.expect(201);
    assert_eq!((&given["provider"], &given["app_id"]), (&json!("wechat"), &json!(tenant.app_id)));

    // The next process finds it, and it is nowhere to be read.
    world.gateway.restart().await;
    assert_eq!((token(&twin).await, calls(&world).await), (first.clone(), (1, 0)));
    let seen = seen_by_the_operator(&world, ADMIN).await;
    assert!(!seen.text.contains(&first) && seen.header("cache-control") == Some("no-store"));
    let seen = seen.expect(200);
    let [app] = seen["data"].as_array().unwrap().as_slice() else { panic!("{seen}") };
    assert_eq!((&app["app_id"], &app["version"], &app["last_error"]), (&json!(tenant.app_id), &json!(1), &Value::Null));
    let holders: Vec<&str> =
        app["holders"].as_array().unwrap().iter().map(|holder| holder["tenant"].as_str().unwrap()).collect();
    assert_eq!(holders, ["bookshop", "twin"]);
    assert!(app["age_seconds"].as_u64().unwrap() < 60 && app["fetched_by"].as_str().unwrap().contains('/'), "{app}");
    seen_by_the_operator(&world, "another").await.problem(401, "unauthorized");
    let expiry = world.metrics().await.value("dukou_access_token_expiry_seconds", &[("tenant", "twin")]);
    assert!((7000.0..=7200.0).contains(&expiry), "{expiry}");
    world.gateway.terminate();
    assert!(world.gateway.wait_exit(SOON).await.success());
    for name in ["data/dukou.db", "data/dukou.db-wal"] {
        let Ok(stored) = std::fs::read(world.directory().join(name)) else { continue };
        assert!(!stored.windows(first.len()).any(|part| part == first.as_bytes()), "the token is in {name}");
    }
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once_however_many_say_so() {
    let world = World::builder().tenant(sharing(Tenant::bookshop())).start().await;
    let (_, merchant) = world.bookshop();
    let first = token(&merchant).await;
    break_it(&world, json!({ "refuse": true })).await;
    assert!(!is_accepted(&world, &first).await);
    let storm: Vec<_> = (0..60)
        .map(|_| {
            let (merchant, stale) = (merchant.clone(), first.clone());
            tokio::spawn(async move { ask(&merchant, json!({ "stale": stale })).await.expect(201) })
        })
        .collect();
    let mut given = Vec::new();
    for answer in storm {
        given.push(answer.await.unwrap()["access_token"].as_str().unwrap().to_owned());
    }
    given.dedup();
    let [second] = given.as_slice() else { panic!("{} tokens", given.len()) };
    assert!(is_accepted(&world, second).await && *second != first);
    assert_eq!(calls(&world).await, (3, 1));
    // It is called refused at once again: not one call more within the minute.
    for _ in 0..20 {
        let answer = ask(&merchant, json!({ "stale": second })).await;
        assert_eq!(answer.header("retry-after"), Some("60"));
        answer.problem(429, "rate_limited");
    }
    assert_eq!((calls(&world).await, token(&merchant).await), ((3, 1), second.clone()));
    let metrics = world.metrics().await;
    let count = |outcome| metrics.count("dukou_access_token_fetches_total", &[("outcome", outcome)]);
    assert_eq!((count("new"), count("forced"), count("failed")), (1, 1, 0));
}

#[tokio::test]
async fn two_instances_on_one_postgresql_fetch_and_replace_it_once() {
    let world = World::builder().tenant(sharing(Tenant::bookshop())).env("DUKOU__ADMIN__TOKEN", ADMIN).two();
    let world = world.start().await;
    let places = [world.merchant("bookshop"), world.merchant_at_second("bookshop")];
    let at_once = async |body: Value| {
        let asked = (0..60).map(|at| {
            let (merchant, body) = (places[at % places.len()].clone(), body.clone());
            tokio::spawn(async move { ask(&merchant, body).await.expect(201) })
        });
        let mut given = Vec::new();
        for answer in asked.collect::<Vec<_>>() {
            given.push(answer.await.unwrap()["access_token"].as_str().unwrap().to_owned());
        }
        given.dedup();
        let [token] = given.as_slice() else { panic!("{} tokens", given.len()) };
        token.clone()
    };
    let first = at_once(json!({})).await;
    assert_eq!(calls(&world).await, (1, 0));

    break_it(&world, json!({ "refuse": true })).await;
    let second = at_once(json!({ "stale": first })).await;
    assert!(is_accepted(&world, &second).await && second != first);
    assert_eq!(calls(&world).await, (3, 1));
    // What the one instance looked into, the other one does not look into again.
    for merchant in &places {
        ask(merchant, json!({ "stale": second })).await.problem(429, "rate_limited");
    }
    assert_eq!(calls(&world).await, (3, 1));
    let metrics = world.metrics().await;
    let count = |outcome| metrics.count("dukou_access_token_fetches_total", &[("outcome", outcome)]);
    assert_eq!((count("new"), count("forced"), count("failed")), (1, 1, 0));

    let seen = [&world.gateway, world.second()].map(|gateway| format!("{}/access-tokens", gateway.admin_url()));
    for url in seen {
        let answer = Answer::read(world.client().get(url).bearer_auth(ADMIN).send().await.unwrap()).await.unwrap();
        assert!(!answer.text.contains(&first) && !answer.text.contains(&second));
        let app = &answer.expect(200)["data"][0];
        assert_eq!((&app["version"], &app["forced_today"]), (&json!(2), &json!(1)), "{app}");
    }
    let kept = world.sql("SELECT value FROM plugin_documents WHERE plugin = 'providers'");
    assert!(kept.contains("\"sealed\"") && !kept.contains(&first) && !kept.contains(&second));
}

#[tokio::test]
async fn an_address_that_is_not_allowed_is_named_and_not_tried_in_a_loop() {
    let world = World::builder()
        .tenant(sharing(Tenant::bookshop()).set("providers.wechat.timeout", "2s"))
        .env("DUKOU__ADMIN__TOKEN", ADMIN);
    let world = world.start().await;
    let (_, merchant) = world.bookshop();
    // What is shared is fetched before anybody asks; that one is over, and the next is refused.
    eventually("the token is fetched", SOON, async || (calls(&world).await.0 == 1).then_some(())).await;
    break_it(&world, json!({ "allowed_ips": ["203.0.113.9"], "refuse": true })).await;
    let stale = token(&merchant).await;
    for _ in 0..20 {
        let problem = ask(&merchant, json!({ "stale": stale })).await.problem(402, "provider_refused");
        assert_eq!(problem["provider_code"], "40164");
    }
    assert_eq!(calls(&world).await, (2, 0));
    let seen = seen_by_the_operator(&world, ADMIN).await.expect(200);
    let error = &seen["data"][0]["last_error"];
    assert_eq!((&error["code"], &error["needs_person"]), (&json!("40164"), &json!(true)), "{seen}");
    let failing = world.metrics().await.value("dukou_access_token_failing", &[("tenant", "bookshop")]);
    assert!((failing - 1.0).abs() < 0.1);

    let config = world.directory().join("config");
    let arguments = ["doctor", "--tenant", "bookshop", "--live", "--config", config.to_str().unwrap()];
    let finished = dukou(&arguments, &[]).await;
    assert_eq!(finished.code, Some(1), "{}", finished.stdout);
    assert!(finished.stdout.contains("providers.wechat.app_secret: no access token: 127.0.0.1 is not on the app's IP"));
    assert!(finished.stdout.contains("fix: add 127.0.0.1 to it"), "{}", finished.stdout);
    break_it(&world, json!({ "allowed_ips": [], "expire": true })).await;
    let finished = dukou(&arguments, &[]).await;
    assert!(finished.stdout.contains("gets an access token from here"), "{}", finished.stdout);
}

#[tokio::test]
async fn it_is_for_a_backend_whose_tenant_allows_it_alone() {
    let world = World::builder().tenant(Tenant::bookshop()).tenant(sharing(Tenant::teahouse())).start().await;
    let (tenant, merchant) = world.bookshop();
    let forbidden = ask(&merchant, json!({})).await.problem(403, "forbidden");
    assert!(forbidden["detail"].as_str().unwrap().contains("share_access_token = true in [providers.wechat]"));
    let buyer = Buyer::log_in(&world, world.tenant("teahouse")).await;
    buyer.post("/access-tokens", &json!({ "provider": "wechat" })).await.problem(403, "forbidden");
    let url = format!("{}/v1/teahouse/access-tokens", world.gateway.url());
    let foreign = world.client().post(url).bearer_auth(&tenant.api_key).json(&json!({ "provider": "wechat" }));
    Answer::read(foreign.send().await.unwrap()).await.unwrap().problem(401, "unauthorized");
    let teahouse = world.merchant("teahouse");
    for (body, field) in [(json!({ "provider": "alipay" }), "provider"), (json!({ "stale": "" }), "stale")] {
        assert_eq!(wrong_fields(&ask(&teahouse, body).await.problem(400, "invalid_request")), [field]);
    }
    // Nobody uses the bookshop's, so nobody fetched it.
    let journal = world.control.journal("operation=stable_token").await;
    assert!(journal.iter().all(|call| !call["request"].as_str().unwrap().contains(&tenant.app_id)), "{journal:?}");
}

#[tokio::test]
async fn under_an_idempotency_key_it_is_given_again_and_not_stored() {
    let world = World::builder().tenant(sharing(Tenant::bookshop())).embedded().start().await;
    let (_, merchant) = world.bookshop();
    let body = json!({ "provider": "wechat" });
    let first = merchant.post_once("token-1", "/access-tokens", &body).await;
    let again = merchant.post_once("token-1", "/access-tokens", &body).await;
    assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), (None, Some("true")));
    assert_eq!(again.header("cache-control"), Some("no-store"));
    assert_eq!(first.expect(201), again.expect(201));
    let given = token(&merchant).await;
    let other = json!({ "provider": "wechat", "stale": "other" });
    merchant.post_once("token-1", "/access-tokens", &other).await.problem(409, "idempotency_key_conflict");
    world.gateway.terminate();
    assert!(world.gateway.wait_exit(SOON).await.success());
    let stored = std::fs::read(world.directory().join("data/dukou.db")).unwrap();
    assert!(!stored.windows(given.len()).any(|part| part == given.as_bytes()), "in the store");
    assert!(stored.windows(7).any(|part| part == b"token-1"), "the search finds what is there");
}

//! A mini-program shares to Douyin, and what happens there comes back.

use dukou_e2e::{Answer, Buyer, Merchant, Tenant, World, eventually};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{SOON, wrong_fields};

async fn world() -> (World, Tenant, Merchant) {
    let world = World::builder().tenant(Tenant::bookshop().with_douyin()).tenant(Tenant::teahouse()).start().await;
    let (tenant, merchant) = world.bookshop();
    // Contents and numbers as the documents have them, so that a failure is the same every time.
    let plain = json!({ "text_content_share": 0, "text_numbers_share": 0, "unknown_field_share": 0 });
    world.control.must("/douyin/policy", &plain).await;
    (world, tenant, merchant)
}

fn callback(world: &World, tenant: &str) -> String {
    format!("{}/callback/{tenant}/douyin-share", world.gateway.url())
}

/// Enters the callback address in Douyin's console, which checks it.
async fn subscribe(world: &World, tenant: &Tenant, challenge: Value) -> Value {
    let key = &tenant.douyin.as_ref().unwrap().client_key;
    let body = json!({ "url": callback(world, &tenant.id), "challenge": challenge });
    world.control.must(&format!("/douyin/apps/{key}/webhook"), &body).await
}

fn book(tenant: &Tenant) -> Value {
    json!({
        "app_id": tenant.app_id, "title": "边城 · 沈从文", "path": "/pages/book/detail?id=42",
        "image_url": "https://img.example.com/42.png", "hashtags": ["读书", "#沈从文"], "scene": 1007,
    })
}

async fn share(merchant: &Merchant, body: &Value) -> Answer {
    merchant.post("/shares/douyin", body).await
}

async fn event(merchant: &Merchant, kind: &str) -> Value {
    eventually(kind, SOON, async || merchant.all_events().await.into_iter().find(|event| event["type"] == *kind)).await
}

async fn count(merchant: &Merchant, kind: &str) -> usize {
    merchant.all_events().await.iter().filter(|event| event["type"] == *kind).count()
}

#[tokio::test]
async fn a_share_is_opened_published_and_comes_back() {
    let (world, tenant, merchant) = world().await;
    subscribe(&world, &tenant, json!(12345)).await;
    subscribe(&world, &tenant, json!("a text")).await;
    let answer = share(&merchant, &book(&tenant)).await.expect(201);
    assert_eq!(answer["state"], answer["share_id"]);
    assert_eq!(answer["warnings"], json!([]));
    let opened = world.control.must("/douyin/open", &json!({ "schema": answer["schema"] })).await;
    assert_eq!((&opened["title"], &opened["share_id"]), (&json!("边城 · 沈从文"), &answer["share_id"]));
    assert_eq!(opened["hashtags"], json!(["读书", "沈从文"]));
    assert_eq!(opened["media"]["urls"], json!(["https://img.example.com/42.png"]));
    assert!(opened["mini_program"].to_string().contains("pages/book/detail?id=42"), "{opened}");
    let work = world.control.must("/douyin/publish", &json!({ "opening_id": opened["opening_id"] })).await;

    let published = event(&merchant, "share.published").await;
    assert_eq!(published["data"]["id"], answer["id"]);
    assert_eq!(published["data"]["item_id"], work["item_id"]);
    assert_eq!(published["data"]["open_id"], work["open_id"]);
    let read = merchant.get(&format!("/shares/douyin/{}", answer["id"].as_str().unwrap())).await.expect(200);
    assert_eq!((&read["status"], &read["item_id"]), (&json!("published"), &work["item_id"]));
    assert_eq!(count(&merchant, "share.created").await, 1);
    world.verify().await;
}

#[tokio::test]
async fn a_user_of_the_mini_program_shares_within_its_measure_and_once_a_key() {
    let (world, tenant, merchant) = world().await;
    let buyer = Buyer::log_in(&world, &tenant).await;
    let shared = buyer.post("/shares/douyin", &book(&tenant)).await.expect(201);
    assert!(shared["landing_url"].as_str().unwrap().starts_with(&format!("{}/s/bookshop.", world.gateway.url())));
    assert!(!shared.to_string().contains(&buyer.openid), "who shared is nobody else's affair");
    assert_eq!(buyer.get(&format!("/shares/douyin/{}", shared["id"].as_str().unwrap())).await.status, 403);
    for _ in 0..2 {
        merchant.post_once("share-1", "/shares/douyin", &book(&tenant)).await.expect(201);
    }
    assert_eq!(count(&merchant, "share.created").await, 2);
    let nobody = world.client().post(format!("{}/v1/bookshop/shares/douyin", world.gateway.url()));
    assert_eq!(nobody.json(&book(&tenant)).send().await.unwrap().status(), 401);
    let tea = world.merchant("teahouse");
    assert!(
        share(&tea, &book(&tenant)).await.problem(404, "not_found")["detail"]
            .to_string()
            .contains("plugins.douyin-share")
    );
}

#[tokio::test]
async fn bad_shares_are_refused_by_their_fields() {
    let (world, tenant, merchant) = world().await;
    let with = |name: &str, value: Value| {
        let mut body = book(&tenant);
        body[name] = value;
        body
    };
    for (body, field) in [
        (with("image_url", json!("https://127.0.0.1/a.png")), "image_url"),
        (with("image_url", json!("http://img.example.com/a.png")), "image_url"),
        (with("video_url", json!("wxfile://tmp_1.mp4")), "video_url"),
        (with("app_id", json!("wx1")), "app_id"),
        (with("path", json!("pages/a b")), "path"),
        (with("title", json!({ "a": 1 })), "title"),
        (with("price", json!(1)), "price"),
        (with("image_urls", json!(vec![format!("https://a.example/{}", "x".repeat(1_900)); 12])), "image_urls"),
    ] {
        let problem = share(&merchant, &body).await.problem(400, "invalid_request");
        assert_eq!(wrong_fields(&problem), [field], "{problem}");
    }
    let large = with("title", json!("长".repeat(40_000)));
    assert_eq!(share(&merchant, &large).await.status, 413);
    assert_eq!(world.control.journal("operation=share_id").await.len(), 0, "nobody was asked for any of it");
    let dirty = with("title", json!("<script>\u{0}边城\u{7}</script> https://wxaurl.cn/abc"));
    let cleaned = share(&merchant, &dirty).await.expect(201);
    assert_eq!(
        (&cleaned["title"], &cleaned["warnings"]),
        (&json!("<script> 边城 </script>"), &json!(["links_stripped"]))
    );
}

#[tokio::test]
async fn a_token_that_ended_early_is_fetched_again_once_and_trouble_is_told() {
    let (world, tenant, merchant) = world().await;
    let key = tenant.douyin.clone().unwrap().client_key;
    let expire = async |what: &str| {
        world.control.must(&format!("/douyin/apps/{key}/expire"), &json!({ "what": what })).await;
    };
    share(&merchant, &book(&tenant)).await.expect(201);
    for what in ["client_token", "client_token_invalid"] {
        expire(what).await;
        let before = world.control.journal("operation=client_token").await.len();
        share(&merchant, &book(&tenant)).await.expect(201);
        assert_eq!(world.control.journal("operation=client_token").await.len(), before + 1, "{what}");
    }
    let fault =
        |code: i64| json!({ "operation": "share_id", "fault": { "type": "err_code", "code": code.to_string() } });
    world.control.must("/douyin/faults", &fault(10_020)).await;
    share(&merchant, &book(&tenant)).await.problem(502, "provider_unavailable");
    world.control.call(Method::DELETE, "/douyin/faults", None).await.expect(200);
    world.control.must("/douyin/faults", &fault(2_190_004)).await;
    let refused = share(&merchant, &book(&tenant)).await.problem(402, "provider_refused");
    assert_eq!(refused["provider_code"], "2190004");
    world.control.call(Method::DELETE, "/douyin/faults", None).await.expect(200);
    // Restarted, it goes on with what it holds.
    world.gateway.restart().await;
    let before = world.control.journal("operation=client_token").await.len();
    let answer = share(&merchant, &book(&tenant)).await.expect(201);
    assert_eq!(world.control.journal("operation=client_token").await.len(), before);
    world.control.must("/douyin/open", &json!({ "schema": answer["schema"] })).await;
}

#[tokio::test]
async fn messages_of_others_and_copies_change_nothing() {
    let (world, tenant, merchant) = world().await;
    subscribe(&world, &tenant, json!(1)).await;
    let key = tenant.douyin.clone().unwrap().client_key;
    let answer = share(&merchant, &book(&tenant)).await.expect(201);
    let send = async |more: Value| {
        let mut body = json!({
            "client_key": key, "event": "create_video",
            "content": { "item_id": "@a+/==", "share_id": answer["share_id"] },
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let sent = world.control.must("/douyin/webhooks", &body).await;
        let statuses = sent["responses"].as_array().unwrap().iter().map(|one| one["status"].as_u64().unwrap());
        statuses.collect::<Vec<u64>>()
    };
    for (more, status) in [
        (json!({ "secret": "another" }), 401),
        (json!({ "corrupt": "sign" }), 401),
        (json!({ "corrupt": "body" }), 401),
        (json!({ "corrupt": "truncate" }), 401),
        (json!({ "corrupt": "no_sign" }), 401),
    ] {
        assert_eq!(send(more.clone()).await, [status], "{more}");
    }
    assert_eq!(count(&merchant, "share.published").await, 0);
    let many = send(json!({ "msg_id": "M-1", "copies": 20, "concurrent": true })).await;
    assert!(many.iter().all(|status| *status == 200), "{many:?}");
    assert_eq!(count(&merchant, "share.published").await, 1);
    // Past what the coordinator remembers, the store knows.
    world.gateway.restart().await;
    assert_eq!(send(json!({ "msg_id": "M-1" })).await, [200]);
    assert_eq!(count(&merchant, "share.published").await, 1);
    assert_eq!(send(json!({ "event": "a_new_one", "content": {}, "msg_id": "M-2" })).await, [200]);
    assert_eq!(count(&merchant, "message.received").await, 1);
    let metrics = world.metrics().await;
    let counted = |outcome: &str| {
        let labels = [("tenant", "bookshop"), ("plugin", "douyin-share"), ("outcome", outcome)];
        metrics.count("dukou_plugin_callbacks_total", &labels)
    };
    assert_eq!((counted("duplicate"), counted("unknown")), (1, 1), "since the restart");
    let body = "x".repeat(70 * 1024);
    let large = world.client().post(callback(&world, "bookshop")).body(body).send().await.unwrap();
    assert_eq!(large.status(), 413);
    for (tenant, path) in [("nobody", "douyin-share"), ("teahouse", "douyin-share"), ("bookshop", "printer")] {
        let url = format!("{}/callback/{tenant}/{path}", world.gateway.url());
        assert_eq!(world.client().post(url).body("{}").send().await.unwrap().status(), 404, "{tenant} {path}");
    }
}

#[tokio::test]
async fn a_user_authorizes_and_withdraws() {
    let (world, tenant, merchant) = world().await;
    subscribe(&world, &tenant, json!(1)).await;
    let key = tenant.douyin.clone().unwrap().client_key;
    let body = json!({ "scopes": ["user_info"], "reference": "clerk 7" });
    let begun = merchant.post("/authorizations/douyin", &body).await.expect(201);
    let consent = json!({
        "client_key": key, "scope": "user_info", "redirect_uri": callback(&world, "bookshop"), "state": begun["state"],
    });
    let agreed = world.control.must("/douyin/authorize", &consent).await;
    let redirect = agreed["redirect"].as_str().unwrap();
    let page = world.client().get(redirect).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("授权成功"));
    assert_eq!(world.client().get(redirect).send().await.unwrap().status(), 400, "a state works once");
    let granted = event(&merchant, "authorization.granted").await;
    assert_eq!(granted["data"]["reference"], "clerk 7");
    let open_id = granted["data"]["open_id"].as_str().unwrap();
    let read = merchant.get(&format!("/authorizations/douyin/{open_id}")).await.expect(200);
    assert_eq!(read["status"], "granted");
    world.control.must("/douyin/withdraw", &json!({ "client_key": key, "open_id": open_id })).await;
    assert_eq!(event(&merchant, "authorization.revoked").await["data"]["open_id"], *open_id);
    assert_eq!(merchant.get(&format!("/authorizations/douyin/{open_id}")).await.expect(200)["status"], "revoked");
    // No token is in the ledger as it is, nor in what the gateway said.
    let entries = world.control.journal("").await;
    assert!(entries.len() > 3);
    assert!(!world.gateway.logs().contains("act."), "a token was logged");
}

#[tokio::test]
async fn a_plugin_comes_with_its_section_and_goes_with_it() {
    let (world, tenant, merchant) = world().await;
    let file = world.gateway.config().join("tenants/bookshop.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let without = text.split("[plugins").next().unwrap().to_owned() + &text[text.find("[providers").unwrap()..];
    std::fs::write(&file, &without).unwrap();
    let gone = async || (share(&merchant, &book(&tenant)).await.status == 404).then_some(());
    eventually("the plugin is gone", SOON, gone).await;
    // A wrong section is refused and the tenant stays as it is.
    std::fs::write(&file, text.replace("client_key = \"aw", "client_key = \"a w")).unwrap();
    world.gateway.hang_up();
    merchant.pending("STILL1", 100).await;
    std::fs::write(&file, &text).unwrap();
    let back = async || (share(&merchant, &book(&tenant)).await.status == 201).then_some(());
    eventually("the plugin is back", SOON, back).await;
}

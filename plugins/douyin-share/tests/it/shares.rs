//! Sharing: converted, on record, signed.

use std::time::Duration;

use dukou_engine::plugin::PluginFailure;
use dukou_spi::plugin::PluginError;
use dukou_spi::{ErrorKind, Reason};
use serde_json::json;

use crate::support::{APP, CLIENT_KEY, Scripted, World, book, fields, params};

#[tokio::test]
async fn a_book_is_shared() {
    let world = World::new();
    let share = world.share(book()).await.unwrap();
    let id = share["id"].as_str().unwrap();
    assert_eq!(share["share_id"], "1786000000000001");
    assert_eq!(share["state"], share["share_id"]);
    assert_eq!((share["status"].as_str(), share["warnings"].clone()), (Some("created"), json!([])));
    assert_eq!(share["landing_url"], format!("https://pay.example.com/s/bookshop.{id}"));
    let params = params(share["schema"].as_str().unwrap());
    let nonce = &params["nonce_str"];
    assert_eq!(nonce.len(), 32);
    for (name, value) in [
        ("share_type", "h5"),
        ("client_key", CLIENT_KEY),
        ("state", "1786000000000001"),
        ("title", "边城 <沈从文>"),
        ("image_path", "https://img.example.com/42.png"),
        ("hashtag_list", r#"["读书"]"#),
        (
            "micro_app_info",
            r#"{"appId":"tt226e54d3bd581bf8","appTitle":"阿飞书店","description":"","appUrl":"pages/book/detail?id=42"}"#,
        ),
    ] {
        assert_eq!(params[name], value, "{name}");
    }
    assert_eq!(
        world.douyin.asked.lock().unwrap().last().unwrap().1,
        "clt.1",
        "the share id is asked for with the token"
    );
    let events = world.events("bookshop").await;
    assert_eq!((events.len(), events[0].0), (1, "share.created"));
    assert_eq!(events[0].1["id"], share["id"]);
    assert!(events[0].1.get("schema").is_none(), "what is signed for a moment is not kept");
    let read = world.call("bookshop", "getDouyinShare", &[("id", id)], json!({})).await.unwrap();
    assert_eq!(read["share_id"], share["share_id"]);
    let other = world.call("teahouse", "getDouyinShare", &[("id", id)], json!({})).await;
    assert!(matches!(other, Err(PluginFailure::Refused(PluginError::NotFound(_)))), "another tenant's: {other:?}");
    world.share_as_buyer(book()).await;
}

#[tokio::test]
async fn what_cannot_be_shared_is_refused_before_anybody_is_asked() {
    let world = World::new();
    let with = |name: &str, value: serde_json::Value| {
        let mut body = book();
        body[name] = value;
        body
    };
    for (body, field, code) in [
        (with("image_url", json!("http://tmp/a.png")), "image_url", "E_MEDIA_NOT_PUBLIC"),
        (with("image_url", json!("http://img.example.com/a.png")), "image_url", "E_MEDIA_NOT_HTTPS"),
        (with("video_url", json!("https://10.0.0.7/a.mp4")), "video_url", "E_MEDIA_NOT_PUBLIC"),
        (with("image_urls", json!(vec!["https://a.example/1.png"; 13])), "image_urls", "E_TOO_MANY_IMAGES"),
        (json!({ "app_id": APP, "title": "no media" }), "image_url", "E_NO_MEDIA"),
        (with("app_id", json!("tt226e54d3bd581bf8")), "app_id", "E_APP_ID"),
        (with("path", json!("pages/书")), "path", "E_PATH"),
        (with("path", json!(format!("p?{}", "q".repeat(1100)))), "path", "E_PATH_TOO_LONG"),
    ] {
        let problems = fields(world.share(body).await);
        assert_eq!((problems.len(), &*problems[0].0), (1, field));
        assert!(problems[0].1.ends_with(&format!("({code})")), "{}", problems[0].1);
    }
    assert!(world.douyin.asked.lock().unwrap().is_empty());
    assert!(world.events("bookshop").await.is_empty());
}

#[tokio::test]
async fn what_the_medias_servers_say_counts() {
    let world = World::new();
    let url = "https://img.example.com/42.png";
    for (said, code) in [(("text/html", 10), "E_MEDIA_TYPE"), (("image/png", 20_971_521), "E_MEDIA_TOO_LARGE")] {
        world.media.0.lock().unwrap().insert(url.to_owned(), said);
        let problems = fields(world.share(book()).await);
        assert!(problems[0].1.ends_with(&format!("({code})")), "{problems:?}");
    }
    world.media.0.lock().unwrap().insert(url.to_owned(), ("image/png", 4_096));
    world.share(book()).await.unwrap();
}

#[tokio::test]
async fn a_schema_that_would_be_too_long_is_refused_by_its_longest_field() {
    let world = World::new();
    let urls: Vec<String> = (0..12).map(|n| format!("https://a.example/{n}/{}.png", "x".repeat(1_900))).collect();
    let mut body = book();
    body["image_urls"] = json!(urls);
    assert_eq!(fields(world.share(body).await)[0].0, "image_urls");
    // The longest title alone fits.
    let mut body = book();
    body["title"] = json!("长".repeat(1_500));
    let share = world.share(body).await.unwrap();
    assert_eq!(share["warnings"], json!(["title_truncated"]));
}

#[tokio::test]
async fn token_and_ticket_are_fetched_once_for_all() {
    let world = World::new();
    let shares = futures_util::future::join_all((0..8).map(|_| world.share(book())));
    assert!(shares.await.into_iter().all(|share| share.is_ok()));
    world.call("teahouse", "createDouyinShare", &[], book()).await.unwrap();
    let counts = |world: &World| (world.douyin.count("/oauth/client_token/"), world.douyin.count("/open/getticket/"));
    assert_eq!(counts(&world), (1, 1), "one holder for both tenants");
    // Early, before they end.
    world.wait(Duration::from_secs(7200 - 300));
    world.share(book()).await.unwrap();
    assert_eq!(counts(&world), (2, 2));
}

#[tokio::test]
async fn a_token_that_ended_in_flight_is_fetched_again_once() {
    let world = World::new();
    world.share(book()).await.unwrap();
    world.douyin.next("/share-id/", Scripted::Error(2_190_008));
    world.share(book()).await.unwrap();
    assert_eq!(world.douyin.count("/oauth/client_token/"), 2);
    let shown: Vec<String> = world
        .douyin
        .asked
        .lock()
        .unwrap()
        .iter()
        .filter(|(path, _)| path == "/share-id/")
        .map(|(_, token)| token.clone())
        .collect();
    assert_eq!(shown, ["clt.1", "clt.1", "clt.2"]);
    // And no loop where that does not help.
    world.douyin.next("/share-id/", Scripted::Error(28_001_008));
    world.douyin.next("/share-id/", Scripted::Error(28_001_008));
    let refused = world.share(book()).await;
    let Err(PluginFailure::Refused(PluginError::Provider(error))) = refused else { panic!("{refused:?}") };
    assert_eq!(error.code.as_deref(), Some("28001008"));
    assert_eq!(world.douyin.count("/oauth/client_token/"), 3);
    // A ticket whose token ended in flight likewise.
    world.wait(Duration::from_secs(7000));
    world.douyin.next("/open/getticket/", Scripted::Error(28_001_003));
    world.share(book()).await.unwrap();
}

#[tokio::test]
async fn douyins_trouble_is_told_as_it_is_and_leaves_nothing_behind() {
    let world = World::new();
    for (path, scripted, kind, reason) in [
        ("/oauth/client_token/", vec![Scripted::Error(10_013)], ErrorKind::Refused, Reason::Configuration),
        ("/open/getticket/", vec![Scripted::Error(2_190_004)], ErrorKind::Refused, Reason::Configuration),
        ("/share-id/", vec![Scripted::Error(10_020)], ErrorKind::NotSent, Reason::RateLimited),
        ("/share-id/", vec![Scripted::Error(-1), Scripted::Error(-1)], ErrorKind::NotSent, Reason::Platform),
        ("/share-id/", vec![Scripted::Refused, Scripted::Refused], ErrorKind::NotSent, Reason::Transport),
        ("/share-id/", vec![Scripted::Silence], ErrorKind::Unknown, Reason::Timeout),
    ] {
        scripted.into_iter().for_each(|one| world.douyin.next(path, one));
        let refused = world.share(book()).await;
        let Err(PluginFailure::Refused(PluginError::Provider(error))) = refused else { panic!("{refused:?}") };
        assert_eq!((error.kind, error.reason), (kind, reason), "{path}");
    }
    assert!(world.events("bookshop").await.is_empty());
    // Once busy is not refused.
    world.douyin.next("/share-id/", Scripted::Error(2_100_004));
    world.share(book()).await.unwrap();
}

#[tokio::test]
async fn an_old_token_serves_while_no_new_one_can_be_had() {
    let world = World::new();
    world.share(book()).await.unwrap();
    world.wait(Duration::from_secs(7200 - 100));
    world.douyin.next("/oauth/client_token/", Scripted::Silence);
    world.douyin.next("/open/getticket/", Scripted::Silence);
    world.share(book()).await.unwrap();
    world.wait(Duration::from_secs(101));
    for path in ["/oauth/client_token/", "/open/getticket/"] {
        world.douyin.next(path, Scripted::Silence);
    }
    assert!(world.share(book()).await.is_err(), "what has ended serves nobody");
}

#[tokio::test]
async fn a_share_that_is_not_published_expires_and_is_forgotten_long_after() {
    let world = World::new();
    let share = world.share(book()).await.unwrap();
    let id = [("id", share["id"].as_str().unwrap())];
    world.wait(Duration::from_secs(24 * 60 * 60));
    let read = world.call("bookshop", "getDouyinShare", &id, json!({})).await.unwrap();
    assert_eq!(read["status"], "expired", "also before anybody looked after it");
    assert_eq!(world.host.run_due().await, 1);
    assert_eq!(world.kinds("bookshop").await, ["share.created", "share.expired"]);
    assert_eq!(world.host.run_due().await, 0);
    world.wait(Duration::from_secs(180 * 24 * 60 * 60));
    assert_eq!(world.host.run_due().await, 1);
    let gone = world.call("bookshop", "getDouyinShare", &id, json!({})).await;
    assert!(matches!(gone, Err(PluginFailure::Refused(PluginError::NotFound(_)))));
}

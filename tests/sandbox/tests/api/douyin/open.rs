//! The app judges a schema.

use serde_json::{Value, json};

use super::kit::{KEY, OTHER_KEY, plain, schema_at};

/// Parameters, the reason of the refusal, and a part of what the app shows.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

#[tokio::test]
async fn refusals() {
    let bench = plain().await;
    let ticket = bench.ticket().await;
    let app_info =
        |app_id: &str| json!({ "appId": app_id, "appTitle": "渡口书店", "description": "", "appUrl": "a" }).to_string();
    let good_app = app_info("tt0123456789abcdef");
    let cases: [Case<'_>; 12] = [
        (&[("title", "签名不管标题")], "", ""),
        (&[("micro_app_info", &good_app)], "", ""),
        (&[("nonce_str", "another")], "signature", "签名校验失败"),
        (&[("timestamp", "1767225600")], "timestamp", "签名校验失败"),
        (&[("timestamp", "1767225600000")], "timestamp", "签名校验失败"),
        (&[("signature", "0446aef27d13734681a9cbe01607a726")], "signature", "签名校验失败"),
        (&[("signature", "")], "parameter", "参数错误"),
        (&[("share_type", "app")], "parameter", "参数错误"),
        (&[("ticket", &ticket)], "parameter", "参数错误"),
        (&[("client_key", "awnobody")], "client_key", "应用不存在"),
        // Another app's ticket signs nothing of this one's.
        (&[("client_key", OTHER_KEY)], "signature", "签名校验失败"),
        (&[("video_path", "")], "media", "素材加载失败"),
    ];
    for (changes, reason, shown) in cases {
        let schema = bench.schema(&ticket, changes).await;
        let (status, answer) = bench.control("/douyin/open", json!({ "schema": schema })).await;
        if reason.is_empty() {
            assert_eq!(status, 200, "{changes:?}: {answer}");
            continue;
        }
        assert_eq!((status, answer["reason"].as_str()), (400, Some(reason)), "{changes:?}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(shown), "{answer}");
        // Publishing opens first, and is refused alike.
        assert_eq!(bench.control("/douyin/publish", json!({ "schema": schema })).await, (400, answer));
    }
    assert_eq!(bench.look("/douyin/works").await["works"], json!([]));
}

#[tokio::test]
async fn old_and_early_schemas() {
    let bench = plain().await;
    let ticket = bench.ticket().await;
    let now = bench.now_seconds().await;
    let open = async |seconds: i64| {
        bench.control("/douyin/open", json!({ "schema": schema_at(&ticket, seconds, &[]) })).await.0
    };
    for (seconds, expected) in [(0, 200), (290, 200), (400, 400), (-7190, 200), (-7300, 400)] {
        assert_eq!(open(now + seconds).await, expected, "{seconds} s off");
    }
    bench.must("/douyin/policy", json!({ "timestamp_window_seconds": 0 })).await;
    assert_eq!((open(now - 1_000_000).await, open(now + 1_000_000).await), (200, 200));
    bench.must("/douyin/policy", json!({ "nonce_once": true })).await;
    assert_eq!(open(now).await, 400);
}

#[tokio::test]
async fn permissions_and_mini_programs() {
    let bench = plain().await;
    let app = |scopes: Value| json!({ "client_key": KEY, "client_secret": "x", "scopes": scopes, "mini_programs": ["tt00000000000000aa"] });
    let ticket = bench.ticket().await;
    let reason = async |changes: &[(&str, &str)]| {
        let (status, answer) =
            bench.control("/douyin/open", json!({ "schema": bench.schema(&ticket, changes).await })).await;
        (status, answer["reason"].as_str().unwrap_or_default().to_owned())
    };
    // The app says its signature is wrong without aweme.share; the daily page needs aweme.forward only.
    bench.must("/douyin/apps", app(json!(["h5.share", "aweme.forward"]))).await;
    assert_eq!(reason(&[]).await, (400, "permission".to_owned()));
    assert_eq!(reason(&[("share_to_type", "1")]).await.0, 200);
    bench.must("/douyin/apps", app(json!(["h5.share", "aweme.share"]))).await;
    assert_eq!(reason(&[]).await.0, 200);
    let info = |app_id: &str| json!({ "appId": app_id, "appTitle": "", "description": "", "appUrl": "" }).to_string();
    assert_eq!(reason(&[("micro_app_info", &info("tt00000000000000aa"))]).await.0, 200);
    assert_eq!(reason(&[("micro_app_info", &info("tt00000000000000ab"))]).await, (400, "permission".to_owned()));
}

#[tokio::test]
async fn what_of_a_schema_is_not_used() {
    let bench = plain().await;
    let ticket = bench.ticket().await;
    let info = json!({ "appId": "tt0123456789abcdef", "appTitle": "", "description": "", "appUrl": "a" }).to_string();
    let changes = [
        ("image_path", "https://cdn.example.com/a.png"),
        ("micro_app_info", info.as_str()),
        ("poi_id", "1"),
        ("x", "y"),
    ];
    let opening = bench.must("/douyin/open", json!({ "schema": bench.schema(&ticket, &changes).await })).await;
    let ignored = opening["ignored"].to_string();
    assert!(ignored.contains("images:") && ignored.contains("poi_id:") && ignored.contains("x:"), "{ignored}");
    assert!(opening["poi_id"].is_null() && opening["media"]["kind"] == "video");
    let target = async |changes: &[(&str, &str)]| {
        bench.must("/douyin/open", json!({ "schema": bench.schema(&ticket, changes).await })).await["target"].clone()
    };
    assert_eq!(target(&[("share_to_publish", "1")]).await, "publish");
    assert_eq!(target(&[("share_to_publish", "1"), ("share_to_type", "1")]).await, "daily");
    let image = [("share_to_publish", "1"), ("video_path", ""), ("image_path", "https://cdn.example.com/a.png")];
    assert_eq!(target(&image).await, "edit");
}

#[tokio::test]
async fn a_share_nobody_wants_to_hear_of() {
    let bench = plain().await;
    bench.must(&format!("/douyin/apps/{KEY}/webhook"), json!({ "url": "http://127.0.0.1:1/", "verify": false })).await;
    let ticket = bench.ticket().await;
    let silent = bench.share_id("").await;
    for state in [silent.as_str(), "1786000000000000", ""] {
        let schema = bench.schema(&ticket, &[("state", state)]).await;
        let work = bench.must("/douyin/publish", json!({ "schema": schema, "user": "afei", "title": "改过" })).await;
        assert!(work["webhook_id"].is_null() && work["nickname"] == "阿飞读书" && work["title"] == "改过", "{work}");
    }
    assert_eq!(bench.look("/douyin/webhooks").await["webhooks"], json!([]));
    assert_eq!(bench.look("/douyin/shares").await["shares"][0]["item_ids"].as_array().unwrap().len(), 1);
    assert_eq!(bench.look("/douyin/works").await["works"].as_array().unwrap().len(), 3);
    for bad in [json!({}), json!({ "opening_id": "x", "nonsense": 1 })] {
        assert_eq!(bench.control("/douyin/publish", bad).await.0, 400);
    }
    assert_eq!(bench.control("/douyin/publish", json!({ "opening_id": "x" })).await.0, 404);
}

#[tokio::test]
async fn a_short_link_works_while_it_and_its_ticket_are_good() {
    let bench = plain().await;
    let (token, ticket) = (bench.client_token().await, bench.ticket().await);
    let url = format!("{}/api/douyin/v1/schema/get_share/", bench.sandbox.https_url());
    let now = bench.now_seconds().await;
    let ask = async |token: &str, changes: Value| {
        let mut body = json!({
            "client_ticket": ticket, "expire_at": now + 600, "image_list_path": ["https://cdn.example.com/a.png"],
            "title": "书", "hashtag_list": ["读书"], "share_to_type": 0,
        });
        body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let request = bench.client.post(&url).header("access-token", token).json(&body);
        request.send().await.unwrap().json::<Value>().await.unwrap()
    };
    let made = ask(&token, json!({})).await;
    assert_eq!((&made["err_no"], made["log_id"].is_string()), (&json!(0), true), "{made}");
    let link = made["data"]["schema"].as_str().unwrap().to_owned();
    assert!(link.starts_with("https://open.douyin.com/platform/oauth/slink/?token="), "{link}");
    let opening = bench.must("/douyin/open", json!({ "schema": link })).await;
    assert_eq!((&opening["title"], &opening["media"]["kind"]), (&json!("书"), &json!("images")));
    for (token, changes, expected) in [
        ("clt.invented", json!({}), 28_001_003),
        (token.as_str(), json!({ "expire_at": now - 1 }), 28_001_007),
        (token.as_str(), json!({ "client_ticket": "@x" }), 28_001_007),
        (token.as_str(), json!({ "hashtag_list": "[\"读书\"]" }), 28_001_007),
        (token.as_str(), json!({ "image_list_path": null }), 28_001_007),
    ] {
        assert_eq!(ask(token, changes.clone()).await["err_no"], expected, "{changes}");
    }
    // The link itself leads a browser to the app.
    let opened =
        bench.client.get(link.replace("https://open.douyin.com", &bench.sandbox.https_url())).send().await.unwrap();
    assert!(opened.url().path() == "/_sandbox/douyin/open" && opened.status() == 200);
    bench.must("/clock", json!({ "advance_seconds": 601 })).await;
    let (status, refused) = bench.control("/douyin/open", json!({ "schema": link })).await;
    assert_eq!((status, &refused["reason"]), (400, &json!("link")));
    // A link whose own end is far is good for nothing once its ticket has ended.
    let token = bench.client_token().await;
    let made = ask(&token, json!({ "expire_at": now + 100_000 })).await;
    let link = made["data"]["schema"].clone();
    assert_eq!(bench.control("/douyin/open", json!({ "schema": link })).await.0, 200);
    bench.must(&format!("/douyin/apps/{KEY}/expire"), json!({ "what": "ticket" })).await;
    assert_eq!(bench.control("/douyin/open", json!({ "schema": link })).await.0, 400);
}

//! A user's authorization, from its beginning to its end.

use std::time::Duration;

use dukou_spi::plugin::CallbackOutcome::{Applied, BadSignature, Malformed};
use serde_json::{Value, json};

use crate::support::{CLIENT_KEY, Scripted, World};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

async fn begin(world: &World) -> (String, String) {
    let body = json!({ "scopes": ["user_info", "renew_refresh_token"], "reference": "clerk 7" });
    let begun = world.call("bookshop", "beginDouyinAuthorization", &[], body).await.unwrap();
    let text = |name: &str| begun[name].as_str().unwrap().to_owned();
    (text("authorize_url"), text("state"))
}

async fn granted(world: &World) {
    let (_, state) = begin(world).await;
    assert_eq!(world.get("bookshop", &[("code", "c-1"), ("state", &state), ("scopes", "user_info")]).await.status, 200);
}

async fn read(world: &World) -> Value {
    world.call("bookshop", "getDouyinAuthorization", &[("open_id", "open-id-1")], json!({})).await.unwrap()
}

#[tokio::test]
async fn a_code_becomes_an_authorization_without_its_tokens_in_sight() {
    let world = World::new();
    let (url, state) = begin(&world).await;
    assert_eq!(
        url,
        format!(
            "https://open.douyin.com/platform/oauth/connect/?client_key={CLIENT_KEY}&response_type=code&\
             scope=user_info%2Crenew_refresh_token&\
             redirect_uri=https%3A%2F%2Fpay.example.com%2Fcallback%2Fbookshop%2Fdouyin-share&state={state}"
        )
    );
    let reply = world.get("bookshop", &[("code", "c-1"), ("state", &state)]).await;
    assert_eq!(reply.status, 200);
    assert!(String::from_utf8_lossy(&reply.body).contains("授权成功"));
    let events = world.events("bookshop").await;
    assert_eq!((events.len(), events[0].0), (1, "authorization.granted"));
    let shown = read(&world).await;
    assert_eq!(shown, events[0].1);
    assert_eq!((&shown["status"], &shown["reference"]), (&json!("granted"), &json!("clerk 7")));
    assert_eq!(shown["scopes"], json!(["user_info", "renew_refresh_token"]));
    let everything = format!("{shown}{:?}", world.events("bookshop").await);
    assert!(!everything.contains("act.") && !everything.contains("rft."), "{everything}");
}

#[tokio::test]
async fn a_state_works_once_for_its_tenant_and_for_ten_minutes() {
    let world = World::new();
    let (_, state) = begin(&world).await;
    let with = [("code", "c-1"), ("state", state.as_str())];
    for (tenant, query) in [
        ("bookshop", &[("code", "c-1")][..]),
        ("bookshop", &[("code", "c-1"), ("state", "")]),
        ("bookshop", &[("code", "c-1"), ("state", "00000000000000000000000000000000")]),
        ("bookshop", &[("code", "c-1"), ("state", "../../etc")]),
        ("bookshop", &[("code", "c-1"), ("state", &state), ("state", &state)]),
        ("teahouse", &with),
    ] {
        assert_eq!(world.get(tenant, query).await.status, 400, "{tenant} {query:?}");
    }
    assert!(world.douyin.asked.lock().unwrap().is_empty(), "no code was spent");
    assert_eq!(world.get("bookshop", &with).await.status, 200);
    assert_eq!(world.get("bookshop", &with).await.status, 400, "used");
    let (_, late) = begin(&world).await;
    world.wait(Duration::from_secs(600));
    assert_eq!(world.get("bookshop", &[("code", "c-2"), ("state", &late)]).await.status, 400, "too late");
    assert_eq!(world.douyin.count("/oauth/access_token/"), 1);
    let outcomes = world.outcomes();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Applied).count(), 1);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Applied | BadSignature | Malformed)));
}

#[tokio::test]
async fn who_does_not_agree_or_whose_code_is_not_taken_leaves_nothing() {
    let world = World::new();
    let (_, state) = begin(&world).await;
    let reply = world.get("bookshop", &[("state", &state), ("errCode", "-2")]).await;
    assert!(reply.status == 200 && String::from_utf8_lossy(&reply.body).contains("没有授权"));
    let (_, state) = begin(&world).await;
    world.douyin.next("/oauth/access_token/", Scripted::Error(10_007));
    assert_eq!(world.get("bookshop", &[("code", "used"), ("state", &state)]).await.status, 502);
    assert!(world.events("bookshop").await.is_empty());
}

#[tokio::test]
async fn tokens_are_refreshed_in_time_and_renewed_near_their_end() {
    let world = World::new();
    granted(&world).await;
    world.wait(13 * DAY);
    assert_eq!(world.host.run_due().await, 0, "not yet");
    world.wait(DAY);
    assert_eq!(world.host.run_due().await, 1);
    assert_eq!(world.douyin.count("/oauth/refresh_token/"), 1);
    assert_eq!(world.douyin.count("/oauth/renew_refresh_token/"), 0);
    assert_eq!(world.host.run_due().await, 0);
    // Its refresh token keeps its own end; near that, it is renewed.
    world.douyin.next(
        "/oauth/refresh_token/",
        Scripted::Body(json!({ "data": {
        "access_token": "act.x", "expires_in": 1_296_000, "open_id": "open-id-1", "refresh_token": "rft.x",
        "refresh_expires_in": 14 * 24 * 3600, "scope": "user_info,renew_refresh_token",
    } })),
    );
    world.wait(14 * DAY);
    assert_eq!(world.host.run_due().await, 1);
    world.wait(14 * DAY);
    assert_eq!(world.host.run_due().await, 1);
    assert_eq!(world.douyin.count("/oauth/renew_refresh_token/"), 1);
    assert_eq!(read(&world).await["status"], "granted");
    // Trouble is no end.
    world.douyin.next("/oauth/refresh_token/", Scripted::Silence);
    world.wait(14 * DAY);
    assert_eq!(world.host.run_due().await, 1);
    assert_eq!(read(&world).await["status"], "granted");
    // But an end is.
    world.douyin.next("/oauth/refresh_token/", Scripted::Error(10_010));
    world.wait(DAY);
    assert_eq!(world.host.run_due().await, 1);
    assert_eq!(read(&world).await["status"], "expired");
    assert_eq!(world.kinds("bookshop").await, ["authorization.granted", "authorization.expired"]);
}

#[tokio::test]
async fn a_withdrawal_forgets_the_tokens_at_once() {
    let world = World::new();
    granted(&world).await;
    let withdrawn = json!({
        "event": "unauthorize", "from_user_id": "open-id-1", "client_key": CLIENT_KEY, "content": { "scopes": ["user_info"] },
    });
    assert_eq!(world.message(Some("1"), &withdrawn).await.status, 200);
    let shown = read(&world).await;
    assert_eq!((&shown["status"], &shown["expires_at"]), (&json!("revoked"), &Value::Null));
    assert_eq!(world.kinds("bookshop").await, ["authorization.granted", "authorization.revoked"]);
    world.wait(14 * DAY);
    assert_eq!(world.host.run_due().await, 1, "the message alone");
    assert_eq!(world.douyin.count("/oauth/refresh_token/"), 0, "nothing is left to refresh");
    // Of somebody who is not known here it is told all the same.
    let stranger =
        json!({ "event": "unauthorize", "from_user_id": "open-id-9", "content": "{\"scopes\":[\"user_info\"]}" });
    world.message(Some("2"), &stranger).await;
    let (kind, data) = world.events("bookshop").await.pop().unwrap();
    assert_eq!((kind, &data["open_id"]), ("authorization.revoked", &json!("open-id-9")));
}

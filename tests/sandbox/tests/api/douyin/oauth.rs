//! OAuth: the page, the code, the tokens, and the end of it.

use serde_json::{Value, json};

use super::hook::Hook;
use super::kit::{KEY, OTHER_KEY, OTHER_SECRET, SECRET, plain};
use super::tokens::code;
use crate::support::Bench;

const BACK: &str = "https://pay.example.com/callback/bookshop/douyin-share";

async fn form(bench: &Bench, path: &str, fields: &[(&str, &str)], token: &str) -> Value {
    let url = format!("{}{path}", bench.sandbox.https_url());
    bench.client.post(url).header("access-token", token).form(fields).send().await.unwrap().json().await.unwrap()
}

async fn exchange(bench: &Bench, client_key: &str, secret: &str, code: &str) -> Value {
    let fields =
        [("client_key", client_key), ("client_secret", secret), ("code", code), ("grant_type", "authorization_code")];
    form(bench, "/oauth/access_token/", &fields, "").await
}

async fn agreed(bench: &Bench, scope: &str) -> String {
    let consent = json!({ "client_key": KEY, "scope": scope, "redirect_uri": BACK, "state": "s" });
    bench.must("/douyin/authorize", consent).await["code"].as_str().unwrap().to_owned()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value["data"][name].as_str().unwrap_or_else(|| panic!("{name} is missing in {value}"))
}

#[tokio::test]
async fn from_consent_to_withdrawal() {
    let bench = plain().await;
    let hook = Hook::polite().await;
    bench.must(&format!("/douyin/apps/{KEY}/webhook"), json!({ "url": hook.url })).await;
    let tokens = exchange(&bench, KEY, SECRET, &agreed(&bench, "user_info,item.comment").await).await;
    let (open_id, access) = (text(&tokens, "open_id"), text(&tokens, "access_token"));
    assert!(access.starts_with("act.") && text(&tokens, "refresh_token").starts_with("rft."));
    assert_eq!(
        (&tokens["data"]["expires_in"], &tokens["data"]["refresh_expires_in"]),
        (&json!(1_296_000), &json!(2_592_000))
    );
    assert_eq!(text(&tokens, "scope"), "user_info,item.comment");
    let told = hook.wait(2).await[1].json();
    assert_eq!((&told["event"], &told["from_user_id"]), (&json!("authorize"), &json!(open_id)));
    assert_eq!(told["content"]["scopes"], json!(["user_info", "item.comment"]));

    let info = form(&bench, "/oauth/userinfo/", &[("open_id", open_id)], access).await;
    assert_eq!((code(&info), text(&info, "nickname"), text(&info, "open_id")), (0, "渡小船", open_id));
    assert_eq!(code(&form(&bench, "/oauth/userinfo/", &[("open_id", "_0001")], access).await), 2_100_005);
    assert_eq!(code(&form(&bench, "/oauth/userinfo/", &[("open_id", open_id)], "act.x").await), 2_190_002);
    // A user's token is no app's token.
    assert_eq!(code(&bench.with_token("/open/getticket/", access).await), 2_190_002);

    bench.must("/douyin/withdraw", json!({ "client_key": KEY, "open_id": open_id })).await;
    let told = hook.wait(3).await[2].json();
    assert_eq!((&told["event"], &told["content"]["scopes"][0]), (&json!("unauthorize"), &json!("user_info")));
    assert_eq!(code(&form(&bench, "/oauth/userinfo/", &[("open_id", open_id)], access).await), 2_190_002);
    assert_eq!(bench.control("/douyin/withdraw", json!({ "client_key": KEY, "open_id": open_id })).await.0, 404);
    let fields =
        [("client_key", KEY), ("grant_type", "refresh_token"), ("refresh_token", text(&tokens, "refresh_token"))];
    assert_eq!(form(&bench, "/oauth/refresh_token/", &fields, "").await["data"]["error_code"], 10010);
    // No token is in the journal.
    let journal = bench.look("/journal").await.to_string();
    assert!(!journal.contains(access) && !journal.contains(SECRET) && journal.contains(open_id));
}

#[tokio::test]
async fn codes_are_good_once_and_for_ten_minutes() {
    let bench = plain().await;
    let first = agreed(&bench, "user_info").await;
    let second = agreed(&bench, "user_info").await;
    for (client_key, secret, code, expected) in [
        (KEY, SECRET, first.as_str(), 10007),
        (KEY, SECRET, "", 10002),
        ("awnobody", SECRET, &second, 10003),
        (KEY, OTHER_SECRET, &second, 10013),
        (OTHER_KEY, OTHER_SECRET, &second, 10007),
        (KEY, SECRET, &second, 0),
        (KEY, SECRET, &second, 10007),
    ] {
        assert_eq!(
            exchange(&bench, client_key, secret, code).await["data"]["error_code"],
            expected,
            "{client_key} {code}"
        );
    }
    let old = agreed(&bench, "user_info").await;
    bench.must("/clock", json!({ "advance_seconds": 601 })).await;
    assert_eq!(exchange(&bench, KEY, SECRET, &old).await["data"]["error_code"], 10007);
    // The documents want a form.
    let url = format!("{}/oauth/access_token/", bench.sandbox.https_url());
    let body = json!({ "client_key": KEY, "client_secret": SECRET, "code": old, "grant_type": "authorization_code" });
    let answer: Value = bench.client.post(url).json(&body).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["data"]["error_code"], 10002);
}

#[tokio::test]
async fn refreshing_and_renewing() {
    let bench = plain().await;
    let tokens = exchange(&bench, KEY, SECRET, &agreed(&bench, "user_info").await).await;
    let mut refresh = text(&tokens, "refresh_token").to_owned();
    let again = async |refresh: &str| {
        let fields = [("client_key", KEY), ("grant_type", "refresh_token"), ("refresh_token", refresh)];
        form(&bench, "/oauth/refresh_token/", &fields, "").await
    };
    let prolonged = again(&refresh).await;
    assert_eq!(text(&prolonged, "access_token"), text(&tokens, "access_token"), "a good one is prolonged");
    bench.must("/clock", json!({ "advance_seconds": 1_296_001 })).await;
    let access = text(&prolonged, "access_token");
    let open_id = text(&tokens, "open_id");
    assert_eq!(code(&form(&bench, "/oauth/userinfo/", &[("open_id", open_id)], access).await), 2_190_008);
    let replaced = again(&refresh).await;
    assert_ne!(text(&replaced, "access_token"), access, "one that has ended is replaced");
    assert!(replaced["data"]["refresh_expires_in"].as_i64().unwrap() <= 1_296_000, "the refresh token keeps its end");

    for number in 1..=6 {
        let fields = [("client_key", KEY), ("refresh_token", refresh.as_str())];
        let renewed = form(&bench, "/oauth/renew_refresh_token/", &fields, "").await;
        if number == 6 {
            assert_eq!(renewed["data"]["error_code"], 28_003_017);
            break;
        }
        assert_eq!(renewed["data"]["expires_in"], 2_592_000);
        assert_eq!(again(&refresh).await["data"]["error_code"], 10010, "the old one is dead");
        text(&renewed, "refresh_token").clone_into(&mut refresh);
    }
    bench.must(&format!("/douyin/apps/{KEY}/expire"), json!({ "what": "access_token" })).await;
    let access = text(&replaced, "access_token");
    assert_eq!(code(&form(&bench, "/oauth/userinfo/", &[("open_id", open_id)], access).await), 2_190_008);
    bench.must(&format!("/douyin/apps/{KEY}/expire"), json!({ "what": "refresh_token" })).await;
    assert_eq!(again(&refresh).await["data"]["error_code"], 10010);
}

#[tokio::test]
async fn an_app_revokes() {
    let bench = plain().await;
    let tokens = exchange(&bench, KEY, SECRET, &agreed(&bench, "mobile_alert").await).await;
    let (open_id, access) = (text(&tokens, "open_id"), text(&tokens, "access_token"));
    assert_eq!(code(&form(&bench, "/oauth/userinfo/", &[("open_id", open_id)], access).await), 2_190_004);
    let url = format!("{}/oauth/revoke/", bench.sandbox.https_url());
    let revoke = async || {
        let request = bench.client.post(&url).header("access-token", access).json(&json!({ "open_id": open_id }));
        code(&request.send().await.unwrap().json::<Value>().await.unwrap())
    };
    assert_eq!((revoke().await, revoke().await), (0, 2_190_002));
    assert_eq!(bench.look("/douyin/grants").await["grants"][0]["ended"], true);
}

#[tokio::test]
async fn the_page_asks_and_leads_back() {
    let bench = plain().await;
    let path = format!("{}/platform/oauth/connect/", bench.sandbox.https_url());
    let good = [
        ("client_key", KEY),
        ("response_type", "code"),
        ("scope", "user_info"),
        ("redirect_uri", BACK),
        ("state", "\"><script>alert(1)</script>"),
    ];
    let page = bench.client.get(&path).query(&good).send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("form-action 'self' https://pay.example.com;") && !policy.contains("unsafe"), "{policy}");
    let html = page.text().await.unwrap();
    assert!(html.contains("同意授权") && html.contains("渡口书店") && !html.contains("<script"), "{html}");
    assert!(html.contains("value=\"&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;\""), "{html}");

    let stay = reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(bench.sandbox.ca_pem().as_bytes()).unwrap()])
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let mut answer = good.to_vec();
    answer.push(("user", "afei"));
    answer.push(("decision", "yes"));
    let led = stay.post(&path).form(&answer).send().await.unwrap();
    assert_eq!(led.status().as_u16(), 303);
    let back = url::Url::parse(led.headers()["location"].to_str().unwrap()).unwrap();
    let pairs: std::collections::BTreeMap<String, String> = back.query_pairs().into_owned().collect();
    assert_eq!((pairs["state"].as_str(), pairs["scopes"].as_str()), (good[4].1, "user_info"));
    assert!(back.as_str().starts_with(&format!("{BACK}?")));
    assert_eq!(exchange(&bench, KEY, SECRET, &pairs["code"]).await["data"]["error_code"], 0);
    answer.pop();
    answer.push(("decision", "no"));
    assert!(stay.post(&path).form(&answer).send().await.unwrap().text().await.unwrap().contains("已取消授权"));

    let app = json!({ "client_key": KEY, "client_secret": SECRET, "redirect_host": "pay.example.com", "scopes": ["user_info"] });
    bench.must("/douyin/apps", app).await;
    for (name, value, expected) in [
        ("client_key", "awnobody", "10003"),
        ("response_type", "token", "10002"),
        ("redirect_uri", "https://evil.example.com/", "10002"),
        ("redirect_uri", "http://pay.example.com/", "10002"),
        ("redirect_uri", "pay.example.com", "10002"),
        ("scope", "", "10002"),
        ("scope", "user_info,item.comment", "10004"),
    ] {
        let query: Vec<_> = good.iter().map(|pair| if pair.0 == name { (name, value) } else { *pair }).collect();
        let html = bench.client.get(&path).query(&query).send().await.unwrap().text().await.unwrap();
        assert!(
            html.contains(&format!("error_code {expected}")) && !html.contains("同意授权"),
            "{name}={value}: {html}"
        );
        let mut answer = query.clone();
        answer.push(("decision", "yes"));
        assert_eq!(stay.post(&path).form(&answer).send().await.unwrap().status().as_u16(), 200, "{name}={value}");
    }
}

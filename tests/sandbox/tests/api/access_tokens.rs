//! Access tokens: both kinds, their lives, the address list, and the call that carries one.

use serde_json::{Value, json};

use crate::support::{APP, Bench};

const SECRET: &str = "bookshop-app-secret";

async fn text(request: reqwest::RequestBuilder) -> Value {
    let response = request.send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

async fn post(bench: &Bench, body: String) -> Value {
    text(bench.client.post(format!("{}/cgi-bin/stable_token", bench.sandbox.https_url())).body(body)).await
}

async fn stable(bench: &Bench, changes: Value) -> Value {
    let mut body = json!({ "grant_type": "client_credential", "appid": APP, "secret": SECRET });
    for (name, value) in changes.as_object().unwrap() {
        body[name] = value.clone();
    }
    body.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    post(bench, body.to_string()).await
}

async fn plain(bench: &Bench) -> Value {
    let url = format!("{}/cgi-bin/token", bench.sandbox.https_url());
    let url = format!("{url}?grant_type=client_credential&appid={APP}&secret={SECRET}");
    text(bench.client.get(url)).await
}

/// The `errcode` of a call that carries the token; 0 where it is accepted.
async fn carried(bench: &Bench, answer: &Value) -> i64 {
    let token = answer["access_token"].as_str().unwrap();
    let url = format!("{}/cgi-bin/get_api_domain_ip?access_token={token}", bench.sandbox.https_url());
    let answer = text(bench.client.get(url)).await;
    assert!(answer["errcode"].is_i64() || answer["ip_list"].is_array());
    answer["errcode"].as_i64().unwrap_or(0)
}

async fn pass(bench: &Bench, seconds: u32) {
    bench.must("/clock", json!({ "advance_seconds": seconds })).await;
}

#[tokio::test]
async fn a_stable_token_stays_until_its_last_five_minutes() {
    let bench = Bench::start();
    let first = stable(&bench, json!({})).await;
    assert_eq!(first["expires_in"], 7200);
    pass(&bench, 6800).await;
    let again = stable(&bench, json!({})).await;
    assert_eq!(again["access_token"], first["access_token"]);
    assert!((398..=400).contains(&again["expires_in"].as_i64().unwrap()), "{again}");
    pass(&bench, 110).await;
    let other = stable(&bench, json!({})).await;
    assert_ne!(other["access_token"], first["access_token"]);
    assert_eq!((carried(&bench, &first).await, carried(&bench, &other).await), (0, 0));
    pass(&bench, 300).await;
    assert_eq!((carried(&bench, &first).await, carried(&bench, &other).await), (42001, 0));
}

#[tokio::test]
async fn force_ends_a_token_at_once_and_has_a_measure() {
    let bench = Bench::start();
    let mut last = stable(&bench, json!({})).await;
    for _ in 0..20 {
        let forced = stable(&bench, json!({ "force_refresh": true })).await;
        assert_ne!(forced["access_token"], last["access_token"]);
        assert_eq!((carried(&bench, &last).await, carried(&bench, &forced).await), (40001, 0));
        // Half a minute has not passed: nothing happens.
        assert_eq!(stable(&bench, json!({ "force_refresh": true })).await["access_token"], forced["access_token"]);
        last = forced;
        pass(&bench, 30).await;
    }
    assert_eq!(stable(&bench, json!({ "force_refresh": true })).await["errcode"], 45009);
    assert_eq!(stable(&bench, json!({})).await["access_token"], last["access_token"]);
    let shown = bench.look(&format!("/access-tokens/{APP}")).await;
    assert_eq!((&shown["forced_today"], &shown["stable"]["issued"]), (&json!(20), &json!(21)));
    pass(&bench, 86_400).await;
    assert!(stable(&bench, json!({ "force_refresh": true })).await["access_token"].is_string());
}

#[tokio::test]
async fn a_plain_token_ends_the_one_before_and_no_stable_one() {
    let bench = Bench::start();
    let kept = stable(&bench, json!({})).await;
    let (first, second) = (plain(&bench).await, plain(&bench).await);
    assert_ne!(first["access_token"], second["access_token"]);
    assert_eq!(carried(&bench, &first).await, 0, "for five minutes more");
    pass(&bench, 301).await;
    assert_eq!(carried(&bench, &first).await, 42001);
    assert_eq!((carried(&bench, &second).await, carried(&bench, &kept).await), (0, 0));
}

#[tokio::test]
async fn refusals() {
    let bench = Bench::start();
    for (changes, code) in [
        (json!({ "appid": null }), 41002),
        (json!({ "secret": null }), 41004),
        (json!({ "grant_type": "authorization_code" }), 40002),
        (json!({ "appid": "wx0" }), 40013),
        (json!({ "secret": "wrong" }), 40125),
        (json!({ "force_refresh": "true" }), 47001),
        (json!({ "appid": 1 }), 47001),
    ] {
        assert_eq!(stable(&bench, changes.clone()).await["errcode"], code, "{changes}");
    }
    assert_eq!(post(&bench, String::new()).await["errcode"], 44002);
    assert_eq!(post(&bench, "{".to_owned()).await["errcode"], 47001);
    let got = text(bench.client.get(format!("{}/cgi-bin/stable_token", bench.sandbox.https_url()))).await;
    assert_eq!(got["errcode"], 43002);
    assert_eq!(carried(&bench, &json!({ "access_token": "made-up" })).await, 40001);
}

#[tokio::test]
async fn addresses_that_are_not_on_the_list_are_named() {
    let bench = Bench::start();
    let place = format!("/access-tokens/{APP}");
    bench.must(&place, json!({ "allowed_ips": ["203.0.113.9"] })).await;
    let refused = stable(&bench, json!({})).await;
    assert_eq!(refused["errcode"], 40164);
    assert!(refused["errmsg"].as_str().unwrap().starts_with("invalid ip 127.0.0.1 ipv6 ::ffff:127.0.0.1"), "{refused}");
    bench.must(&place, json!({ "allowed_ips": ["127.0.0.1"] })).await;
    assert!(stable(&bench, json!({})).await["access_token"].is_string());
}

#[tokio::test]
async fn a_test_may_break_tokens_and_sees_none() {
    let bench = Bench::start();
    let place = format!("/access-tokens/{APP}");
    let first = stable(&bench, json!({})).await;
    bench.must(&place, json!({ "refuse": true })).await;
    // It is still given out, and refused: only force helps.
    assert_eq!(stable(&bench, json!({})).await["access_token"], first["access_token"]);
    assert_eq!(carried(&bench, &first).await, 40001);
    let second = stable(&bench, json!({ "force_refresh": true })).await;
    assert_eq!(carried(&bench, &second).await, 0);
    bench.must(&place, json!({ "replace": true })).await;
    assert_eq!(carried(&bench, &second).await, 40001);
    let third = stable(&bench, json!({})).await;
    bench.must(&place, json!({ "expire": true })).await;
    assert_eq!(carried(&bench, &third).await, 42001);
    let seen = format!("{}{}", bench.look("/journal").await, bench.look(&place).await);
    for answer in [&first, &second, &third] {
        assert!(!seen.contains(answer["access_token"].as_str().unwrap()));
    }
    assert!(seen.contains("stable_token") && seen.contains("get_api_domain_ip") && !seen.contains(SECRET));
    assert_eq!(bench.control("/access-tokens/wx0", json!({})).await.0, 404);
    assert_eq!(bench.control(&place, json!({ "lifetime_seconds": 0 })).await.0, 400);
}

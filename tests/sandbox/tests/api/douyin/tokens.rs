//! client_token, open ticket, share-id: their lives and their codes.

use serde_json::{Value, json};

use super::kit::{KEY, OTHER_KEY, OTHER_SECRET, SECRET, plain};
use crate::support::Bench;

/// The code of an answer in envelope E1.
pub fn code(answer: &Value) -> i64 {
    assert_eq!(answer["data"]["error_code"], answer["extra"]["error_code"], "{answer}");
    answer["data"]["error_code"].as_i64().unwrap_or_else(|| panic!("{answer}"))
}

#[tokio::test]
async fn a_client_token_and_its_refusals() {
    let bench = plain().await;
    let answer = bench.client_token_of(KEY, SECRET).await;
    let data = &answer["data"];
    assert!(data["access_token"].as_str().unwrap().starts_with("clt."), "{answer}");
    assert_eq!((&data["expires_in"], &data["error_code"]), (&json!(7200), &json!(0)));
    assert_eq!(answer["message"], "success");

    let url = format!("{}/oauth/client_token/", bench.sandbox.https_url());
    let good = json!({ "grant_type": "client_credential", "client_key": KEY, "client_secret": SECRET });
    for (name, value, expected) in [
        ("grant_type", "authorization_code", 10002),
        ("grant_type", "", 10002),
        ("client_key", "", 10002),
        ("client_secret", "", 10002),
        ("client_key", "awnobody", 10003),
        ("client_key", OTHER_KEY, 10013),
        ("client_secret", OTHER_SECRET, 10013),
    ] {
        let mut body = good.clone();
        body[name] = value.into();
        let answer: Value = bench.client.post(&url).json(&body).send().await.unwrap().json().await.unwrap();
        assert_eq!((&answer["data"]["error_code"], &answer["message"]), (&json!(expected), &json!("error")), "{body}");
    }
    // The documents want JSON.
    let form = bench.client.post(&url).form(&good).send().await.unwrap();
    assert!(form.headers()["x-tt-logid"].len() > 20);
    assert_eq!(form.json::<Value>().await.unwrap()["data"]["error_code"], 10002);
    assert_eq!(bench.client.get(&url).send().await.unwrap().status().as_u16(), 405);
}

#[tokio::test]
async fn a_newer_token_leaves_the_one_before_five_minutes() {
    let bench = plain().await;
    let first = bench.client_token().await;
    assert_eq!(code(&bench.with_token("/open/getticket/", &first).await), 0);
    let second = bench.client_token().await;
    for (seconds, of_first, of_second) in [(0, 0, 0), (299, 0, 0), (2, 2_190_008, 0), (7200, 2_190_008, 2_190_008)] {
        bench.must("/clock", json!({ "advance_seconds": seconds })).await;
        assert_eq!(code(&bench.with_token("/open/getticket/", &first).await), of_first, "first, {seconds} s on");
        assert_eq!(code(&bench.with_token("/open/getticket/", &second).await), of_second, "second, {seconds} s on");
    }
    assert_eq!(code(&bench.with_token("/open/getticket/", "clt.invented").await), 2_190_002);
    assert_eq!(code(&bench.with_token("/share-id/", "").await), 2_190_002);
}

#[tokio::test]
async fn tokens_are_asked_for_too_often() {
    let bench = plain().await;
    bench.must("/douyin/policy", json!({ "client_token_limit": 2 })).await;
    for expected in [0, 0, 10020] {
        assert_eq!(bench.client_token_of(KEY, SECRET).await["data"]["error_code"], expected);
    }
    assert_eq!(bench.client_token_of(OTHER_KEY, OTHER_SECRET).await["data"]["error_code"], 0);
    bench.must("/clock", json!({ "advance_seconds": 301 })).await;
    assert_eq!(bench.client_token_of(KEY, SECRET).await["data"]["error_code"], 0);
}

async fn ticket(bench: &Bench) -> (String, i64) {
    let answer = bench.with_token("/open/getticket/", &bench.client_token().await).await;
    let data = &answer["data"];
    (data["ticket"].as_str().unwrap().to_owned(), data["expires_in"].as_i64().unwrap())
}

#[tokio::test]
async fn a_ticket_stays_until_it_is_about_to_end() {
    let bench = plain().await;
    let (first, seconds) = ticket(&bench).await;
    assert!(seconds == 7200 && first.starts_with(['@', '#']) && first.contains(['+']) && first.contains('/'));
    bench.must("/clock", json!({ "advance_seconds": 6800 })).await;
    let (same, left) = ticket(&bench).await;
    assert!(same == first && (390..=400).contains(&left), "{left}");
    bench.must("/clock", json!({ "advance_seconds": 150 })).await;
    let (second, seconds) = ticket(&bench).await;
    assert!(second != first && seconds == 7200);
    // The old one is still good, for what is left of it.
    let opens =
        async |ticket: &str| bench.control("/douyin/open", json!({ "schema": bench.schema(ticket, &[]).await })).await;
    assert_eq!((opens(&first).await.0, opens(&second).await.0), (200, 200));
    bench.must("/clock", json!({ "advance_seconds": 260 })).await;
    let (status, refused) = opens(&first).await;
    assert_eq!((status, &refused["reason"]), (400, &json!("ticket_expired")));
    assert_eq!(opens(&second).await.0, 200);
}

#[tokio::test]
async fn share_ids() {
    let bench = plain().await;
    let token = bench.client_token().await;
    let answer = bench.with_token("/share-id/?need_callback=true&link_param=a%3D1", &token).await;
    let share_id = answer["data"]["share_id"].as_str().unwrap();
    assert!(share_id.len() == 16 && share_id.bytes().all(|byte| byte.is_ascii_digit()), "{share_id}");
    assert!(answer["extra"]["logid"].is_string() && answer["extra"]["now"].is_i64());
    // POST with the same query and an empty body works too.
    let url = format!("{}/share-id/?need_callback=true", bench.sandbox.https_url());
    let posted: Value =
        bench.client.post(url).header("access-token", &token).send().await.unwrap().json().await.unwrap();
    assert!(posted["data"]["share_id"] != answer["data"]["share_id"] && code(&posted) == 0);
    assert_eq!(code(&bench.with_token("/share-id/?need_callback=yes", &token).await), 2_100_005);
    let shares = bench.look("/douyin/shares").await["shares"].clone();
    assert_eq!((&shares[1]["share_id"], &shares[1]["link_param"]), (&json!(share_id), &json!("a=1")));
}

#[tokio::test]
async fn what_an_app_may_not() {
    let bench = plain().await;
    let app = json!({ "client_key": "awlimited", "client_secret": "limited", "scopes": ["jump.basic"] });
    bench.must("/douyin/apps", app).await;
    let answer = bench.client_token_of("awlimited", "limited").await;
    let token = answer["data"]["access_token"].as_str().unwrap();
    assert_eq!(code(&bench.with_token("/open/getticket/", token).await), 2_190_004);
    assert_eq!(code(&bench.with_token("/share-id/?need_callback=true", token).await), 2_190_004);
    for bad in [json!({ "client_key": "a b", "client_secret": "x" }), json!({ "client_key": "ab" }), json!({ "x": 1 })]
    {
        assert_eq!(bench.control("/douyin/apps", bad).await.0, 400);
    }
}

#[tokio::test]
async fn tokens_and_tickets_ended_by_hand() {
    let bench = plain().await;
    let token = bench.client_token().await;
    let ticket = bench.with_token("/open/getticket/", &token).await["data"]["ticket"].as_str().unwrap().to_owned();
    let path = format!("/douyin/apps/{KEY}/expire");
    assert_eq!(bench.must(&path, json!({ "what": "ticket" })).await["ended"], 1);
    let refused = bench.control("/douyin/open", json!({ "schema": bench.schema(&ticket, &[]).await })).await;
    assert_eq!((refused.0, &refused.1["reason"]), (400, &json!("ticket_expired")));
    let fresh = bench.with_token("/open/getticket/", &token).await;
    assert_ne!(fresh["data"]["ticket"], ticket.as_str());
    bench.must(&path, json!({ "what": "client_token" })).await;
    assert_eq!(code(&bench.with_token("/open/getticket/", &token).await), 2_190_008);
    let token = bench.client_token().await;
    bench.must(&path, json!({ "what": "client_token_invalid" })).await;
    assert_eq!(code(&bench.with_token("/open/getticket/", &token).await), 2_190_002);
    assert_eq!(bench.control(&path, json!({ "what": "everything" })).await.0, 400);
    assert_eq!(bench.control("/douyin/apps/awnobody/expire", json!({ "what": "ticket" })).await.0, 404);
}

#[tokio::test]
async fn numbers_as_texts_and_fields_nobody_knows() {
    let bench = plain().await;
    bench.must("/douyin/policy", json!({ "text_numbers_share": 1, "unknown_field_share": 1 })).await;
    let answer = bench.client_token_of(KEY, SECRET).await;
    assert_eq!((&answer["data"]["expires_in"], &answer["data"]["error_code"]), (&json!("7200"), &json!("0")));
    assert!(answer["data"]["sandbox_extra"].is_string());
    for bad in [json!({ "text_numbers_share": 2 }), json!({ "nonsense": 1 }), json!({ "drop_webhooks": -1 }), json!([])]
    {
        assert_eq!(bench.control("/douyin/policy", bad).await.0, 400);
    }
    bench.must("/reset", json!({})).await;
    assert_eq!(bench.look("/douyin/policy").await["text_numbers_share"], 0.1);
}

//! jscode2session.

use serde_json::{Value, json};

use crate::support::{APP, Bench, OTHER_APP};

const SECRET: &str = "bookshop-app-secret";

async fn exchange(bench: &Bench, app_id: &str, secret: &str, code: &str) -> Value {
    let url = format!("{}/sns/jscode2session", bench.sandbox.https_url());
    let url = format!("{url}?appid={app_id}&secret={secret}&js_code={code}&grant_type=authorization_code");
    let response = bench.client.get(url).send().await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

async fn code(bench: &Bench, more: Value) -> String {
    let mut body = json!({ "app_id": APP });
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    bench.must("/codes", body).await["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_code_works_once() {
    let bench = Bench::start();
    let text = code(&bench, json!({ "openid": "oPerson", "unionid": "uPerson" })).await;
    let session = exchange(&bench, APP, SECRET, &text).await;
    assert_eq!((&session["openid"], &session["unionid"]), (&json!("oPerson"), &json!("uPerson")));
    assert_eq!(session["session_key"].as_str().unwrap().len(), 24);
    assert_eq!(exchange(&bench, APP, SECRET, &text).await["errcode"], 40029);
    // Neither secret is in the journal.
    let journal = bench.look("/journal?operation=jscode2session").await.to_string();
    assert!(journal.contains("oPerson"));
    assert!(!journal.contains(SECRET) && !journal.contains(session["session_key"].as_str().unwrap()));
}

#[tokio::test]
async fn refusals() {
    let bench = Bench::start();
    let fresh = code(&bench, json!({})).await;
    assert_eq!(exchange(&bench, "", SECRET, &fresh).await["errcode"], 41002);
    assert_eq!(exchange(&bench, APP, "", &fresh).await["errcode"], 41004);
    assert_eq!(exchange(&bench, APP, SECRET, "").await["errcode"], 41008);
    assert_eq!(exchange(&bench, "wx0", SECRET, &fresh).await["errcode"], 40013);
    assert_eq!(exchange(&bench, APP, "wrong", &fresh).await["errcode"], 40125);
    assert_eq!(exchange(&bench, OTHER_APP, "teahouse-app-secret", &fresh).await["errcode"], 40029);
    assert_eq!(exchange(&bench, APP, SECRET, "nonsense").await["errcode"], 40029);
    for errcode in [45011, 40226] {
        let refused = code(&bench, json!({ "errcode": errcode })).await;
        assert_eq!(exchange(&bench, APP, SECRET, &refused).await["errcode"], errcode);
    }
    // Busy: the same code works the next time.
    let busy = code(&bench, json!({ "errcode": -1 })).await;
    assert_eq!(exchange(&bench, APP, SECRET, &busy).await["errcode"], -1);
    assert!(exchange(&bench, APP, SECRET, &busy).await["openid"].is_string());
    let old = code(&bench, json!({})).await;
    bench.must("/clock", json!({ "advance_seconds": 301 })).await;
    assert_eq!(exchange(&bench, APP, SECRET, &old).await["errcode"], 40029);
}

/// In partner mode the users may be those of the sub-merchant's app.
#[tokio::test]
async fn a_sub_merchants_app_has_logins_too() {
    const SUB_APP: &str = "wx6666666666666666";
    let bench = Bench::start();
    let fresh = code(&bench, json!({ "app_id": SUB_APP, "openid": "oBranch" })).await;
    assert_eq!(exchange(&bench, SUB_APP, SECRET, &fresh).await["errcode"], 40125);
    assert_eq!(exchange(&bench, APP, SECRET, &fresh).await["errcode"], 40029);
    assert_eq!(exchange(&bench, SUB_APP, "bookshop-branch-app-secret", &fresh).await["openid"], "oBranch");
}

//! What tests of Douyin's side need: the app's calls, a schema signed with the documented text, a webhook receiver.

use serde_json::{Value, json};

use crate::support::Bench;

pub const KEY: &str = "awbookshop000001";
pub const SECRET: &str = "5f0c2d7be19a4836bd51c07e92a4f6d3";
pub const OTHER_KEY: &str = "awteahouse000002";
pub const OTHER_SECRET: &str = "c81e72b0d5f94a3f86e0419d7a25bc60";

/// A sandbox whose answers leave nothing to chance.
pub async fn plain() -> Bench {
    let bench = Bench::start();
    let policy = json!({ "text_content_share": 0, "text_numbers_share": 0, "unknown_field_share": 0 });
    bench.must("/douyin/policy", policy).await;
    bench
}

impl Bench {
    pub async fn client_token_of(&self, client_key: &str, secret: &str) -> Value {
        let body = json!({ "grant_type": "client_credential", "client_key": client_key, "client_secret": secret });
        let url = format!("{}/oauth/client_token/", self.sandbox.https_url());
        let request = self.client.post(url).header("content-type", "application/json").body(body.to_string());
        request.send().await.unwrap().json().await.unwrap()
    }

    pub async fn client_token(&self) -> String {
        let answer = self.client_token_of(KEY, SECRET).await;
        answer["data"]["access_token"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// A GET with an access-token.
    pub async fn with_token(&self, path: &str, token: &str) -> Value {
        let url = format!("{}{path}", self.sandbox.https_url());
        self.client.get(url).header("access-token", token).send().await.unwrap().json().await.unwrap()
    }

    pub async fn ticket(&self) -> String {
        let answer = self.with_token("/open/getticket/", &self.client_token().await).await;
        answer["data"]["ticket"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    pub async fn share_id(&self, query: &str) -> String {
        let answer = self.with_token(&format!("/share-id/{query}"), &self.client_token().await).await;
        answer["data"]["share_id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    pub async fn now_seconds(&self) -> i64 {
        self.look("/clock").await["now"].as_i64().unwrap() / 1000
    }

    /// A schema of a video signed with the ticket; an empty value takes a parameter away.
    pub async fn schema(&self, ticket: &str, changes: &[(&str, &str)]) -> String {
        let now = self.now_seconds().await;
        schema_at(ticket, now, changes)
    }
}

pub fn schema_at(ticket: &str, seconds: i64, changes: &[(&str, &str)]) -> String {
    let (nonce, timestamp) = ("Nq7Zk2LwNq7Zk2Lw", seconds.to_string());
    let signed = format!("nonce_str={nonce}&ticket={ticket}&timestamp={timestamp}");
    let signature = hex::encode(md5::compute(signed).0);
    let mut parameters = vec![
        ("share_type", "h5"),
        ("client_key", KEY),
        ("nonce_str", nonce),
        ("timestamp", &timestamp),
        ("signature", &signature),
        ("video_path", "https://cdn.example.com/v/book.mp4"),
        ("title", "好书 推荐"),
        ("hashtag_list", "[\"读书\"]"),
    ];
    for change in changes {
        parameters.retain(|(name, _)| *name != change.0);
        if !change.1.is_empty() {
            parameters.push(*change);
        }
    }
    let encoded =
        |value: &str| url::form_urlencoded::byte_serialize(value.as_bytes()).collect::<String>().replace('+', "%20");
    let pairs: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
    format!("snssdk1128://openplatform/share?{}", pairs.join("&"))
}

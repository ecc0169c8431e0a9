//! The sandbox's control API, as the suite calls it.

use reqwest::{Client, Method};
use serde_json::Value;

pub struct Control {
    client: Client,
    base: String,
}

impl Control {
    pub fn new(http_url: &str) -> Control {
        Control { client: Client::builder().no_proxy().build().unwrap(), base: format!("{http_url}/_sandbox") }
    }

    /// A call that may be refused; the error is the sandbox's words.
    pub async fn try_post(&self, path: &str, body: Value) -> Result<Value, String> {
        self.send(Method::POST, path, Some(body)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Value {
        self.try_post(path, body).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub async fn get(&self, path: &str) -> Value {
        self.send(Method::GET, path, None).await.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.map_err(|error| error.to_string())?;
        let status = response.status();
        let answer: Value = response.json().await.map_err(|error| error.to_string())?;
        if status.is_success() { Ok(answer) } else { Err(format!("{status}: {}", answer["error"])) }
    }
}

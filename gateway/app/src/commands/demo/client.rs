//! The merchant's back end: what it sends to the gateway with its key, and what a person does at
//! the sandbox.

use std::time::Duration;

use anyhow::{Context as _, bail};
use dukou_domain::Secret;
use serde_json::{Value, json};

use super::names::{APP, MERCHANT, PROVIDER, TENANT};

const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Mobile/15E148 Safari/604.1";
/// Everything here is on this machine.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    /// For what goes on for as long as somebody listens.
    endless: reqwest::Client,
    base: String,
    sandbox: String,
    api_key: Secret,
}

/// An answer in JSON.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub body: Value,
}

impl Client {
    pub fn new(gateway: &str, sandbox: &str, api_key: Secret) -> anyhow::Result<Self> {
        // Plain HTTP on the loopback alone: no certificate is trusted.
        let http = || reqwest::Client::builder().no_proxy().tls_certs_only([]).connect_timeout(PATIENCE);
        let (endless, http) = (http().build()?, http().timeout(PATIENCE).build()?);
        Ok(Client { http, endless, base: format!("{gateway}/v1/{TENANT}"), sandbox: sandbox.to_owned(), api_key })
    }

    /// Calls the gateway as the merchant's back end.
    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth(self.api_key.expose()).json(body);
        answer(request).await.with_context(|| format!("POST {path} at the gateway"))
    }

    /// A call without a body.
    pub async fn post_nothing(&self, path: &str) -> anyhow::Result<Answer> {
        let request = self.http.post(format!("{}{path}", self.base)).bearer_auth(self.api_key.expose());
        answer(request).await.with_context(|| format!("POST {path} at the gateway"))
    }

    /// Calls the gateway as the mini-program does: with the token of its session, once it has one.
    pub async fn buyer_post(&self, path: &str, token: Option<&str>, body: &Value) -> anyhow::Result<Answer> {
        let request = self.http.post(format!("{}{path}", self.base)).json(body);
        answer(with_token(request, token)).await.with_context(|| format!("POST {path} at the gateway"))
    }

    pub async fn buyer_get(&self, path: &str, token: Option<&str>) -> anyhow::Result<Answer> {
        let request = self.http.get(format!("{}{path}", self.base));
        answer(with_token(request, token)).await.with_context(|| format!("GET {path} at the gateway"))
    }

    /// The live stream of the shop's events, from after the one with this id.
    pub async fn event_stream(&self, last: Option<&str>) -> anyhow::Result<reqwest::Response> {
        let request = self.endless.get(format!("{}/events", self.base)).bearer_auth(self.api_key.expose());
        let request = request.header("accept", "text/event-stream");
        let request = last.into_iter().fold(request, |request, last| request.header("last-event-id", last));
        request.send().await.context("the event stream of the gateway")
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        let request = self.http.get(format!("{}{path}", self.base)).bearer_auth(self.api_key.expose());
        answer(request).await.with_context(|| format!("GET {path} at the gateway"))
    }

    /// Does something at the platform, as a person or the platform's own machinery would.
    pub async fn platform(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = self.http.post(format!("{}/_sandbox{path}", self.sandbox)).json(body);
        let answer = answer(request).await.with_context(|| format!("{path} at the sandbox"))?;
        if answer.status >= 300 {
            bail!("the sandbox refused {path}: {}", answer.body);
        }
        Ok(answer.body)
    }

    /// What crossed the wire at the platform.
    pub async fn journal(&self) -> anyhow::Result<Value> {
        let request = self.http.get(format!("{}/_sandbox/journal", self.sandbox));
        Ok(answer(request).await.context("the sandbox's journal")?.body)
    }

    /// An order as the platform knows it.
    pub async fn platform_order(&self, out_trade_no: &str) -> anyhow::Result<Value> {
        let request = self.http.get(format!("{}/_sandbox{}", self.sandbox, Self::order_path(out_trade_no)));
        Ok(answer(request).await.context("the sandbox's order")?.body)
    }

    pub async fn text(&self, url: &str) -> anyhow::Result<String> {
        Ok(self.http.get(url).send().await?.error_for_status()?.text().await?)
    }

    /// A page as a phone's browser loads it.
    pub async fn page_on_a_phone(&self, url: &str) -> anyhow::Result<String> {
        let request = self.http.get(url).header("user-agent", PHONE);
        Ok(request.send().await?.error_for_status()?.text().await?)
    }

    /// What `wx.login` gives the mini-program.
    pub async fn login_code(&self) -> anyhow::Result<String> {
        let answer = self.platform("/codes", &json!({ "app_id": APP })).await?;
        Ok(answer["code"].as_str().context("the sandbox gave no code")?.to_owned())
    }

    /// Where the sandbox keeps an order.
    pub fn order_path(out_trade_no: &str) -> String {
        format!("/orders/{MERCHANT}/{out_trade_no}")
    }

    /// The body of a new payment. Without a login code it waits for the mini-program to say who pays.
    pub fn new_payment(code: Option<&str>, amount: i64, description: &str) -> Value {
        let mut body = json!({
            "provider": PROVIDER, "method": "jsapi", "amount": amount, "currency": "CNY",
            "description": description, "client_ip": "203.0.113.9",
        });
        if let Some(code) = code {
            body["payer"] = json!({ "code": code });
        }
        body
    }
}

fn with_token(request: reqwest::RequestBuilder, token: Option<&str>) -> reqwest::RequestBuilder {
    token.into_iter().fold(request, reqwest::RequestBuilder::bearer_auth)
}

async fn answer(request: reqwest::RequestBuilder) -> anyhow::Result<Answer> {
    let response = request.send().await?;
    let status = response.status().as_u16();
    let bytes = response.bytes().await?;
    let body = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).chars().take(300).collect()));
    Ok(Answer { status, body })
}

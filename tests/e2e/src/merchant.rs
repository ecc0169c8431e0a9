use std::time::Duration;

use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::tenant::Tenant;

const TIME_LIMIT: Duration = Duration::from_secs(30);

/// A merchant's backend: the gateway's API with one tenant's key.
///
/// Methods that name a call panic when no answer comes; [`Merchant::send`] is for a gateway that may be gone.
#[derive(Clone)]
pub struct Merchant {
    pub tenant: Tenant,
    url: String,
    client: reqwest::Client,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// The body, or null where it is not JSON.
    pub json: Value,
}

impl Answer {
    /// # Errors
    /// When the body does not come.
    pub async fn read(response: reqwest::Response) -> reqwest::Result<Self> {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await?;
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Ok(Self { status, headers, text, json })
    }

    /// The body of an answer that must have this status.
    ///
    /// # Panics
    /// When it has another.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        self.json
    }

    /// The body of a problem document that must have this status and code.
    ///
    /// # Panics
    /// When it is something else.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Value {
        assert_eq!((self.status, self.code()), (status, code), "{}", self.text);
        let kind = self.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/problem+json"), "a problem document is {kind}");
        self.json
    }

    /// The problem's code; empty where there is none.
    pub fn code(&self) -> &str {
        self.json["code"].as_str().unwrap_or_default()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Merchant {
    /// `url` is the gateway's public address.
    pub fn new(tenant: &Tenant, url: &str, client: reqwest::Client) -> Self {
        Self { tenant: tenant.clone(), url: url.to_owned(), client }
    }

    /// The body of a small jsapi payment with everything that is required.
    pub fn order(&self, out_trade_no: &str, amount: i64) -> Value {
        json!({
            "provider": "wechat", "method": "jsapi", "out_trade_no": out_trade_no, "amount": amount, "currency": "CNY",
            "description": "阿飞书店-图书", "payer": { "openid": self.tenant.openid(1) }, "client_ip": "203.0.113.9",
        })
    }

    /// `POST /payments`.
    pub async fn create(&self, body: &Value) -> Answer {
        self.post("/payments", body).await
    }

    /// A payment that must be created: the answer's body.
    pub async fn pending(&self, out_trade_no: &str, amount: i64) -> Value {
        let payment = self.create(&self.order(out_trade_no, amount)).await.expect(201);
        assert_eq!(payment["status"], "pending", "{payment}");
        payment
    }

    /// `GET /payments/{out_trade_no}`.
    pub async fn payment(&self, out_trade_no: &str) -> Answer {
        self.get(&format!("/payments/{out_trade_no}")).await
    }

    /// The status of a payment that must exist.
    pub async fn status(&self, out_trade_no: &str) -> String {
        let payment = self.payment(out_trade_no).await.expect(200);
        payment["status"].as_str().unwrap_or_default().to_owned()
    }

    /// `GET /payments/{out_trade_no}?refresh=true`.
    pub async fn refresh(&self, out_trade_no: &str) -> Answer {
        self.get(&format!("/payments/{out_trade_no}?refresh=true")).await
    }

    /// `GET /payments` with a query such as `status=pending&limit=2`.
    pub async fn list(&self, query: &str) -> Answer {
        self.get(&format!("/payments?{query}")).await
    }

    /// `POST /payments/{out_trade_no}/close`.
    pub async fn close(&self, out_trade_no: &str) -> Answer {
        self.post(&format!("/payments/{out_trade_no}/close"), &json!({})).await
    }

    /// `POST /payments/{out_trade_no}/refunds`.
    pub async fn refund(&self, out_trade_no: &str, out_refund_no: &str, amount: i64) -> Answer {
        let body = json!({ "out_refund_no": out_refund_no, "amount": amount, "reason": "买多了" });
        self.post(&format!("/payments/{out_trade_no}/refunds"), &body).await
    }

    /// `GET /payments/{out_trade_no}/refunds`: the list.
    pub async fn refunds(&self, out_trade_no: &str) -> Vec<Value> {
        let page = self.get(&format!("/payments/{out_trade_no}/refunds")).await.expect(200);
        page["data"].as_array().cloned().unwrap_or_default()
    }

    /// `GET /refunds/{out_refund_no}`.
    pub async fn refund_by_number(&self, out_refund_no: &str) -> Answer {
        self.get(&format!("/refunds/{out_refund_no}")).await
    }

    /// `GET /events` with a query such as `limit=2`.
    pub async fn events(&self, query: &str) -> Answer {
        self.get(&format!("/events?{query}")).await
    }

    /// The whole event log, oldest first.
    pub async fn all_events(&self) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        let mut query = "limit=500".to_owned();
        loop {
            let page = self.events(&query).await.expect(200);
            all.extend(page["data"].as_array().cloned().unwrap_or_default());
            match page["next_cursor"].as_str() {
                Some(cursor) => query = format!("limit=500&after={cursor}"),
                None => return all,
            }
        }
    }

    /// Types of the events about one payment or its refunds, oldest first.
    pub async fn event_types(&self, out_trade_no: &str) -> Vec<String> {
        let about = |event: &Value| event["data"]["out_trade_no"] == *out_trade_no;
        let events = self.all_events().await.into_iter().filter(about);
        events.map(|event| event["type"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Every payment, newest first.
    pub async fn all_payments(&self) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        let mut query = "limit=100".to_owned();
        loop {
            let page = self.list(&query).await.expect(200);
            all.extend(page["data"].as_array().cloned().unwrap_or_default());
            match page["next_cursor"].as_str() {
                Some(cursor) => query = format!("limit=100&cursor={cursor}"),
                None => return all,
            }
        }
    }

    /// A POST under the tenant's base that is answered.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await.unwrap_or_else(|error| panic!("{path}: {error:?}"))
    }

    /// A POST with an `Idempotency-Key`.
    pub async fn post_once(&self, key: &str, path: &str, body: &Value) -> Answer {
        let request = self.request(Method::POST, path).header("Idempotency-Key", key).json(body);
        self.send(request).await.unwrap_or_else(|error| panic!("{path}: {error:?}"))
    }

    /// A GET under the tenant's base that is answered.
    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await.unwrap_or_else(|error| panic!("{path}: {error:?}"))
    }

    /// A request with the tenant's key, to be changed and sent with [`Merchant::send`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let url = format!("{}/v1/{}{path}", self.url, self.tenant.id);
        self.client.request(method, url).bearer_auth(&self.tenant.api_key).timeout(TIME_LIMIT)
    }

    /// # Errors
    /// When no answer comes.
    pub async fn send(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        Answer::read(request.send().await?).await
    }

    /// The client underneath, for requests of any kind.
    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }
}

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::eventually::eventually;
use crate::merchant::Answer;
use crate::tenant::Tenant;

const TIME_LIMIT: Duration = Duration::from_secs(120);
/// How long the sandbox may take to send what is due.
const DELIVERY: Duration = Duration::from_secs(20);

/// The sandbox's control API: what people and platforms do. Orders are named by the tenant's `out_trade_no`.
#[derive(Clone)]
pub struct Control {
    url: String,
    client: reqwest::Client,
}

impl Control {
    /// `url` is the sandbox's plain address.
    pub fn new(url: &str, client: reqwest::Client) -> Self {
        Self { url: url.to_owned(), client }
    }

    /// Pays an order as its buyer would; the order. The platform notifies by itself unless a policy says otherwise.
    pub async fn pay(&self, tenant: &Tenant, out_trade_no: &str) -> Value {
        self.pay_with(tenant, out_trade_no, &json!({})).await
    }

    /// Pays an order without any notify.
    pub async fn pay_silently(&self, tenant: &Tenant, out_trade_no: &str) -> Value {
        self.pay_with(tenant, out_trade_no, &json!({ "notify": false })).await
    }

    /// Pays with `coupon_fee`, `client` (the payment's `invoke`, checked as a phone does), `openid` or `notify`.
    pub async fn pay_with(&self, tenant: &Tenant, out_trade_no: &str, how: &Value) -> Value {
        self.must(&format!("{}/pay", order_path(tenant, out_trade_no)), how).await
    }

    /// The order, with its refunds.
    pub async fn order(&self, tenant: &Tenant, out_trade_no: &str) -> Answer {
        self.call(Method::GET, &order_path(tenant, out_trade_no), None).await
    }

    /// Ends a refund: `SUCCESS`, `CHANGE` or `REFUNDCLOSE`. The platform notifies.
    pub async fn settle(&self, tenant: &Tenant, out_trade_no: &str, out_refund_no: &str, status: &str) -> Value {
        let path = format!("{}/refunds/{out_refund_no}/settle", order_path(tenant, out_trade_no));
        self.must(&path, &json!({ "status": status })).await
    }

    /// Sends the notify of a paid order now; `how` takes `copies`, `concurrent`, `set`, `corrupt`, `kind`,
    /// `out_refund_no`, `url`, `nonce`. The deliveries: `{status, body, success, millis, error}`.
    pub async fn notify(&self, tenant: &Tenant, out_trade_no: &str, how: &Value) -> Vec<Value> {
        let answer = self.must(&format!("{}/notify", order_path(tenant, out_trade_no)), how).await;
        answer["responses"].as_array().cloned().unwrap_or_default()
    }

    /// Signs any fields with the tenant's key and sends them to `url`; the delivery.
    pub async fn notify_raw(&self, tenant: &Tenant, url: &str, fields: &Value) -> Value {
        let body = json!({ "mch_id": tenant.mch_id, "fields": fields, "sign_type": tenant.sign_type, "url": url });
        self.must("/notify-raw", &body).await["responses"][0].clone()
    }

    /// The fields as a document signed with a merchant's key.
    pub async fn sign(&self, mch_id: &str, sign_type: &str, fields: &Value) -> String {
        let body = json!({ "mch_id": mch_id, "fields": fields, "sign_type": sign_type });
        self.must("/sign", &body).await["xml"].as_str().unwrap_or_default().to_owned()
    }

    /// A login code for the tenant's app: code and openid.
    pub async fn code(&self, tenant: &Tenant) -> (String, String) {
        let answer = self.must("/codes", &json!({ "app_id": tenant.app_id })).await;
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        (text("code"), text("openid"))
    }

    /// A login code that the platform refuses with this error.
    pub async fn refused_code(&self, tenant: &Tenant, errcode: i64) -> String {
        let answer = self.must("/codes", &json!({ "app_id": tenant.app_id, "errcode": errcode })).await;
        answer["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Sets a fault: `{operation, out_trade_no?, times?, fault: {type, …}}`.
    pub async fn fault(&self, rule: &Value) {
        self.must("/faults", rule).await;
    }

    /// Ends all faults.
    pub async fn clear_faults(&self) {
        self.call(Method::DELETE, "/faults", None).await.expect(200);
    }

    /// Changes switches: `{auto_notify, auto_settle, drop_notifies, …}`.
    pub async fn policy(&self, change: &Value) {
        self.must("/policy", change).await;
    }

    /// Moves the platform's clock forward; notifies that become due go out.
    pub async fn advance(&self, seconds: u32) {
        self.must("/clock", &json!({ "advance_seconds": seconds })).await;
    }

    /// The notifies that the platform sends by itself: pending, delivered, given up.
    pub async fn notifies(&self) -> Vec<Value> {
        let answer = self.call(Method::GET, "/notifies", None).await.expect(200);
        answer["notifies"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until every notify that the platform began was delivered, moving its clock on for repetitions.
    pub async fn deliver_all(&self) {
        eventually("every notify delivered", DELIVERY, async || {
            let open: Vec<Value> =
                self.notifies().await.into_iter().filter(|job| job["state"] != "delivered").collect();
            if open.iter().any(|job| job["state"] == "pending" && job["attempts"] != json!([])) {
                self.advance(60).await;
            }
            open.is_empty().then_some(())
        })
        .await;
    }

    /// What crossed the wire, oldest first: `{seq, at, direction, operation, url, out_trade_no, request, status, response,
    /// note, …}`; `query` such as `operation=refund&out_trade_no=B-1`.
    pub async fn journal(&self, query: &str) -> Vec<Value> {
        let answer = self.call(Method::GET, &format!("/journal?limit=1000000&{query}"), None).await.expect(200);
        answer["entries"].as_array().cloned().unwrap_or_default()
    }

    /// Every order the platform knows, with its refunds.
    pub async fn orders(&self) -> Vec<Value> {
        let answer = self.call(Method::GET, "/orders?limit=1000000", None).await.expect(200);
        answer["orders"].as_array().cloned().unwrap_or_default()
    }

    /// A POST that must be answered with 200.
    ///
    /// # Panics
    /// When it is not.
    pub async fn must(&self, path: &str, body: &Value) -> Value {
        self.call(Method::POST, path, Some(body)).await.expect(200)
    }

    /// Any call under `/_sandbox`.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let url = format!("{}/_sandbox{path}", self.url);
        let mut request = self.client.request(method, &url).timeout(TIME_LIMIT);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap_or_else(|error| panic!("{url}: {error:?}"));
        Answer::read(response).await.unwrap()
    }
}

fn order_path(tenant: &Tenant, out_trade_no: &str) -> String {
    format!("/orders/{}/{}", tenant.mch_id, tenant.trade_no(out_trade_no))
}

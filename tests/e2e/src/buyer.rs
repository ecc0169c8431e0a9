use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::merchant::Answer;
use crate::tenant::Tenant;
use crate::world::World;

const TIME_LIMIT: Duration = Duration::from_secs(30);

/// A user of a tenant's mini-program: the gateway's API with a session token.
#[derive(Clone)]
pub struct Buyer {
    pub openid: String,
    pub token: String,
    base: String,
    client: reqwest::Client,
}

impl Buyer {
    /// A new person, who logs in.
    ///
    /// # Panics
    /// When the gateway does not let them.
    pub async fn log_in(world: &World, tenant: &Tenant) -> Self {
        let (code, openid) = world.control.code(tenant).await;
        let session =
            Self::session(world, &tenant.id, &json!({ "provider": "wechat", "code": code })).await.expect(201);
        assert_eq!(session["openid"], *openid);
        let base = format!("{}/v1/{}", world.gateway.url(), tenant.id);
        let token = session["session_token"].as_str().unwrap_or_default().to_owned();
        Self { openid, token, base, client: world.client().clone() }
    }

    /// `POST /sessions`.
    pub async fn session(world: &World, tenant: &str, body: &Value) -> Answer {
        let url = format!("{}/v1/{tenant}/sessions", world.gateway.url());
        Answer::read(world.client().post(url).timeout(TIME_LIMIT).json(body).send().await.unwrap()).await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// `POST /payments/{out_trade_no}/invoke`.
    pub async fn invoke(&self, out_trade_no: &str) -> Answer {
        self.post(&format!("/payments/{out_trade_no}/invoke"), &json!({})).await
    }

    /// `POST /payments/{out_trade_no}/refund-requests`.
    pub async fn ask_refund(&self, out_trade_no: &str, amount: i64) -> Answer {
        let body = json!({ "amount": amount, "reason": "买多了" });
        self.post(&format!("/payments/{out_trade_no}/refund-requests"), &body).await
    }

    /// A request with the token, to be changed and sent with [`Buyer::send`].
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.base));
        request.bearer_auth(&self.token).timeout(TIME_LIMIT)
    }

    /// # Panics
    /// When no answer comes.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        Answer::read(request.send().await.unwrap()).await.unwrap()
    }
}

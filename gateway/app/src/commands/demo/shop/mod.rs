//! A small shop: the mini-program a buyer sees, the merchant's desk beside it, and the back end of
//! both, which alone holds the key.

mod buyer;
mod live;
mod merchant;
mod pages;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, ResponseError};
use serde_json::json;
use tokio::task::JoinHandle;

use super::client::{Answer, Client};
use super::setting::Setting;
use live::Live;

/// What the pages' own scripts send with everything that does something. Another site's page
/// cannot, without being asked first, and this server never allows it.
const OWN_HEADER: &str = "x-shop";

/// What the handlers work with.
struct Backend {
    client: Client,
    phone_url: String,
    /// Where the sandbox's Douyin opens a link.
    douyin_url: String,
    live: Live,
}

/// The running shop.
pub struct Shop {
    pub url: String,
    server: ServerHandle,
    following: JoinHandle<()>,
}

impl Shop {
    pub async fn start(setting: &Setting) -> anyhow::Result<Self> {
        let backend = Data::new(Backend {
            client: setting.client.clone(),
            phone_url: format!("{}/_sandbox/phone", setting.sandbox.http_url()),
            douyin_url: format!("{}/_sandbox/douyin/open?schema=", setting.sandbox.http_url()),
            live: Live::default(),
        });
        let shared = backend.clone();
        let routes = |config: &mut actix_web::web::ServiceConfig| {
            pages::routes(config);
            buyer::routes(config);
            merchant::routes(config);
            live::routes(config);
        };
        let server = HttpServer::new(move || App::new().app_data(shared.clone()).configure(routes))
            .workers(1)
            .disable_signals()
            .shutdown_timeout(1)
            .bind(("127.0.0.1", 0))?;
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        let following = tokio::spawn(async move { backend.live.follow(&backend.client).await });
        Ok(Shop { url: format!("http://{address}/"), server: handle, following })
    }

    pub async fn stop(self) {
        self.following.abort();
        self.server.stop(false).await;
    }
}

/// Why the shop does not do something, in words for the page.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Refusal {
    status: u16,
    message: String,
}

impl Refusal {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Refusal { status, message: message.into() }
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_GATEWAY)
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status_code()).json(json!({ "detail": self.message }))
    }
}

/// Refuses what does not come from the shop's own pages.
fn own(request: &HttpRequest) -> Result<(), Refusal> {
    let is_own = request.headers().contains_key(OWN_HEADER);
    is_own.then_some(()).ok_or_else(|| Refusal::new(403, "请从商店页面操作"))
}

/// A number or an id as the gateway makes them; nothing else goes into its address.
fn safe(text: &str) -> Result<&str, Refusal> {
    let fits = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    fits.then_some(text).ok_or_else(|| Refusal::new(404, "没有找到"))
}

/// The gateway's own answer, as it came.
fn passed_on(answer: anyhow::Result<Answer>) -> Result<HttpResponse, Refusal> {
    let answer = answer.map_err(|error| {
        tracing::warn!("the shop cannot reach the gateway: {error:#}");
        Refusal::new(502, "暂时联系不上支付网关")
    })?;
    Ok(HttpResponse::build(StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY)).json(answer.body))
}

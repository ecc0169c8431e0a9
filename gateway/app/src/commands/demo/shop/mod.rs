//! A small shop: the page a buyer sees, and the back end behind it, which alone holds the key.

use actix_web::dev::ServerHandle;
use actix_web::http::header;
use actix_web::web::{Data, Path, ServiceConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use serde_json::{Value, json};

use super::client::{Answer, Client};
use super::setting::Setting;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// What the page's own script sends with every order. Another site's page cannot, without being
/// asked first, and this server never allows it.
const OWN_HEADER: &str = "x-shop";

/// Books by id: title, price in fen. The page names a book, never an amount.
const BOOKS: [(&str, &str, i64); 3] = [("ferry", "渡口", 101), ("river", "长河", 3_800), ("tea", "茶馆", 2_650)];

struct Backend {
    client: Client,
    phone_url: String,
}

/// The running shop.
pub struct Shop {
    pub url: String,
    server: ServerHandle,
}

impl Shop {
    pub async fn start(setting: &Setting) -> anyhow::Result<Self> {
        let backend = Data::new(Backend {
            client: setting.client.clone(),
            phone_url: format!("{}/_sandbox/phone", setting.sandbox.http_url()),
        });
        let server = HttpServer::new(move || App::new().app_data(backend.clone()).configure(routes))
            .workers(1)
            .disable_signals()
            .shutdown_timeout(1)
            .bind(("127.0.0.1", 0))?;
        let address = server.addrs()[0];
        let server = server.run();
        let handle = server.handle();
        tokio::spawn(server);
        Ok(Shop { url: format!("http://{address}/"), server: handle })
    }

    pub async fn stop(self) {
        self.server.stop(false).await;
    }
}

fn routes(config: &mut ServiceConfig) {
    config
        .route("/", web::get().to(|| asset("text/html; charset=utf-8", PAGE)))
        .route("/style.css", web::get().to(|| asset("text/css; charset=utf-8", STYLE)))
        .route("/script.js", web::get().to(|| asset("text/javascript; charset=utf-8", SCRIPT)))
        .route("/books", web::get().to(books))
        .route("/orders/{book}", web::post().to(order))
        .route("/orders/{out_trade_no}", web::get().to(status))
        .route("/orders/{out_trade_no}/refund", web::post().to(refund));
}

async fn asset(content_type: &'static str, text: &'static str) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .body(text)
}

async fn books(backend: Data<Backend>) -> HttpResponse {
    let books: Vec<Value> =
        BOOKS.iter().map(|(id, title, price)| json!({ "id": id, "title": title, "price": price })).collect();
    HttpResponse::Ok().json(json!({ "books": books, "phone": backend.phone_url }))
}

/// Orders a book: the price is the shop's, the payment is made at the gateway with the shop's key.
async fn order(request: HttpRequest, book: Path<String>, backend: Data<Backend>) -> HttpResponse {
    let Some((_, title, price)) = BOOKS.iter().find(|(id, ..)| *id == book.as_str()) else {
        return refusal(404, "没有这本书");
    };
    if !request.headers().contains_key(OWN_HEADER) {
        return refusal(403, "请从商店页面下单");
    }
    let made = async {
        let code = backend.client.login_code().await?;
        backend.client.post("/payments", &Client::new_payment(&code, *price, &format!("渡口书店-{title}"))).await
    };
    shown(made.await)
}

async fn status(out_trade_no: Path<String>, backend: Data<Backend>) -> HttpResponse {
    match number(&out_trade_no) {
        Some(number) => shown(backend.client.get(&format!("/payments/{number}")).await),
        None => refusal(404, "没有这个订单"),
    }
}

/// Gives back all that is left, under the order's own number: pressed twice it is one refund.
async fn refund(request: HttpRequest, out_trade_no: Path<String>, backend: Data<Backend>) -> HttpResponse {
    let Some(number) = number(&out_trade_no) else { return refusal(404, "没有这个订单") };
    if !request.headers().contains_key(OWN_HEADER) {
        return refusal(403, "请从商店页面退款");
    }
    let made = async {
        let payment = backend.client.get(&format!("/payments/{number}")).await?;
        if payment.status != 200 {
            return Ok(payment);
        }
        let body = json!({ "out_refund_no": format!("{number}-R"), "amount": payment.body["amount"], "reason": "买家申请退款" });
        let refund = backend.client.post(&format!("/payments/{number}/refunds"), &body).await?;
        if refund.status >= 300 {
            return Ok(refund);
        }
        backend.client.get(&format!("/payments/{number}")).await
    };
    shown(made.await)
}

/// A number as the gateway makes them; nothing else goes into its address.
fn number(text: &str) -> Option<&str> {
    ((1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())).then_some(text)
}

/// What the buyer's page may see of a payment.
fn shown(answer: anyhow::Result<Answer>) -> HttpResponse {
    match answer {
        Ok(answer) if answer.status < 300 => {
            let payment = answer.body;
            HttpResponse::Ok().json(json!({
                "number": payment["out_trade_no"], "status": payment["status"], "amount": payment["amount"],
                "refunded": payment["refunded_amount"], "title": payment["description"],
            }))
        }
        Ok(answer) => refusal(answer.status, answer.body["detail"].as_str().unwrap_or("网关拒绝了请求")),
        Err(error) => {
            tracing::warn!("the shop cannot reach the gateway: {error:#}");
            refusal(502, "暂时联系不上支付网关")
        }
    }
}

fn refusal(status: u16, message: &str) -> HttpResponse {
    let status = actix_web::http::StatusCode::from_u16(status).unwrap_or(actix_web::http::StatusCode::BAD_GATEWAY);
    HttpResponse::build(status).json(json!({ "message": message }))
}

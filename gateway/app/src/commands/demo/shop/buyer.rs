//! The buyer's side: the shop's own orders, the platform's client functions, and the mini-program's
//! calls to the gateway.

use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{Data, Json, Path, ServiceConfig, get, post};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::{Backend, Refusal, merchant, own, passed_on, safe};
use crate::commands::demo::client::Client;
use crate::commands::demo::names::APP;

/// Books by id: title, author, price in fen. The page names a book, never an amount.
const BOOKS: [(&str, &str, &str, i64); 4] = [
    ("ferry", "边城", "沈从文", 2_800),
    ("river", "长河", "沈从文", 3_600),
    ("tea", "茶馆", "老舍", 2_650),
    ("city", "呼兰河传", "萧红", 3_250),
];

pub fn routes(config: &mut ServiceConfig) {
    config
        .route("/books", get().to(books))
        .route("/orders/{book}", post().to(order))
        .route("/orders/{number}/asked", get().to(asked))
        // What `wx` does on a phone.
        .route("/wx/login", post().to(login))
        .route("/wx/pay", post().to(pay))
        // What the mini-program sends straight to the gateway; a page may only talk to its own
        // server, which passes it on as it is, with the session's token and without the shop's key.
        .route("/gateway/sessions", post().to(session))
        .route("/gateway/payments/{number}", get().to(payment))
        .route("/gateway/payments/{number}/invoke", post().to(invoke))
        .route("/gateway/payments/{number}/refund-requests", post().to(ask_for_refund))
        .route("/gateway/shares/douyin", post().to(share));
}

async fn books(backend: Data<Backend>) -> HttpResponse {
    let book = |(id, title, author, price): &(&str, &str, &str, i64)| {
        let share = json!({
            "app_id": APP, "title": format!("《{title}》{author} · 一页书，一渡口"), "path": format!("pages/book/detail?id={id}"),
            "image_url": format!("https://books.example.com/{id}.png"), "hashtags": ["读书", title],
        });
        json!({ "id": id, "title": title, "author": author, "price": price, "share": share })
    };
    let books: Vec<Value> = BOOKS.iter().map(book).collect();
    HttpResponse::Ok().json(json!({ "books": books, "phone": backend.phone_url, "douyin": backend.douyin_url }))
}

/// Orders a book: the price is the shop's, and who pays is not known yet.
async fn order(request: HttpRequest, book: Path<String>, backend: Data<Backend>) -> Result<HttpResponse, Refusal> {
    own(&request)?;
    let book = BOOKS.iter().find(|(id, ..)| *id == book.as_str());
    let (_, title, _, price) = book.ok_or_else(|| Refusal::new(404, "没有这本书"))?;
    let body = Client::new_payment(None, *price, &format!("渡口书店-《{title}》"));
    passed_on(backend.client.post("/payments", &body).await)
}

/// What became of this user's wish to have an order's money back, as the shop knows it.
async fn asked(request: HttpRequest, number: Path<String>, backend: Data<Backend>) -> Result<HttpResponse, Refusal> {
    let path = format!("/payments/{}", safe(&number)?);
    // Whose order it is says the gateway.
    let payment = backend.client.buyer_get(&path, token(&request)).await;
    if !payment.is_ok_and(|payment| payment.status == 200) {
        return Err(Refusal::new(404, "没有找到"));
    }
    let requests = merchant::all(&backend.client, "/refund-requests?").await?;
    let newest = requests.iter().find(|request| request["out_trade_no"] == number.as_str());
    let asked = match newest.and_then(|request| request["status"].as_str()) {
        None => "",
        Some("rejected") => "rejected",
        Some(_) => "waiting",
    };
    Ok(HttpResponse::Ok().json(json!({ "asked": asked })))
}

async fn login(request: HttpRequest, backend: Data<Backend>) -> Result<HttpResponse, Refusal> {
    own(&request)?;
    let code = backend.client.login_code().await.map_err(|error| Refusal::new(502, format!("{error:#}")))?;
    Ok(HttpResponse::Ok().json(json!({ "code": code })))
}

/// Pays on the phone, with the signed arguments of `wx.requestPayment`.
async fn pay(request: HttpRequest, invoke: Json<Value>, backend: Data<Backend>) -> Result<HttpResponse, Refusal> {
    own(&request)?;
    let paid = backend.client.platform("/client-pay", &json!({ "client": *invoke })).await;
    paid.map_err(|error| Refusal::new(402, format!("{error:#}")))?;
    Ok(HttpResponse::Ok().json(json!({ "errMsg": "requestPayment:ok" })))
}

async fn session(body: Json<Value>, backend: Data<Backend>) -> Result<HttpResponse, Refusal> {
    passed_on(backend.client.buyer_post("/sessions", None, &body).await)
}

async fn payment(request: HttpRequest, number: Path<String>, backend: Data<Backend>) -> Result<HttpResponse, Refusal> {
    let path = format!("/payments/{}", safe(&number)?);
    passed_on(backend.client.buyer_get(&path, token(&request)).await)
}

async fn invoke(request: HttpRequest, number: Path<String>, backend: Data<Backend>) -> Result<HttpResponse, Refusal> {
    let path = format!("/payments/{}/invoke", safe(&number)?);
    passed_on(backend.client.buyer_post(&path, token(&request), &json!({})).await)
}

async fn ask_for_refund(
    request: HttpRequest,
    number: Path<String>,
    body: Json<Value>,
    backend: Data<Backend>,
) -> Result<HttpResponse, Refusal> {
    let path = format!("/payments/{}/refund-requests", safe(&number)?);
    passed_on(backend.client.buyer_post(&path, token(&request), &body).await)
}

async fn share(request: HttpRequest, body: Json<Value>, backend: Data<Backend>) -> Result<HttpResponse, Refusal> {
    passed_on(backend.client.buyer_post("/shares/douyin", token(&request), &body).await)
}

/// The session's token as the page sent it.
fn token(request: &HttpRequest) -> Option<&str> {
    request.headers().get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

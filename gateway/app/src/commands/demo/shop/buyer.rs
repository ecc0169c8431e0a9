//! The buyer's side: the shop's own orders, the platform's client functions, and the mini-program's
//! calls to the gateway.

use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{Data, Json, Path, ServiceConfig, get, post};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::{Backend, own, passed_on, refusal, safe};
use crate::commands::demo::client::Client;

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
        // What `wx` does on a phone.
        .route("/wx/login", post().to(login))
        .route("/wx/pay", post().to(pay))
        // What the mini-program sends straight to the gateway; a page may only talk to its own
        // server, which passes it on as it is, with the session's token and without the shop's key.
        .route("/gateway/sessions", post().to(session))
        .route("/gateway/payments/{number}", get().to(payment))
        .route("/gateway/payments/{number}/invoke", post().to(invoke))
        .route("/gateway/payments/{number}/refund-requests", post().to(ask_for_refund));
}

async fn books(backend: Data<Backend>) -> HttpResponse {
    let book = |(id, title, author, price): &(&str, &str, &str, i64)| json!({ "id": id, "title": title, "author": author, "price": price });
    HttpResponse::Ok().json(json!({ "books": BOOKS.iter().map(book).collect::<Vec<_>>(), "phone": backend.phone_url }))
}

/// Orders a book: the price is the shop's, and who pays is not known yet.
async fn order(request: HttpRequest, book: Path<String>, backend: Data<Backend>) -> HttpResponse {
    let Some((_, title, _, price)) = BOOKS.iter().find(|(id, ..)| *id == book.as_str()) else {
        return refusal(404, "没有这本书");
    };
    if let Err(refused) = own(&request) {
        return refused;
    }
    let body = Client::new_payment(None, *price, &format!("渡口书店-《{title}》"));
    let made = backend.client.post("/payments", &body).await;
    backend.live.nudge();
    passed_on(made)
}

async fn login(request: HttpRequest, backend: Data<Backend>) -> HttpResponse {
    if let Err(refused) = own(&request) {
        return refused;
    }
    match backend.client.login_code().await {
        Ok(code) => HttpResponse::Ok().json(json!({ "code": code })),
        Err(error) => refusal(502, &format!("{error:#}")),
    }
}

/// Pays on the phone, with the signed arguments of `wx.requestPayment`.
async fn pay(request: HttpRequest, invoke: Json<Value>, backend: Data<Backend>) -> HttpResponse {
    if let Err(refused) = own(&request) {
        return refused;
    }
    match backend.client.platform("/client-pay", &json!({ "client": *invoke })).await {
        Ok(_) => HttpResponse::Ok().json(json!({ "errMsg": "requestPayment:ok" })),
        Err(error) => refusal(402, &format!("{error:#}")),
    }
}

async fn session(body: Json<Value>, backend: Data<Backend>) -> HttpResponse {
    passed_on(backend.client.buyer_post("/sessions", None, &body).await)
}

async fn payment(request: HttpRequest, number: Path<String>, backend: Data<Backend>) -> HttpResponse {
    match safe(&number) {
        Ok(number) => passed_on(backend.client.buyer_get(&format!("/payments/{number}"), token(&request)).await),
        Err(refused) => refused,
    }
}

async fn invoke(request: HttpRequest, number: Path<String>, backend: Data<Backend>) -> HttpResponse {
    send(&request, &number, "invoke", &json!({}), &backend).await
}

async fn ask_for_refund(
    request: HttpRequest,
    number: Path<String>,
    body: Json<Value>,
    backend: Data<Backend>,
) -> HttpResponse {
    send(&request, &number, "refund-requests", &body, &backend).await
}

async fn send(request: &HttpRequest, number: &str, what: &str, body: &Value, backend: &Backend) -> HttpResponse {
    let path = match safe(number) {
        Ok(number) => format!("/payments/{number}/{what}"),
        Err(refused) => return refused,
    };
    passed_on(backend.client.buyer_post(&path, token(request), body).await)
}

/// The session's token as the page sent it.
fn token(request: &HttpRequest) -> Option<&str> {
    request.headers().get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

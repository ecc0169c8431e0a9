//! The control API under `/_sandbox`: what a test or a person does to the platform. JSON in, JSON out.

mod access_tokens;
mod manage;
mod money;
mod notices;
mod paying;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError, web};
use serde::de::DeserializeOwned;
use serde_json::json;

pub use paying::{BAD_SIGNATURE, Pay, is_timestamp, pay, wanted};

pub fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::scope("/_sandbox")
            .route("/state", web::get().to(manage::state))
            .route("/reset", web::post().to(manage::reset))
            .route("/merchants", web::post().to(manage::add_merchant))
            .route("/codes", web::post().to(manage::add_code))
            .route("/access-tokens/{app_id}", web::get().to(access_tokens::look))
            .route("/access-tokens/{app_id}", web::post().to(access_tokens::change))
            .route("/policy", web::get().to(manage::policy))
            .route("/policy", web::post().to(manage::change_policy))
            .route("/faults", web::get().to(manage::faults))
            .route("/faults", web::post().to(manage::add_fault))
            .route("/faults", web::delete().to(manage::clear_faults))
            .route("/clock", web::get().to(manage::clock))
            .route("/clock", web::post().to(manage::move_clock))
            .route("/journal", web::get().to(manage::journal))
            .route("/orders", web::get().to(money::orders))
            .route("/client-pay", web::post().to(money::client_pay))
            .service(
                web::scope("/orders/{mch_id}/{out_trade_no}")
                    .route("", web::get().to(money::order))
                    .route("/pay", web::post().to(money::pay_order))
                    .route("/fail", web::post().to(money::fail))
                    .route("/close", web::post().to(money::close))
                    .route("/notify", web::post().to(notices::notify))
                    .route("/refunds/{out_refund_no}/settle", web::post().to(money::settle)),
            )
            .route("/notifies", web::get().to(notices::queue))
            .route("/notify-raw", web::post().to(notices::notify_raw))
            .route("/sign", web::post().to(notices::sign_only))
            .route("/encrypt-refund", web::post().to(notices::encrypt_refund))
            .route("/decrypt-refund", web::post().to(notices::decrypt_refund))
            .configure(crate::wechat_v3::control_routes)
            .configure(crate::phone::routes),
    );
}

/// Why a control call was not done.
#[derive(Debug)]
pub struct Refusal {
    status: StatusCode,
    text: String,
}

impl Refusal {
    pub fn bad(text: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, text: text.into() }
    }

    pub fn unknown(text: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, text: text.into() }
    }

    pub fn conflict(text: impl Into<String>) -> Self {
        Self { status: StatusCode::CONFLICT, text: text.into() }
    }

    pub fn failed(text: impl Into<String>) -> Self {
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, text: text.into() }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::build(self.status).json(json!({ "error": self.text }))
    }
}

/// What every control call answers.
pub type Answer = Result<HttpResponse, Refusal>;

/// Reads a body whatever its content type; an empty one is an empty object.
pub fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    let body = if body.iter().all(u8::is_ascii_whitespace) { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| Refusal::bad(format!("the body is not what this call takes: {error}")))
}

//! The handlers: from a request to a use case and back.

pub mod access_tokens;
pub mod admin;
pub mod deliveries;
mod event_stream;
pub mod events;
pub mod notify;
pub mod payments;
pub mod plugins;
pub mod refund_requests;
pub mod refunds;
pub mod sessions;

use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use dukou_domain::{OutRefundNo, OutTradeNo};

use crate::problem::Problem;

/// Keeps an answer that holds a secret out of caches.
fn no_store(response: &mut HttpResponse) {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

/// The payment that the address names. A number that cannot be one is not found.
fn out_trade_no(request: &HttpRequest) -> Result<OutTradeNo, Problem> {
    let number = request.match_info().get("out_trade_no").unwrap_or_default();
    OutTradeNo::new(number).map_err(|_| Problem::not_found("payment"))
}

/// The refund that the address names, likewise.
fn out_refund_no(request: &HttpRequest) -> Result<OutRefundNo, Problem> {
    let number = request.match_info().get("out_refund_no").unwrap_or_default();
    OutRefundNo::new(number).map_err(|_| Problem::not_found("refund"))
}

//! `HEAD`: what `GET` answers, without its body.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use bytes::Bytes;

/// Whether a `GET` address answers `HEAD` too. A callback does not: coming there has an effect (a code of OAuth works
/// once), and those who look an address over first would use it up.
pub fn is_answered(path: &str) -> bool {
    !path.starts_with("/callback/")
}

/// Makes a `HEAD` the `GET` that is to be answered; whether it was one.
pub fn take(request: &mut ServiceRequest) -> bool {
    let is_head = *request.method() == Method::HEAD && is_answered(request.path());
    if is_head {
        request.head_mut().method = Method::GET;
    }
    is_head
}

/// Leaves status and headers. The body is dropped unread: a live stream has no end.
pub fn without_body(response: ServiceResponse<BoxBody>) -> ServiceResponse<BoxBody> {
    response.map_body(|_, body| BoxBody::new(Announced(body.size())))
}

/// A body whose length is told and which does not come.
struct Announced(BodySize);

impl MessageBody for Announced {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        self.0
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Poll::Ready(None)
    }
}

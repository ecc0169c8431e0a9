//! The control API of the v3 side: keys and their rotation, notifications sent by hand, documents only written.

mod notices;
mod trust;

use actix_web::web;

pub use notices::notify_order;

/// Routes under `/_sandbox`.
pub fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::scope("/v3")
            .route("/trust", web::get().to(trust::shown))
            .route("/trust", web::post().to(trust::change))
            .route("/certificates", web::post().to(trust::add_certificate))
            .route("/certificates/{serial}", web::post().to(trust::change_certificate))
            .route("/notify-raw", web::post().to(notices::notify_raw))
            .route("/sign", web::post().to(notices::sign_only))
            .route("/encrypt", web::post().to(notices::encrypt))
            .route("/decrypt", web::post().to(notices::decrypt)),
    );
}

//! The control API under `/_sandbox/douyin`: what a test or a person does to Douyin. JSON in, JSON out.

mod manage;
mod opening;
mod people;
mod webhooks;

use actix_web::web;

pub use people::{Allowed, Consent, authorize};

pub fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/state", web::get().to(manage::state))
        .route("/apps", web::post().to(manage::add_app))
        .route("/apps/{client_key}/webhook", web::post().to(webhooks::register))
        .route("/apps/{client_key}/webhook", web::delete().to(webhooks::unregister))
        .route("/apps/{client_key}/expire", web::post().to(manage::expire))
        .route("/policy", web::get().to(manage::policy))
        .route("/policy", web::post().to(manage::change_policy))
        .route("/faults", web::get().to(manage::faults))
        .route("/faults", web::post().to(manage::add_fault))
        .route("/faults", web::delete().to(manage::clear_faults))
        .route("/open", web::post().to(opening::open))
        .route("/publish", web::post().to(opening::publish))
        .route("/shares", web::get().to(opening::shares))
        .route("/openings", web::get().to(opening::openings))
        .route("/works", web::get().to(opening::works))
        .route("/authorize", web::post().to(people::authorize_call))
        .route("/withdraw", web::post().to(people::withdraw))
        .route("/grants", web::get().to(people::grants))
        .route("/webhooks", web::get().to(webhooks::queue))
        .route("/webhooks", web::post().to(webhooks::send))
        .route("/webhooks/raw", web::post().to(webhooks::raw))
        .route("/webhooks/{id}/repeat", web::post().to(webhooks::repeat));
}

//! The operator's console: pages on the admin listener, behind the admin token.
//!
//! Written on the server and whole without JavaScript; a script of ours only exchanges what changed.
//! Everything shown is read through the engine. `pages` holds one page a file, `session` lets people
//! in, `texts` says everything in both languages.

mod amounts;
mod answer;
mod ended;
mod figures;
mod live;
mod moments;
mod pages;
mod session;
mod texts;
mod visitor;

use std::sync::Arc;

use actix_web::web::{self, Data, ServiceConfig};
use dukou_domain::{InvalidId, Secret};
use dukou_engine::Engine;
use dukou_http::{AdminToken, Readiness};
use tokio::sync::watch;

use ended::Ended;
use figures::Figures;
use live::Live;
use session::Sessions;

/// What the console works with.
pub struct Console {
    engine: Arc<Engine>,
    readiness: Arc<dyn Readiness>,
    sessions: Sessions,
    ended: Ended,
    figures: Figures,
    live: Live,
}

impl Console {
    /// `secret` is a key that the store made once and keeps: sessions live through a restart, and over all
    /// instances. `metrics` gives what a scrape gets.
    ///
    /// # Errors
    /// Never, as long as the console's name is a legal one.
    pub fn new(
        engine: Arc<Engine>,
        readiness: Arc<dyn Readiness>,
        token: AdminToken,
        secret: &Secret,
        metrics: Arc<dyn Fn() -> String + Send + Sync>,
    ) -> Result<Self, InvalidId> {
        let live = Live::new(engine.store().watch());
        let (sessions, ended) = (Sessions::new(token, secret), Ended::new()?);
        Ok(Console { engine, readiness, sessions, ended, figures: Figures::new(metrics), live })
    }

    /// Keeps the charts fed until it is told to stop.
    pub async fn watch(self: Arc<Self>, stopping: watch::Receiver<bool>) {
        self.figures.sample(stopping).await;
    }

    /// Ends the live streams, now and later.
    pub fn end_streams(&self) {
        self.live.stop();
    }
}

/// Adds the console's addresses to the admin listener.
pub fn configure(config: &mut ServiceConfig, console: &Arc<Console>) {
    config
        .app_data(Data::from(Arc::clone(console)))
        .route("/console/style.css", web::get().to(answer::style))
        .route("/console/icon.svg", web::get().to(answer::icon))
        .route("/console/console.js", web::get().to(answer::script))
        .route("/console/login", web::get().to(pages::login::show))
        .route("/console/login", web::post().to(pages::login::enter))
        .route("/console/logout", web::post().to(pages::login::leave))
        .route("/console/language", web::post().to(pages::login::language))
        .route("/console/live", web::get().to(live::stream))
        .route("/console", web::get().to(pages::overview::show))
        .route("/console/payments", web::get().to(pages::payments::list))
        .route("/console/payments/{tenant}/{out_trade_no}", web::get().to(pages::payment::show))
        .route("/console/requests", web::get().to(pages::requests::list))
        .route("/console/requests/{tenant}/{id}/{decision}", web::get().to(pages::requests::ask))
        .route("/console/requests/{tenant}/{id}/{decision}", web::post().to(pages::requests::decide))
        .route("/console/deliveries", web::get().to(pages::deliveries::list))
        .route("/console/deliveries/{tenant}/{id}/retry", web::post().to(pages::deliveries::retry))
        .route("/console/health", web::get().to(pages::health::show))
        .route("/console/tenants", web::get().to(pages::tenants::show))
        .route("/console/tenants/{tenant}/webhook/enable", web::post().to(pages::tenants::enable));
}

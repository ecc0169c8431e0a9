//! What a gateway answers that has no store yet: that it lives, what it waits for, and to everybody
//! else to come again.

use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::dev::Server;
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

use crate::answer::Answer;
use crate::gateway::HttpConfig;
use crate::problem::Problem;
use crate::routes::admin::{ReadyCheck, ReadyReport, ReadyStatus, health};
use crate::server::serve_plain;

/// What the gateway waits for, as it is found out.
#[derive(Clone, Default)]
pub struct WaitingFor(Arc<Mutex<String>>);

impl WaitingFor {
    pub fn set(&self, why: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    fn report(&self) -> ReadyReport {
        let detail = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (status, detail_zh) = (ReadyStatus::Unready, detail.clone());
        let store = ReadyCheck { name: "store".to_owned(), status, detail, detail_zh };
        ReadyReport::new(vec![store], false)
    }
}

/// Serves the public listener: 503 for everything.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve_public_waiting(listener: TcpListener, limits: HttpConfig) -> io::Result<Server> {
    serve_plain(listener, limits, |routes: &mut ServiceConfig| {
        routes.default_service(web::to(unavailable));
    })
}

/// Serves the admin listener: the probes as ever, 503 for everything else.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve_admin_waiting(listener: TcpListener, limits: HttpConfig, waiting: WaitingFor) -> io::Result<Server> {
    serve_plain(listener, limits, move |routes: &mut ServiceConfig| {
        routes
            .app_data(Data::new(waiting.clone()))
            .route("/healthz", web::get().to(health))
            .route("/readyz", web::get().to(ready))
            .default_service(web::to(unavailable));
    })
}

async fn unavailable(_: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(Problem::unavailable())
}

async fn ready(waiting: Data<WaitingFor>) -> Result<HttpResponse, Problem> {
    let report = waiting.report();
    Ok(Answer::json(report.http_status(), &report)?.response())
}

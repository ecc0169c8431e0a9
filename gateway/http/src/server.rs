//! The two listeners, with their limits.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::middleware::from_fn;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{App, HttpServer};

use crate::endpoints::{self, ADMIN, PUBLIC};
use crate::gateway::{Gateway, HttpConfig};
use crate::middleware::{Edge, around};
use crate::routes::admin::AdminState;

/// How long a connection that is being ended may still send what nobody reads.
const LINGER: Duration = Duration::from_secs(2);
/// Threads of the admin listener.
const ADMIN_WORKERS: usize = 1;
const ADMIN_CONNECTIONS: usize = 256;

// A macro because the server's type cannot be named.
macro_rules! limited {
    ($server:expr, $config:expr, $workers:expr, $connections:expr) => {
        $server
            .workers($workers)
            .max_connections($connections)
            .client_request_timeout($config.header_read_timeout)
            .client_disconnect_timeout(LINGER)
            .keep_alive($config.keep_alive)
            .shutdown_timeout($config.shutdown_timeout.as_secs())
            .disable_signals()
    };
}

/// All routes of the public listener.
pub fn public_routes(config: &mut ServiceConfig, gateway: Data<Gateway>) {
    config.app_data(gateway);
    endpoints::configure(config, PUBLIC);
}

/// All routes of the admin listener. None of them needs a token.
pub fn admin_routes(config: &mut ServiceConfig, state: Data<AdminState>) {
    config.app_data(state);
    endpoints::configure(config, ADMIN);
}

/// Serves the public interface: HTTP/1.1, every part of a request limited in bytes and in time.
/// The server runs when it is awaited and ends when its handle is stopped; it takes no signals.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve_public(listener: TcpListener, gateway: Data<Gateway>) -> io::Result<Server> {
    let config = gateway.config.clone();
    let edge = Data::new(Edge { telemetry: Some(Arc::clone(&gateway.telemetry)) });
    let workers = config.workers.max(1);
    let server = HttpServer::new(move || {
        let gateway = gateway.clone();
        App::new().app_data(edge.clone()).wrap(from_fn(around)).configure(move |routes| public_routes(routes, gateway))
    });
    Ok(limited!(server, config, workers, (config.max_connections / workers).max(1)).listen(listener)?.run())
}

/// Serves metrics and probes. As [`serve_public`] otherwise.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve_admin(listener: TcpListener, config: &HttpConfig, state: Data<AdminState>) -> io::Result<Server> {
    let edge = Data::new(Edge { telemetry: None });
    let server = HttpServer::new(move || {
        let state = state.clone();
        App::new().app_data(edge.clone()).wrap(from_fn(around)).configure(move |routes| admin_routes(routes, state))
    });
    Ok(limited!(server, config, ADMIN_WORKERS, ADMIN_CONNECTIONS).listen(listener)?.run())
}

//! The two listeners, with their limits.

use std::future::ready;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, KeepAlive, Protocol};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::App;
use actix_web::dev::{AppConfig, Extensions, Server};
use actix_web::middleware::from_fn;
use actix_web::rt::net::TcpStream;
use actix_web::web::{Data, ServiceConfig};

use crate::connection::{Connection, Patience};
use crate::endpoints::{self, ADMIN};
use crate::gateway::{Gateway, HttpConfig};
use crate::middleware::{Edge, around};
use crate::routes::admin::AdminState;
use crate::store_trouble::StoreTrouble;

/// How long a connection that is being ended may still send what nobody reads.
const LINGER: Duration = Duration::from_secs(1);
/// Threads of the admin listener.
const ADMIN_WORKERS: usize = 1;
const ADMIN_CONNECTIONS: usize = 256;

/// All routes of the public listener.
pub fn public_routes(config: &mut ServiceConfig, gateway: Data<Gateway>) {
    config.app_data(Data::new(gateway.document.clone()));
    endpoints::configure(config, &gateway.endpoints);
    config.app_data(gateway);
}

/// All routes of the admin listener. What a probe or Prometheus asks for needs no token.
pub fn admin_routes(config: &mut ServiceConfig, state: Data<AdminState>) {
    config.app_data(Data::new(state.document.clone()));
    config.app_data(Data::new(state.token.clone()));
    config.app_data(state);
    endpoints::configure(config, ADMIN);
}

/// Serves an application over HTTP/1.1 within the limits. A macro because the type of an
/// application cannot be named.
macro_rules! serve {
    ($listener:expr, $limits:expr, $workers:expr, $connections:expr, $app:expr) => {{
        let (listener, limits, app): (TcpListener, HttpConfig, _) = ($listener, $limits, $app);
        let address = listener.local_addr()?;
        let server = Server::build()
            .workers($workers)
            .max_concurrent_connections($connections)
            .shutdown_timeout(limits.shutdown_timeout.as_secs())
            .disable_signals();
        let stopping = server.graceful_shutdown_signal();
        let patience =
            Patience { head: limits.header_read_timeout, idle: limits.keep_alive, stall: limits.stall_timeout };
        let server = server.listen("http", listener, move || {
            let stopping = stopping.clone();
            let http = HttpService::build()
                // The connection itself knows how long it waits.
                .keep_alive(KeepAlive::Os)
                .client_request_timeout(Duration::ZERO)
                .client_disconnect_timeout(LINGER)
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .local_addr(address)
                .on_connect_ext(|connection: &Connection, data: &mut Extensions| {
                    data.insert(connection.activity());
                })
                .finish(map_config(app().into_factory(), |()| AppConfig::default()));
            fn_service(move |stream: TcpStream| {
                let peer = stream.peer_addr().ok();
                // Answers are small and waited for; without this they may be held back.
                let _ = stream.set_nodelay(true);
                ready(Ok((Connection::new(stream, patience), Protocol::Http1, peer)))
            })
            .and_then(http)
        })?;
        Ok(server.run())
    }};
}

/// Serves the public interface: HTTP/1.1, every part of a request limited in bytes and in time.
/// The server runs when it is awaited and ends when its handle is stopped; it takes no signals.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve_public(listener: TcpListener, gateway: Data<Gateway>) -> io::Result<Server> {
    let limits = gateway.config.clone();
    let endpoints = Arc::clone(&gateway.endpoints);
    let edge = Data::new(Edge {
        telemetry: Some(Arc::clone(&gateway.telemetry)),
        endpoints,
        store_trouble: StoreTrouble::default(),
    });
    let workers = limits.workers.max(1);
    let connections = (limits.max_connections / workers).max(1);
    serve!(listener, limits, workers, connections, move || {
        let gateway = gateway.clone();
        App::new().app_data(edge.clone()).wrap(from_fn(around)).configure(move |routes| public_routes(routes, gateway))
    })
}

/// Serves metrics, probes, the admin API and what `more` adds; otherwise as [`serve_public`].
///
/// # Errors
/// When the listener cannot be used.
pub fn serve_admin(
    listener: TcpListener,
    limits: HttpConfig,
    state: Data<AdminState>,
    more: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
) -> io::Result<Server> {
    let edge = Data::new(Edge { telemetry: None, endpoints: ADMIN.into(), store_trouble: StoreTrouble::default() });
    serve!(listener, limits, ADMIN_WORKERS, ADMIN_CONNECTIONS, move || {
        let (state, more) = (state.clone(), more.clone());
        App::new()
            .app_data(edge.clone())
            .wrap(from_fn(around))
            .configure(move |routes| admin_routes(routes, state))
            .configure(more)
    })
}

/// Serves a few routes of their own on one thread; otherwise as [`serve_public`].
pub(crate) fn serve_plain(
    listener: TcpListener,
    limits: HttpConfig,
    routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
) -> io::Result<Server> {
    let edge = Data::new(Edge { telemetry: None, endpoints: Arc::default(), store_trouble: StoreTrouble::default() });
    serve!(listener, limits, ADMIN_WORKERS, ADMIN_CONNECTIONS, move || {
        App::new().app_data(edge.clone()).wrap(from_fn(around)).configure(routes.clone())
    })
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;

//! The two listeners and the thread they run on.

use std::any::Any;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_tls::accept::rustls_0_23::TlsStream;
use actix_web::dev::{Extensions, ServerHandle};
use actix_web::rt::net::TcpStream;
use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::{Context, Result, anyhow};

use crate::certs::Authority;
use crate::douyin::{Douyin, Webhooks};
use crate::notify::{self, Notifier};
use crate::wechat_v3::V3;
use crate::world::World;
use crate::{control, douyin, phone, platform, wechat_v3};

/// Bytes of one request's body.
const MAX_BODY: usize = 1024 * 1024;
const WORKERS: usize = 2;
/// Longer than any client keeps an idle connection, so that a reused one is not closed under a request.
const KEEP_ALIVE: Duration = Duration::from_secs(120);

/// The client certificate of a connection, as bytes.
#[derive(Clone)]
pub struct PeerCertificate(pub Vec<u8>);

fn remember_certificate(connection: &dyn Any, data: &mut Extensions) {
    if let Some(stream) = connection.downcast_ref::<TlsStream<TcpStream>>()
        && let Some([certificate, ..]) = stream.get_ref().1.peer_certificates()
    {
        data.insert(PeerCertificate(certificate.to_vec()));
    }
}

/// A running server; dropping it stops the server and waits for its thread.
pub struct Running {
    pub https: SocketAddr,
    pub http: SocketAddr,
    pub world: Arc<World>,
    handle: ServerHandle,
    thread: Option<JoinHandle<()>>,
}

/// What the server's thread reports once it listens.
struct Listening {
    https: SocketAddr,
    http: SocketAddr,
    world: Arc<World>,
    handle: ServerHandle,
}

pub struct Settings {
    pub https: SocketAddr,
    pub http: SocketAddr,
    pub any_http_port: bool,
    pub directory: Option<PathBuf>,
    pub notify_time_limit: Duration,
    pub trust: Vec<Vec<u8>>,
}

/// Listens, and serves on a thread of its own until dropped.
pub fn start(settings: Settings) -> Result<Running> {
    let (report, reported) = mpsc::channel();
    let thread = std::thread::Builder::new().name("sandbox".to_owned()).spawn(move || serve(&settings, &report))?;
    let listening = reported.recv().map_err(|_| anyhow!("the server's thread ended before it listened"))??;
    let Listening { https, http, world, handle } = listening;
    Ok(Running { https, http, world, handle, thread: Some(thread) })
}

fn serve(settings: &Settings, report: &mpsc::Sender<Result<Listening>>) {
    let sender = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("sandbox-notify")
        .enable_all()
        .build();
    let sender = match sender.context("the notifier's runtime") {
        Ok(sender) => sender,
        Err(error) => {
            let _ = report.send(Err(error));
            return;
        }
    };
    let system = actix_web::rt::System::new();
    system.block_on(async {
        match listen(settings, sender.handle()) {
            Err(error) => {
                let _ = report.send(Err(error));
            }
            Ok((server, listening)) => {
                Notifier::start(Arc::clone(&listening.world));
                Webhooks::start(Arc::clone(&listening.world));
                let _ = report.send(Ok(listening));
                if let Err(error) = server.await {
                    tracing::error!(%error, "the server stopped");
                }
            }
        }
    });
    sender.shutdown_background();
}

fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn is_taken(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::AddrInUse)
}

fn listen(settings: &Settings, runtime: &tokio::runtime::Handle) -> Result<(actix_web::dev::Server, Listening)> {
    let client = notify::client(&settings.trust)?;
    let notifier = Notifier::new(client.clone(), runtime.clone(), settings.notify_time_limit);
    let douyin = Douyin::new(Webhooks::new(client, runtime.clone(), settings.notify_time_limit));
    let authority = match &settings.directory {
        Some(directory) => Authority::kept_in(directory)?,
        None => Authority::new()?,
    };
    let world = Arc::new(World::new(authority, notifier, douyin, V3::new(settings.directory.clone())));
    let tls = world.authority.server_config(settings.https.ip())?;
    let (https, https_address) = bind(settings.https)?;
    let (http, http_address) = match bind(settings.http) {
        Err(error) if settings.any_http_port && is_taken(&error) => bind(SocketAddr::new(settings.http.ip(), 0))?,
        bound => bound?,
    };
    let data = web::Data::from(Arc::clone(&world));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .app_data(web::PayloadConfig::new(MAX_BODY))
            .configure(platform::routes)
            .configure(douyin::routes)
            .configure(wechat_v3::routes)
            .configure(control::routes)
            .configure(phone::pages)
            .default_service(web::to(|| async {
                HttpResponse::NotFound().content_type("text/html").body("404 Not Found")
            }))
    })
    .workers(WORKERS)
    .keep_alive(KEEP_ALIVE)
    .disable_signals()
    .shutdown_timeout(1)
    .on_connect(remember_certificate)
    .listen_rustls_0_23(https, tls)?
    .listen(http)?
    .run();
    let handle = server.handle();
    Ok((server, Listening { https: https_address, http: http_address, world, handle }))
}

impl Drop for Running {
    fn drop(&mut self) {
        // The command is sent by the call itself; the future only waits for the end, as the join does.
        drop(self.handle.stop(false));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

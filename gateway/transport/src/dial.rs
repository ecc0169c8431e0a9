//! Opens a connection: the name, TCP and TLS, all within one limit.

use std::error::Error;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::guard::GuardedResolver;

/// A connection that nobody can use any more is found out after about a minute of silence.
const PROBE: Duration = Duration::from_secs(15);
const PROBES: u32 = 3;

type BoxError = Box<dyn Error + Send + Sync>;
type Boxed<T> = Pin<Box<dyn Future<Output = Result<T, BoxError>> + Send>>;

#[derive(Clone)]
pub(crate) struct Dialler {
    inner: HttpsConnector<HttpConnector<Names>>,
    limit: Duration,
}

impl Dialler {
    pub(crate) fn new(tls: rustls::ClientConfig, limit: Duration, resolver: Option<GuardedResolver>) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Names(resolver));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limit));
        tcp.set_keepalive(Some(PROBE));
        tcp.set_keepalive_interval(Some(PROBE));
        tcp.set_keepalive_retries(Some(PROBES));
        Dialler { inner: HttpsConnector::from((tcp, tls)), limit }
    }
}

impl Service<Uri> for Dialler {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = BoxError;
    type Future = Boxed<Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (dialled, limit) = (self.inner.call(to), self.limit);
        Box::pin(async move {
            let late = |_| io::Error::new(io::ErrorKind::TimedOut, "no connection in time");
            tokio::time::timeout(limit, dialled).await.map_err(late)?
        })
    }
}

/// Finds the addresses of names, guarded or as the machine does.
#[derive(Clone)]
pub(crate) struct Names(Option<GuardedResolver>);

impl Service<Name> for Names {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Boxed<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let (name, guarded) = (name.as_str().to_owned(), self.0.clone());
        Box::pin(async move {
            let found = match guarded {
                Some(guarded) => guarded.resolve(name).await?,
                None => tokio::net::lookup_host((name, 0)).await?.collect(),
            };
            Ok(found.into_iter())
        })
    }
}

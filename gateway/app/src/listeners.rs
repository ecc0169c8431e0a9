//! The sockets that the gateway listens on, and the servers that run on them.

use std::net::{SocketAddr, TcpListener};

use actix_web::dev::{Server, ServerHandle};
use anyhow::Context as _;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Listens; the connections wait until the server takes them.
pub fn listen(address: SocketAddr, key: &str) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let open = || {
        let socket = match address {
            SocketAddr::V4(_) => tokio::net::TcpSocket::new_v4()?,
            SocketAddr::V6(_) => tokio::net::TcpSocket::new_v6()?,
        };
        // A restart must not wait for the old connections' last packets.
        #[cfg(unix)]
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?.into_std()?;
        let address = listener.local_addr()?;
        std::io::Result::Ok((listener, address))
    };
    open().with_context(|| format!("cannot listen on {address} ({key})"))
}

/// Lets a server run beside everything else.
pub fn run(server: Server) -> ServerHandle {
    let handle = server.handle();
    tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "a listener ended");
        }
    });
    handle
}

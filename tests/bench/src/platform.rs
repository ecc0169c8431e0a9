//! The payment platform, reduced to one answer: it takes any order and signs a `prepay_id`.
//!
//! Plain HTTP on loopback, a thread of its own, and a delay that can be set, so that what the
//! gateway adds to a platform's time can be told apart from it.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::interface::Interface;
use crate::load::Latencies;

const REQUEST_LIMIT: usize = 64 * 1024;

pub struct Platform {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    /// Dropped, it ends the thread.
    _stop: tokio::sync::oneshot::Sender<()>,
}

struct Shared {
    interface: Interface,
    delay_millis: AtomicU64,
    answered: AtomicU64,
    /// From the whole request to the written answer.
    times: Mutex<Latencies>,
}

impl Platform {
    pub fn start(interface: Interface) -> Result<Platform> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            interface,
            delay_millis: AtomicU64::default(),
            answered: AtomicU64::default(),
            times: Mutex::default(),
        });
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let serving = Arc::clone(&shared);
        std::thread::Builder::new().name("platform".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    result = serve(listener, serving) => if let Err(error) = result {
                        eprintln!("the platform stub ended: {error}");
                    }
                }
            });
        })?;
        Ok(Platform { address, shared, _stop: stop })
    }

    pub fn interface(&self) -> &Interface {
        &self.shared.interface
    }

    /// How long every answer is held back from now on.
    pub fn set_delay(&self, delay: Duration) {
        self.shared.delay_millis.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How many orders came, ever.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// The times of the answers since the last call.
    pub fn take_times(&self) -> Latencies {
        std::mem::take(&mut *self.shared.times.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // The gateway closed the connection, or sent what it never sends: it sees the end.
            let _ = talk(stream, &shared).await;
        });
    }
}

async fn talk(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    let mut received = Vec::with_capacity(4096);
    while let Some(is_order) = request(&mut stream, &mut received, shared.interface.order_line()).await? {
        let from = Instant::now();
        if !is_order {
            stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await?;
            continue;
        }
        let number = shared.answered.fetch_add(1, Ordering::Relaxed);
        let delay = shared.delay_millis.load(Ordering::Relaxed);
        if delay > 0 {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        let answer = shared.interface.accepted(number).map_err(io::Error::other)?;
        stream.write_all(&answer).await?;
        shared.times.lock().unwrap_or_else(PoisonError::into_inner).record(from.elapsed());
    }
    Ok(())
}

/// Reads one request; whether it is an order. `None` at the end of the connection.
async fn request(stream: &mut TcpStream, received: &mut Vec<u8>, order_line: &str) -> io::Result<Option<bool>> {
    received.clear();
    loop {
        if stream.read_buf(received).await? == 0 {
            return Ok(None);
        }
        if let Some((length, is_order)) = whole(received, order_line)
            && received.len() >= length
        {
            return Ok(Some(is_order));
        }
        if received.len() > REQUEST_LIMIT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the request is too long"));
        }
    }
}

/// The request's length in bytes once its head is there, and whether it is an order.
fn whole(received: &[u8], order_line: &str) -> Option<(usize, bool)> {
    let end = received.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&received[..end]).ok()?;
    let body = head.split("\r\n").filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
        if name.eq_ignore_ascii_case("content-length") { value.trim().parse::<usize>().ok() } else { None }
    });
    Some((end + 4 + body.unwrap_or(0), head.starts_with(order_line)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_end_where_their_length_says() {
        let order = b"POST /pay/unifiedorder HTTP/1.1\r\nContent-Length: 3\r\n\r\n<x>";
        let line = Interface::V2.order_line();
        assert_eq!(whole(order, line), Some((order.len(), true)));
        assert_eq!(whole(&order[..40], line), None);
        let query = b"POST /pay/orderquery HTTP/1.1\r\n\r\n";
        assert_eq!(whole(query, line), Some((query.len(), false)));
    }
}

//! Merchants' endpoints: well ones that take everything at once, and a dead one that takes connections
//! and never answers. Plain HTTP on loopback, on a thread of their own.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const REQUEST_LIMIT: usize = 64 * 1024;
const PATH: &str = "POST /well ";

pub struct Sink {
    pub address: SocketAddr,
    got: Arc<Mutex<Got>>,
    /// Dropped, it ends the thread.
    _stop: tokio::sync::oneshot::Sender<()>,
}

/// What the well endpoints took.
#[derive(Default)]
struct Got {
    messages: HashSet<Vec<u8>>,
    repeated: usize,
    first: Option<Instant>,
    last: Option<Instant>,
}

impl Sink {
    pub fn start() -> Result<Sink> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").context("cannot listen on loopback")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let got = Arc::new(Mutex::new(Got::default()));
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let taking = Arc::clone(&got);
        std::thread::Builder::new().name("sink".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    result = serve(listener, taking) => if let Err(error) = result {
                        eprintln!("the sink ended: {error}");
                    }
                }
            });
        })?;
        Ok(Sink { address, got, _stop: stop })
    }

    pub fn well(&self) -> String {
        format!("http://{}/well", self.address)
    }

    pub fn dead(&self) -> String {
        format!("http://{}/dead", self.address)
    }

    /// Waits until `count` different messages came; how long that took from the first to the last.
    ///
    /// # Errors
    /// When they did not come within `patience`, or one came twice.
    pub fn wait(&self, count: usize, patience: Duration) -> Result<Duration> {
        let deadline = Instant::now() + patience;
        loop {
            {
                let got = self.got();
                ensure!(got.repeated == 0, "{} messages came twice", got.repeated);
                if got.messages.len() >= count {
                    let (first, last) = (got.first.context("no first")?, got.last.context("no last")?);
                    return Ok(last - first);
                }
                ensure!(Instant::now() < deadline, "{} of {count} came within {patience:?}", got.messages.len());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn got(&self) -> MutexGuard<'_, Got> {
        self.got.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn serve(listener: std::net::TcpListener, got: Arc<Mutex<Got>>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // Its end is the caller's business.
        tokio::spawn(talk(stream, Arc::clone(&got)));
    }
}

async fn talk(mut stream: TcpStream, got: Arc<Mutex<Got>>) -> io::Result<()> {
    let mut received = Vec::with_capacity(4096);
    while let Some(id) = request(&mut stream, &mut received).await? {
        let Some(id) = id else { return std::future::pending().await };
        {
            let now = Instant::now();
            let mut got = got.lock().unwrap_or_else(PoisonError::into_inner);
            got.first.get_or_insert(now);
            got.last = Some(now);
            if !got.messages.insert(id) {
                got.repeated += 1;
            }
        }
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
    }
    Ok(())
}

/// Reads one request; its message's id, none where the endpoint is the dead one. `None` at the end of the connection.
async fn request(stream: &mut TcpStream, received: &mut Vec<u8>) -> io::Result<Option<Option<Vec<u8>>>> {
    received.clear();
    loop {
        if stream.read_buf(received).await? == 0 {
            return Ok(None);
        }
        if let Some((length, id)) = whole(received)
            && received.len() >= length
        {
            return Ok(Some(id));
        }
        if received.len() > REQUEST_LIMIT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the request is too long"));
        }
    }
}

/// The request's length in bytes once its head is there, and its message's id where it is for a well endpoint.
fn whole(received: &[u8]) -> Option<(usize, Option<Vec<u8>>)> {
    let end = received.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&received[..end]).ok()?;
    let header = |wanted: &str| {
        let mut lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
        lines.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    let body: usize = header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let id = header("webhook-id").filter(|_| head.starts_with(PATH)).map(|id| id.as_bytes().to_vec());
    Some((end + 4 + body, id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_known_by_their_ids() {
        let message = b"POST /well HTTP/1.1\r\nWebhook-Id: evt_1\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(whole(message), Some((message.len(), Some(b"evt_1".to_vec()))));
        assert_eq!(whole(&message[..40]), None);
        let dead = b"POST /dead HTTP/1.1\r\nWebhook-Id: evt_1\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(whole(dead), Some((dead.len(), None)));
    }
}

//! The notify addresses: verifies each message with the provider, answers in the platform's form
//! and keeps what it learned.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use dukou_spi::{Notice, NotifyError, NotifyKind, Provider, RawNotify, Verdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

type Received = Result<Notice, NotifyError>;

pub struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    received: Mutex<Vec<Received>>,
    changed: Notify,
}

impl Receiver {
    pub fn start(provider: Arc<dyn Provider>) -> Receiver {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let kept = state.clone();
        tokio::spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let (provider, state) = (provider.clone(), kept.clone());
                tokio::spawn(async move { serve(stream, &*provider, &state).await });
            }
        });
        Receiver { address, state }
    }

    pub fn url(&self, kind: &str) -> String {
        format!("http://{}/notify/shop/subject/{kind}", self.address)
    }

    /// The messages so far, taken out.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.state.received.lock().unwrap())
    }

    /// Waits for the next message.
    pub async fn next(&self) -> Received {
        let waited = tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                let changed = self.state.changed.notified();
                {
                    let mut received = self.state.received.lock().unwrap();
                    if !received.is_empty() {
                        return received.remove(0);
                    }
                }
                changed.await;
            }
        });
        waited.await.expect("a message within ten seconds")
    }
}

async fn serve(mut stream: TcpStream, provider: &dyn Provider, state: &State) {
    while let Some((path, headers, body)) = read(&mut stream).await {
        let kind = if path.ends_with("/refund") { NotifyKind::Refund } else { NotifyKind::Payment };
        let received = provider.notify(&RawNotify { kind, headers, body }).await;
        let verdict = if received.is_ok() { Verdict::Accepted } else { Verdict::Rejected };
        let reply = provider.acknowledge(kind, verdict);
        state.received.lock().unwrap().push(received);
        state.changed.notify_one();
        let head = format!(
            "HTTP/1.1 {} OK\r\nContent-Type: {}\r\nContent-Length: {}\r\n\r\n",
            reply.status,
            reply.content_type,
            reply.body.len()
        );
        if stream.write_all(head.as_bytes()).await.is_err() || stream.write_all(&reply.body).await.is_err() {
            return;
        }
    }
}

/// One request: its path, headers and body. `None` at the connection's end.
async fn read(stream: &mut TcpStream) -> Option<(String, Vec<(String, String)>, Bytes)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
            let mut lines = head.lines();
            let path = lines.next()?.split(' ').nth(1)?.to_owned();
            let headers: Vec<(String, String)> = lines
                .filter_map(|line| line.split_once(':'))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
                .collect();
            let length = headers.iter().find(|(name, _)| name == "content-length")?.1.parse::<usize>().ok()?;
            if bytes.len() >= end + 4 + length {
                return Some((path, headers, Bytes::copy_from_slice(&bytes[end + 4..end + 4 + length])));
            }
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer).await {
            Ok(read) if read > 0 => bytes.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
}

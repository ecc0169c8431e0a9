//! Somebody who receives webhooks and keeps what came, headers and bytes.

use std::sync::{Arc, Mutex};

use serde_json::Value;
use sha1_smol::Sha1;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::kit::SECRET;
use crate::support::until;

/// One webhook as it came in.
#[derive(Clone, Debug)]
pub struct Received {
    head: String,
    pub body: Vec<u8>,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn is_signed_with(&self, secret: &str) -> bool {
        let mut digest = Sha1::from(secret);
        digest.update(&self.body);
        self.header("x-douyin-signature") == Some(digest.digest().to_string().as_str())
    }

    pub fn is_signed(&self) -> bool {
        self.is_signed_with(SECRET)
    }
}

/// Answers the nth (from 0) with a status and a body.
pub struct Hook {
    pub url: String,
    all: Arc<Mutex<Vec<Received>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Hook {
    /// Takes everything, and answers a challenge.
    pub async fn polite() -> Self {
        Self::start(|_, received| (200, received.json()["content"].to_string())).await
    }

    pub async fn start(answer: impl Fn(usize, &Received) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/callback", listener.local_addr().unwrap());
        let all = Arc::new(Mutex::new(Vec::new()));
        let (kept, answer) = (Arc::clone(&all), Arc::new(answer));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                tokio::spawn(async move {
                    let Some(received) = read(&mut stream).await else { return };
                    let number = {
                        let mut kept = kept.lock().unwrap();
                        kept.push(received.clone());
                        kept.len() - 1
                    };
                    let (status, text) = answer(number, &received);
                    let length = text.len();
                    let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
                    let _ = stream.write_all(format!("{head}{text}").as_bytes()).await;
                });
            }
        });
        Self { url, all, task }
    }

    pub fn count(&self) -> usize {
        self.all.lock().unwrap().len()
    }

    /// Waits for so many and gives them all.
    pub async fn wait(&self, count: usize) -> Vec<Received> {
        until(async || (self.count() >= count).then_some(())).await;
        self.all.lock().unwrap().clone()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    loop {
        let mut chunk = [0; 4096];
        let count = stream.read(&mut chunk).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&chunk[..count]);
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { continue };
        let received =
            Received { head: String::from_utf8_lossy(&bytes[..end]).into_owned(), body: bytes[end + 4..].to_vec() };
        if received.body.len() >= received.header("content-length")?.parse::<usize>().ok()? {
            return Some(received);
        }
    }
}

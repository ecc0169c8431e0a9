//! A merchant's endpoint that keeps what it got and answers as it is told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What it answers.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// This status and an empty body.
    Status(u16),
    /// Reads the request and says nothing, ever.
    Hang,
    /// Closes the connection instead of an answer.
    Hangup,
    /// A redirect to this address.
    Redirect(String),
    /// One `102 Processing` after the other, without end.
    Interim,
    /// 200 and a body without end.
    Endless,
    /// 200 and a body that stops in the middle.
    Stall,
}

/// A message as it came.
#[derive(Debug, Clone)]
pub struct Message {
    pub at: Instant,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Message {
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }
}

#[derive(Default)]
struct State {
    got: Vec<Message>,
    connections: usize,
}

pub struct Sink {
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    behaviour: Arc<Mutex<Behaviour>>,
    server: JoinHandle<()>,
}

impl Sink {
    pub async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State::default()));
        let behaviour = Arc::new(Mutex::new(behaviour));
        let (kept, told) = (Arc::clone(&state), Arc::clone(&behaviour));
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                kept.lock().unwrap().connections += 1;
                tokio::spawn(serve(stream, Arc::clone(&kept), Arc::clone(&told)));
            }
        });
        Sink { address, state, behaviour, server }
    }

    pub fn url(&self) -> String {
        format!("http://{}/dukou", self.address)
    }

    pub fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    pub fn got(&self) -> Vec<Message> {
        self.state.lock().unwrap().got.clone()
    }

    pub fn count(&self) -> usize {
        self.state.lock().unwrap().got.len()
    }

    pub fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Ends when the caller hangs up; a sink's answer may come too late for it.
async fn serve(stream: TcpStream, state: Arc<Mutex<State>>, behaviour: Arc<Mutex<Behaviour>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let message = read(&mut stream).await?;
        state.lock().unwrap().got.push(message);
        let behaviour = behaviour.lock().unwrap().clone();
        let head = match behaviour {
            Behaviour::Status(status) => format!("HTTP/1.1 {status} Said\r\ncontent-length: 0\r\n\r\n"),
            Behaviour::Hang => return std::future::pending().await,
            Behaviour::Hangup => return None,
            Behaviour::Redirect(to) => {
                format!("HTTP/1.1 307 Elsewhere\r\nlocation: {to}\r\ncontent-length: 0\r\n\r\n")
            }
            Behaviour::Interim => {
                let many = b"HTTP/1.1 102 Processing\r\n\r\n".repeat(1000);
                loop {
                    stream.write_all(&many).await.ok()?;
                }
            }
            Behaviour::Endless => {
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.ok()?;
                loop {
                    stream.write_all(&[b'x'; 8192]).await.ok()?;
                }
            }
            Behaviour::Stall => {
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345").await.ok()?;
                return std::future::pending().await;
            }
        };
        stream.write_all(head.as_bytes()).await.ok()?;
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Message> {
    let mut headers = HashMap::new();
    let mut line = String::new();
    if stream.read_line(&mut line).await.ok()? == 0 {
        return None;
    }
    assert!(line.starts_with("POST /dukou HTTP/1.1"), "{line}");
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    Some(Message { at: Instant::now(), headers, body })
}

//! A merchant's endpoint that keeps what it got and answers as it is told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What it answers.
#[derive(Debug, Clone)]
pub enum Behaviour {
    /// This status.
    Status(u16),
    /// 200, so much later.
    Slow(Duration),
    /// Nothing, ever.
    Hang,
    /// A redirect to this address.
    Redirect(String),
}

/// A message as it came.
#[derive(Debug, Clone)]
pub struct Message {
    pub at: SystemTime,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Message {
    /// The event's id.
    ///
    /// # Panics
    /// When the message has none.
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    /// # Panics
    /// When the body is something else.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The endpoint. Stops with the test's runtime.
pub struct Sink {
    pub address: SocketAddr,
    got: Arc<Mutex<Vec<Message>>>,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl Sink {
    /// # Panics
    /// When there is no port for it.
    pub async fn start(behaviour: Behaviour) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let sink = Sink { address, got: Arc::default(), behaviour: Arc::new(Mutex::new(behaviour)) };
        let (got, behaviour) = (Arc::clone(&sink.got), Arc::clone(&sink.behaviour));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&got), Arc::clone(&behaviour)));
            }
        });
        sink
    }

    /// Where it is called.
    pub fn url(&self) -> String {
        format!("http://{}/dukou", self.address)
    }

    /// Answers like this from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().unwrap() = behaviour;
    }

    /// Everything that came, oldest first.
    pub fn got(&self) -> Vec<Message> {
        self.got.lock().unwrap().clone()
    }

    /// How much came.
    pub fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }
}

/// Ends when the caller hangs up.
async fn serve(stream: TcpStream, got: Arc<Mutex<Vec<Message>>>, behaviour: Arc<Mutex<Behaviour>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let message = read(&mut stream).await?;
        got.lock().unwrap().push(message);
        let behaviour = behaviour.lock().unwrap().clone();
        let (status, location) = match behaviour {
            Behaviour::Status(status) => (status, String::new()),
            Behaviour::Slow(after) => {
                tokio::time::sleep(after).await;
                (200, String::new())
            }
            Behaviour::Hang => return std::future::pending().await,
            Behaviour::Redirect(to) => (307, format!("location: {to}\r\n")),
        };
        let head = format!("HTTP/1.1 {status} Said\r\n{location}content-length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).await.ok()?;
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Message> {
    let mut headers = HashMap::new();
    let mut line = String::new();
    if stream.read_line(&mut line).await.ok()? == 0 {
        return None;
    }
    loop {
        line.clear();
        stream.read_line(&mut line).await.ok()?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
            None => break,
        };
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    stream.read_exact(&mut body).await.ok()?;
    Some(Message { at: SystemTime::now(), headers, body })
}

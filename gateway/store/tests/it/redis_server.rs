//! A Redis of a test's own, and a way to it that can be disturbed.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use dukou_test_servers::free_port;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub struct RedisServer {
    child: Child,
    pub port: u16,
    folder: tempfile::TempDir,
}

impl RedisServer {
    pub async fn start() -> Self {
        // Somebody else may take a free port before the server does.
        for _ in 0..5 {
            if let Some(server) = Self::start_on(free_port()).await {
                return server;
            }
        }
        panic!("redis-server did not start");
    }

    pub async fn start_on(port: u16) -> Option<Self> {
        Self::start_with(port, tempfile::tempdir().unwrap(), &[]).await
    }

    /// In `folder`, where a server that was there before has left what it knows of its cluster.
    pub async fn start_with(port: u16, folder: tempfile::TempDir, more: &[&str]) -> Option<Self> {
        let child = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port", &port.to_string()])
            .args(more)
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is missing: apt-get install --yes redis-server");
        let mut server = RedisServer { child, port, folder };
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if server.child.try_wait().unwrap().is_some() {
                return None;
            }
            if server.command("PING").await.is_some_and(|answer| answer.starts_with("+PONG")) {
                return Some(server);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        None
    }

    /// The first piece of the answer to an inline command.
    pub async fn command(&self, text: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        stream.write_all(format!("{text}\r\n").as_bytes()).await.ok()?;
        let mut answer = vec![0; 16 * 1024];
        let length = stream.read(&mut answer).await.ok()?;
        Some(String::from_utf8_lossy(&answer[..length]).into_owned())
    }

    /// Ends it; what it wrote stays.
    pub fn end(mut self) -> (u16, tempfile::TempDir) {
        self.kill();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        (self.port, folder)
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        assert!(self.folder.path().exists());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Pass,
    /// Connections are taken, and nothing comes through.
    Hang,
    /// Every connection is closed.
    Cut,
}

/// Stands between a coordinator and its Redis.
pub struct Proxy {
    pub address: SocketAddr,
    mode: watch::Sender<Mode>,
}

impl Proxy {
    pub async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (mode, seen) = watch::channel(Mode::Pass);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, port, seen.clone()));
            }
        });
        Proxy { address, mode }
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

async fn carry(client: TcpStream, port: u16, mode: watch::Receiver<Mode>) {
    if *mode.borrow() == Mode::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::select! {
        () = pump(client_read, server_write, mode.clone()) => {}
        () = pump(server_read, client_write, mode) => {}
    }
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut mode: watch::Receiver<Mode>,
) {
    let mut buffer = vec![0; 16 * 1024];
    let mut cut = mode.clone();
    loop {
        let length = tokio::select! {
            read = from.read(&mut buffer) => read.unwrap_or(0),
            _ = cut.wait_for(|mode| *mode == Mode::Cut) => 0,
        };
        if length == 0 {
            return;
        }
        match mode.wait_for(|mode| *mode != Mode::Hang).await.map(|mode| *mode) {
            Ok(Mode::Pass) => {}
            Ok(Mode::Cut | Mode::Hang) | Err(_) => return,
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}

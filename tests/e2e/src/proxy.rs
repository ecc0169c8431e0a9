use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

/// Bytes read at once.
const CHUNK: usize = 16 * 1024;

/// What a [`Proxy`] does with what passes through it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Pass,
    /// Every chunk waits so long, each way.
    Delay(Duration),
    /// Connections are closed, new ones as soon as they are there.
    Cut,
    /// Connections are taken and stay open; nothing passes, either way, until the mode changes.
    Silent,
    /// Requests pass; answers do not until the mode changes.
    SilentAnswers,
    /// A request with these words arrives and its answer is lost: the connection is closed in its place. The words are
    /// looked for in each chunk by itself.
    CutAnswerTo(&'static str),
}

/// A TCP proxy in front of one address, on a thread of its own. What it does can be changed at any time, for open
/// connections too. It ends when dropped.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    target: Mutex<String>,
    mode: watch::Sender<Mode>,
    /// Counts the targets there were: connections to one that was given up end.
    moves: watch::Sender<u64>,
    connections: AtomicU64,
    open: AtomicU64,
}

impl Proxy {
    /// Listens on a free port of loopback; `target` is `host:port`.
    ///
    /// # Panics
    /// When it cannot listen.
    pub fn start(target: &str) -> Self {
        let shared = Arc::new(Shared {
            target: Mutex::new(target.to_owned()),
            mode: watch::Sender::new(Mode::Pass),
            moves: watch::Sender::new(0),
            connections: AtomicU64::new(0),
            open: AtomicU64::new(0),
        });
        let (stop, stopped) = oneshot::channel();
        let (report, reported) = mpsc::channel();
        let inside = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                let _ = report.send(listener.local_addr().unwrap());
                tokio::select! {
                    () = accept(listener, inside) => {}
                    _ = stopped => {}
                }
            });
        });
        let address = reported.recv().expect("the proxy's thread listens");
        Self { address, shared, stop: Some(stop), thread: Some(thread) }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn set(&self, mode: Mode) {
        self.shared.mode.send_replace(mode);
    }

    /// Where connections go from now on; those that are open end.
    pub fn set_target(&self, target: &str) {
        target.clone_into(&mut self.shared.target.lock().unwrap_or_else(PoisonError::into_inner));
        self.shared.moves.send_modify(|moves| *moves += 1);
    }

    /// Connections that are open.
    pub fn open(&self) -> u64 {
        self.shared.open.load(Ordering::Acquire)
    }

    /// Connections taken so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok((client, _)) = listener.accept().await else { return };
        shared.connections.fetch_add(1, Ordering::Relaxed);
        if *shared.mode.borrow() == Mode::Cut {
            continue;
        }
        tokio::spawn(serve(client, Arc::clone(&shared)));
    }
}

/// Which way a chunk goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Request,
    Answer,
}

async fn serve(client: TcpStream, shared: Arc<Shared>) {
    shared.open.fetch_add(1, Ordering::AcqRel);
    relay(client, &shared).await;
    shared.open.fetch_sub(1, Ordering::AcqRel);
}

async fn relay(client: TcpStream, shared: &Shared) {
    let mut moves = shared.moves.subscribe();
    let target = shared.target.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Ok(server) = TcpStream::connect(target).await else { return };
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let (client_reads, client_writes) = client.into_split();
    let (server_reads, server_writes) = server.into_split();
    // Whether the answer that comes next is to be lost.
    let lost = AtomicBool::new(false);
    // An error in one way, or a cut, ends the whole connection; a way that ends in order lets the other
    // one finish.
    tokio::select! {
        _ = async {
            tokio::try_join!(
                carry(client_reads, server_writes, Way::Request, shared.mode.subscribe(), &lost),
                carry(server_reads, client_writes, Way::Answer, shared.mode.subscribe(), &lost),
            )
        } => {}
        () = cut(shared.mode.subscribe()) => {}
        _ = moves.changed() => {}
    }
}

async fn cut(mut mode: watch::Receiver<Mode>) {
    if mode.wait_for(|mode| *mode == Mode::Cut).await.is_err() {
        std::future::pending().await
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    way: Way,
    mut mode: watch::Receiver<Mode>,
    lost: &AtomicBool,
) -> std::io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        let held = |mode: Mode| mode == Mode::Silent || (mode == Mode::SilentAnswers && way == Way::Answer);
        let now = match mode.wait_for(|mode| !held(*mode)).await {
            Ok(found) => *found,
            Err(_) => return Ok(()),
        };
        match now {
            // Also of what was held back until now.
            Mode::Cut => return Err(std::io::ErrorKind::ConnectionAborted.into()),
            Mode::Delay(pause) => tokio::time::sleep(pause).await,
            Mode::CutAnswerTo(words) if way == Way::Request => {
                let found = buffer[..count].windows(words.len()).any(|window| window == words.as_bytes());
                lost.fetch_or(found, Ordering::AcqRel);
            }
            Mode::CutAnswerTo(_) if lost.load(Ordering::Acquire) => {
                return Err(std::io::ErrorKind::ConnectionAborted.into());
            }
            _ => {}
        }
        to.write_all(&buffer[..count]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// Answers every chunk with itself.
    async fn echo() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut reads, mut writes) = stream.split();
                    tokio::io::copy(&mut reads, &mut writes).await
                });
            }
        });
        address
    }

    /// What comes back for ten bytes within the time.
    async fn ask(stream: &mut TcpStream, time: Duration) -> Option<usize> {
        let _ = stream.write_all(b"0123456789").await;
        let mut got = [0; 10];
        let mut total = 0;
        let reading = async {
            while total < 10 {
                match stream.read(&mut got).await {
                    Ok(0) | Err(_) => break,
                    Ok(count) => total += count,
                }
            }
            total
        };
        tokio::time::timeout(time, reading).await.ok()
    }

    #[tokio::test]
    async fn each_mode_does_what_it_says() {
        let target = echo().await;
        for (mode, answer) in [
            (Mode::Pass, Some(10)),
            (Mode::Delay(Duration::from_millis(30)), Some(10)),
            (Mode::Cut, Some(0)),
            (Mode::Silent, None),
            (Mode::SilentAnswers, None),
            (Mode::CutAnswerTo("345"), Some(0)),
            (Mode::CutAnswerTo("543"), Some(10)),
        ] {
            let proxy = Proxy::start(&target);
            let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
            let long = Duration::from_secs(5);
            assert_eq!(ask(&mut stream, long).await, Some(10), "before {mode:?}");
            proxy.set(mode);
            let started = Instant::now();
            let time = if answer.is_none() { Duration::from_millis(100) } else { long };
            let got = ask(&mut stream, time).await;
            assert_eq!(got, answer, "{mode:?}");
            if let Mode::Delay(pause) = mode {
                assert!(started.elapsed() >= pause * 2);
            }
            proxy.set(Mode::Pass);
            if answer.is_none() {
                let mut held = [0; 10];
                tokio::time::timeout(long, stream.read_exact(&mut held)).await.unwrap().unwrap();
            }
            let mut again = TcpStream::connect(proxy.address()).await.unwrap();
            assert_eq!(ask(&mut again, long).await, Some(10), "after {mode:?}");
            assert_eq!(proxy.connections(), 2);
        }
    }

    #[tokio::test]
    async fn what_is_held_back_does_not_pass_when_the_connection_is_cut() {
        let target = echo().await;
        for held in [Mode::Silent, Mode::SilentAnswers] {
            // The cut and the way on are both there at once, and either may be looked at first.
            for _ in 0..20 {
                let proxy = Proxy::start(&target);
                let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
                assert_eq!(ask(&mut stream, Duration::from_secs(5)).await, Some(10));
                proxy.set(held);
                assert_eq!(ask(&mut stream, Duration::from_millis(20)).await, None);
                proxy.set(Mode::Cut);
                assert!(matches!(stream.read(&mut [0; 10]).await, Ok(0) | Err(_)), "{held:?}");
            }
        }
    }
}

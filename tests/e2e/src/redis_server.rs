use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use dukou_test_servers::free_port;
use tempfile::TempDir;

use crate::eventually::settled;
use crate::process::Process;

const START: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(5);

/// A real redis-server of its own on a free port, without persistence. Ends when dropped.
pub struct Redis {
    port: u16,
    directory: TempDir,
    process: Mutex<Arc<Process>>,
}

impl Redis {
    /// # Panics
    /// When redis-server is not installed or does not start.
    pub async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for _ in 0..3 {
            let port = free_port();
            let process = Arc::new(launch(port, &directory));
            if answers(port, &process).await {
                return Self { port, directory, process: Mutex::new(process) };
            }
        }
        panic!("redis-server does not start");
    }

    /// `redis://…`, database 0.
    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address())
    }

    /// `127.0.0.1:port`, for a proxy.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// SIGKILL. What it held is gone.
    pub fn kill(&self) {
        self.process().kill();
    }

    /// SIGSTOP: connections stay open and nothing is answered.
    pub fn pause(&self) {
        self.process().pause();
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.process().resume();
    }

    /// Starts again on the same port, empty, after [`Redis::kill`].
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(&self) {
        self.kill();
        let process = Arc::new(launch(self.port, &self.directory));
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&process);
        assert!(answers(self.port, &process).await, "redis-server does not start again on port {}", self.port);
    }

    /// Forgets every key.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn flush(&self) {
        let answer = self.command("FLUSHALL");
        assert!(answer.starts_with("+OK"), "FLUSHALL: {answer}");
    }

    /// How many keys there are.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn key_count(&self) -> u64 {
        let answer = self.command("DBSIZE");
        answer.trim_start_matches(':').parse().unwrap_or_else(|_| panic!("DBSIZE: {answer}"))
    }

    /// One inline command; the first line of its answer.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn command(&self, text: &str) -> String {
        ask(self.port, text).unwrap_or_else(|error| panic!("redis-server does not answer {text:?}: {error}"))
    }

    fn process(&self) -> Arc<Process> {
        Arc::clone(&self.process.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn launch(port: u16, directory: &TempDir) -> Process {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"]);
    command.arg(directory.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let installed = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_ok();
    assert!(installed, "redis-server is not installed; `apt-get install -y redis-server` installs it");
    Process::start(&mut command)
}

async fn answers(port: u16, process: &Process) -> bool {
    let answered = settled(START, async || {
        if process.exited().is_some() {
            return Some(false);
        }
        ask(port, "PING").is_ok_and(|answer| answer.starts_with("+PONG")).then_some(true)
    });
    answered.await.unwrap_or(false)
}

fn ask(port: u16, command: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

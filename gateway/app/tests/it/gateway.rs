//! A running `dukou serve` for the tests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

/// Listeners on free ports, the store below the folder.
pub const LOCAL: &str = "[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"https://pay.example.com\"\n\
                         [admin]\nlisten = \"127.0.0.1:0\"\n";

pub struct Gateway {
    child: Child,
    log: Arc<Log>,
    pub public: SocketAddr,
    pub admin: SocketAddr,
}

/// What a process has written, as it comes.
#[derive(Default)]
struct Log {
    written: Mutex<Written>,
    /// A line came, or no more will.
    news: Condvar,
}

#[derive(Default)]
struct Written {
    lines: Vec<Value>,
    /// Nobody takes what the process writes.
    unread: bool,
    /// The process has ended.
    ended: bool,
}

impl Log {
    fn change(&self, change: impl FnOnce(&mut Written)) {
        change(&mut self.written.lock().expect("the log"));
        self.news.notify_all();
    }

    /// Waits until something is found in it.
    fn find<T>(&self, what: &str, find: impl Fn(&Written) -> Option<T>) -> T {
        let written = self.written.lock().expect("the log");
        let waiting = self.news.wait_timeout_while(written, PATIENCE, |written| find(written).is_none());
        let (written, _) = waiting.expect("the log");
        find(&written).unwrap_or_else(|| panic!("{what}: {:#?}", written.lines))
    }
}

/// Writes the files of a configuration into `folder/config`.
pub fn configure(folder: &Path, files: &[(&str, &str)]) {
    std::fs::create_dir_all(folder.join("config/tenants")).expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.join("config").join(name), text).expect("a file");
    }
}

pub fn command(folder: &Path, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dukou"));
    command.arg("serve").current_dir(folder).env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Gateway {
    /// Starts it and waits until it listens.
    pub fn start(folder: &Path, variables: &[(&str, &str)]) -> Self {
        let mut child = command(folder, variables).spawn().expect("the program starts");
        let log: Arc<Log> = Arc::default();
        let lines = BufReader::new(child.stderr.take().expect("standard error"));
        let copy = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                copy.change(|written| written.lines.push(line));
                let written = copy.written.lock().expect("the log");
                drop(copy.news.wait_while(written, |written| written.unread).expect("the log"));
            }
            copy.change(|written| written.ended = true);
        });
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut gateway = Gateway { child, log, public: any, admin: any };
        let listening = gateway.logged(|line| line["message"] == "listening");
        let address = |key: &str| listening[key].as_str().and_then(|text| text.parse().ok()).expect("an address");
        (gateway.public, gateway.admin) = (address("public"), address("admin"));
        gateway
    }

    /// Waits for a line of the log.
    pub fn logged(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        self.log.find("the log never had it", |written| written.lines.iter().find(|line| wanted(line)).cloned())
    }

    pub fn log(&self) -> Vec<Value> {
        self.log.written.lock().expect("the log").lines.clone()
    }

    /// From now on, or until it is told otherwise, nobody takes what it writes, as with a collector that hangs.
    pub fn leave_log_unread(&self, unread: bool) {
        self.log.change(|written| written.unread = unread);
    }

    pub fn terminate(&self) {
        let killed = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill");
        assert!(killed.success());
    }

    /// Waits for the end.
    pub fn ended(&mut self) -> ExitStatus {
        self.log.find("it does not end", |written| written.ended.then_some(()));
        self.child.wait().expect("the process")
    }

    /// Waits for the end where nobody reads the log, by what it never writes to.
    pub fn ended_unread(&mut self) -> ExitStatus {
        let mut output = self.child.stdout.take().expect("standard output");
        let (sender, end) = channel();
        std::thread::spawn(move || sender.send(output.read_to_end(&mut Vec::new())));
        end.recv_timeout(PATIENCE).expect("it does not end").expect("standard output");
        self.child.wait().expect("the process")
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.leave_log_unread(false);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request over a connection of its own: the status and everything after it.
pub fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, answer)
}

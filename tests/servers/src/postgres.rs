use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::port::free_port;

/// How long the server may take to be there.
const START: Duration = Duration::from_secs(30);
/// Between two looks whether it is.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
const HINT: &str = "PostgreSQL is missing: apt-get install --yes postgresql";

/// Whoever starts as root runs it as this user, since it does not serve root.
const NOBODY: u32 = 65_534;

/// Starts the server and ends it when nobody holds the other end of standard input any more, whichever
/// way that came about; then nothing of it is left.
const KEEP: &str = r#"folder=$1; shift; "$@" & server=$!; cat > /dev/null;
kill -QUIT $(head -n 1 "$folder/data/postmaster.pid"); wait $server; rm -rf "$folder""#;

/// A PostgreSQL server of its own on a free port of this machine. Ends when dropped or when the
/// program ends.
pub struct Postgres {
    port: u16,
    folder: PathBuf,
    input: Option<ChildStdin>,
    keeper: Child,
    databases: AtomicU32,
}

impl Postgres {
    /// A server that writes without waiting for the disk.
    ///
    /// # Panics
    /// When PostgreSQL is not installed or does not start.
    pub fn start() -> Self {
        Self::start_with(&["fsync=off", "full_page_writes=off"])
    }

    /// A server with settings of its own.
    ///
    /// # Panics
    /// As [`Postgres::start`].
    pub fn start_with(settings: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("dukou-postgres-").tempdir().unwrap().keep();
        if is_root() {
            std::os::unix::fs::chown(&folder, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let data = folder.join("data");
        let mut init = as_owner(&program("initdb"));
        init.args(["--no-sync", "--auth=trust", "--username=dukou", "--encoding=UTF8", "--locale=C", "--pgdata"]);
        succeed(init.arg(&data).output().expect(HINT), "initdb");
        for _ in 0..5 {
            if let Some(server) = Self::launch(&folder, &data, settings) {
                return server;
            }
        }
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        panic!("PostgreSQL does not start: {log}");
    }

    /// The server that a whole test program shares; each test takes a database of its own.
    pub fn shared() -> &'static Postgres {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Postgres::start)
    }

    fn launch(folder: &Path, data: &Path, settings: &[&str]) -> Option<Self> {
        // Somebody else may take a free port before the server does.
        let port = free_port();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let server = as_owner(&program("postgres"));
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEP, "sh"]).arg(folder).arg(server.get_program()).args(server.get_args());
        keeper.arg("-D").arg(data).args(["-p", &port.to_string()]);
        let fixed = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300"];
        for setting in fixed.iter().chain(settings) {
            keeper.args(["-c", setting]);
        }
        keeper.current_dir(folder).stdin(Stdio::piped()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut keeper = keeper.spawn().unwrap();
        let input = keeper.stdin.take();
        let server = Postgres { port, folder: folder.to_owned(), input, keeper, databases: AtomicU32::new(0) };
        let deadline = Instant::now() + START;
        while Instant::now() < deadline {
            if server.try_sql("postgres", "SELECT 1").status.success() {
                return Some(server);
            }
            if server.log().contains("database system is shut down") || server.log().contains("could not bind") {
                break;
            }
            std::thread::sleep(LOOK_AGAIN);
        }
        None
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// `127.0.0.1:port`, for a proxy.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The server's main process.
    ///
    /// # Panics
    /// When it does not run.
    pub fn pid(&self) -> u32 {
        let text = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).unwrap();
        text.lines().next().and_then(|line| line.trim().parse().ok()).unwrap()
    }

    /// Stops the server, lets somebody at its files, and starts it again on the same port.
    ///
    /// # Panics
    /// When it does not stop or start.
    pub fn restart(&self, change: impl FnOnce(&Path)) {
        let data = self.folder.join("data");
        let control = |action: &[&str]| {
            let mut control = as_owner(&program("pg_ctl"));
            let log = std::fs::File::options().append(true).open(self.folder.join("log")).unwrap();
            control.args(action).args(["--silent", "--wait", "--pgdata"]).arg(&data);
            control.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
            assert!(control.status().expect(HINT).success(), "{action:?}: {}", self.log());
        };
        // The command line that it was started with, each argument between quotation marks.
        let line = std::fs::read_to_string(data.join("postmaster.opts")).unwrap();
        let options = line.trim().split_once(' ').map_or("", |(_, options)| options);
        control(&["stop", "--mode=fast"]);
        change(&data);
        control(&["start", "--options", options]);
    }

    /// Makes an empty database and returns its address, `postgres://…`.
    ///
    /// # Panics
    /// When the server does not answer.
    pub fn new_database(&self) -> String {
        let name = format!("d{}_{}", std::process::id(), self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        format!("postgres://dukou@{}/{name}", self.address())
    }

    /// Runs statements in a database and returns what they print, fields between bars.
    ///
    /// # Panics
    /// When they fail.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        let output = self.try_sql(database, statements);
        succeed(output, statements)
    }

    fn try_sql(&self, database: &str, statements: &str) -> Output {
        let mut psql = Command::new(program("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
        psql.args(["--host=127.0.0.1", "--username=dukou", "--port", &self.port.to_string()]);
        psql.args(["--dbname", database, "--command", statements]).env("PGCONNECT_TIMEOUT", "5");
        psql.output().expect(HINT)
    }

    /// Whether it takes connections.
    pub fn is_up(&self) -> bool {
        TcpStream::connect(("127.0.0.1", self.port)).is_ok()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.keeper.wait();
    }
}

/// The name of the database that an address leads to.
impl Postgres {
    /// # Panics
    /// When the address names none.
    pub fn database_of(address: &str) -> &str {
        address.rsplit('/').next().and_then(|name| name.split('?').next()).unwrap()
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn as_owner(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    let id = NOBODY.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(program);
    command.current_dir("/");
    command
}

/// Distributions keep the server's programs outside the path, by version.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| {
            let number = version.file_name().to_str()?.parse().ok()?;
            let path = version.path().join("bin").join(name);
            path.exists().then_some((number, path))
        })
        .collect();
    found.sort();
    found.pop().map_or_else(|| PathBuf::from(name), |(_, path)| path)
}

fn succeed(output: Output, what: &str) -> String {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{what}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text.trim_end().to_owned()
}

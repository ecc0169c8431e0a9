//! The program under load: the binary with a configuration of its own.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::messages::{PLATFORM_KEY, TENANT};
use crate::platform::Platform;
use crate::process::Process;
use crate::wechat_v3::Keys;

/// The tenant's key for the gateway.
pub const API_KEY: &str = "bench-api-key-0123456789abcdef";
const WEBHOOK_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const READY: Duration = Duration::from_secs(15);

/// A tenant that only hears of its events.
pub struct Shop {
    pub id: String,
    /// Where to.
    pub url: String,
}

impl Shop {
    fn write(&self, tenants: &Path) -> Result<()> {
        let Shop { id, url } = self;
        let text = format!(
            "id = \"{id}\"\nname = \"{id}\"\napi_keys = [{{ id = \"backend\", secret = \"env:BENCH_API_KEY\" }}]\n\
             [webhook]\nurl = \"{url}\"\nsecret = \"env:BENCH_WEBHOOK_SECRET\"\n"
        );
        fs::write(tenants.join(format!("{id}.toml")), text)?;
        Ok(())
    }
}

pub struct Gateway {
    pub process: Process,
    pub address: SocketAddr,
    /// From the start of the process to the first "ready".
    pub started_in: Duration,
    log: PathBuf,
}

impl Gateway {
    /// Starts the program on `directory`, which keeps its configuration and its store, and waits
    /// until it is ready. `max_batch` left out is the program's own default.
    pub fn start(binary: &Path, directory: &Path, platform: &Platform, max_batch: Option<u32>) -> Result<Gateway> {
        Self::start_with(binary, directory, platform, max_batch, &[])
    }

    /// The same, with payments in a database.
    pub fn start_on(
        database: &str,
        binary: &Path,
        directory: &Path,
        platform: &Platform,
        max_batch: Option<u32>,
    ) -> Result<Gateway> {
        Self::launch(binary, directory, platform, (database, max_batch), &[])
    }

    /// The same, with further tenants that have a webhook each.
    pub fn start_with(
        binary: &Path,
        directory: &Path,
        platform: &Platform,
        max_batch: Option<u32>,
        shops: &[Shop],
    ) -> Result<Gateway> {
        let store = format!("sqlite://{}", directory.join("dukou.db").display());
        Self::launch(binary, directory, platform, (&store, max_batch), shops)
    }

    fn launch(
        binary: &Path,
        directory: &Path,
        platform: &Platform,
        storage: (&str, Option<u32>),
        shops: &[Shop],
    ) -> Result<Gateway> {
        let (address, admin) = (free_address()?, free_address()?);
        configure(directory, address, admin, storage)?;
        configure_tenant(directory, platform)?;
        for shop in shops {
            shop.write(&directory.join("tenants"))?;
        }
        let log = directory.join("gateway.log");
        let output = File::options().create(true).append(true).open(&log).with_context(|| log.display().to_string())?;
        let from = Instant::now();
        let child = Command::new(binary)
            .arg("serve")
            .arg("--config")
            .arg(directory)
            .env("BENCH_API_KEY", API_KEY)
            .env("BENCH_PLATFORM_KEY", PLATFORM_KEY)
            .env("BENCH_API_V3_KEY", Keys::api_v3_key())
            .env("BENCH_WEBHOOK_SECRET", WEBHOOK_SECRET)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(output)
            .spawn()
            .with_context(|| {
                format!("cannot start {}; build it with: cargo build --profile dist -p dukou", binary.display())
            })?;
        let mut process = Process::new(child);
        loop {
            if is_ready(admin) {
                let started_in = from.elapsed();
                return Ok(Gateway { process, address, started_in, log });
            }
            if let Some(status) = process.child().try_wait()? {
                bail!("the gateway ended with {status}:\n{}", tail(&log));
            }
            if from.elapsed() > READY {
                bail!("the gateway was not ready within {READY:?}:\n{}", tail(&log));
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// The end of its log, for a message about what went wrong.
    pub fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// # Errors
    /// When it did not drain and end by itself.
    pub fn stop(mut self) -> Result<()> {
        if self.process.end()? { Ok(()) } else { bail!("the gateway did not end well:\n{}", tail(&self.log)) }
    }
}

fn configure(
    directory: &Path,
    address: SocketAddr,
    admin: SocketAddr,
    (store, max_batch): (&str, Option<u32>),
) -> Result<()> {
    fs::create_dir_all(directory)?;
    let max_batch = max_batch.map(|count| format!("max_batch = {count}\n")).unwrap_or_default();
    // Orders are not asked after: the platform here answers nothing else, and a run is short.
    fs::write(
        directory.join("gateway.toml"),
        format!(
            "[server]\nlisten = \"{address}\"\npublic_url = \"http://{address}\"\ninsecure = true\n\
             [admin]\nlisten = \"{admin}\"\n\
             [storage]\nurl = \"{store}\"\n{max_batch}\
             [queries]\npending = [\"1h\"]\n[webhooks]\nallow_private_networks = true\n",
        ),
    )?;
    Ok(())
}

fn configure_tenant(directory: &Path, platform: &Platform) -> Result<()> {
    let tenants = directory.join("tenants");
    fs::create_dir_all(&tenants)?;
    let provider = platform.interface().configure(directory, platform.address)?;
    fs::write(
        tenants.join(format!("{TENANT}.toml")),
        format!(
            "id = \"{TENANT}\"\nname = \"Bench\"\n\
             api_keys = [{{ id = \"backend\", secret = \"env:BENCH_API_KEY\" }}]\n{provider}"
        ),
    )?;
    Ok(())
}

/// Free a moment ago. The gateway takes fixed addresses here, so that its start can be timed
/// without reading its log.
fn free_address() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on loopback")?;
    Ok(listener.local_addr()?)
}

fn is_ready(admin: SocketAddr) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&admin, Duration::from_millis(200))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        std::io::Result::Ok(&answer == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}

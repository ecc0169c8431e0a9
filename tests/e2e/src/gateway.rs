use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::binary;
use crate::eventually::settled;
use crate::metrics::Metrics;
use crate::process::Process;

/// How long a start may take on a busy machine.
const START: Duration = Duration::from_secs(30);

/// How one gateway is started.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub config: PathBuf,
    /// Where its log goes, all runs one after another.
    pub log: PathBuf,
    pub port: u16,
    pub admin_port: u16,
    pub environment: Vec<(String, String)>,
}

/// A running `dukou serve`. It is killed when dropped.
pub struct Gateway {
    launch: Launch,
    client: reqwest::Client,
    process: Mutex<Arc<Process>>,
}

impl Gateway {
    /// Starts and waits until it is ready. The error is the log of a gateway that ended instead.
    pub(crate) async fn start(launch: Launch, client: reqwest::Client) -> Result<Self, String> {
        let process = Mutex::new(Arc::new(run(&launch, &[], &[])));
        let gateway = Self { launch, client, process };
        gateway.wait_ready().await.map(|()| gateway)
    }

    /// Where merchants and platforms reach it, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.launch.port)
    }

    /// Where `/metrics`, `/healthz` and `/readyz` are, without a trailing slash.
    pub fn admin_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.launch.admin_port)
    }

    /// The public one and the admin one.
    pub(crate) fn ports(&self) -> (u16, u16) {
        (self.launch.port, self.launch.admin_port)
    }

    /// The folder it was started with.
    pub fn config(&self) -> &std::path::Path {
        &self.launch.config
    }

    /// SIGKILL; the process is gone when this returns.
    pub fn kill(&self) {
        self.process().kill();
    }

    /// SIGTERM, without waiting for the end.
    pub fn terminate(&self) {
        self.process().terminate();
    }

    /// SIGHUP: the tenants' files are read at once.
    pub fn hang_up(&self) {
        self.process().hang_up();
    }

    /// SIGSTOP.
    pub fn pause(&self) {
        self.process().pause();
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.process().resume();
    }

    /// How it ended, if it has.
    pub fn exited(&self) -> Option<ExitStatus> {
        self.process().exited()
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// When it is still running after `deadline`.
    pub async fn wait_exit(&self, deadline: Duration) -> ExitStatus {
        let status = self.process().wait_exit(deadline).await;
        status.unwrap_or_else(|| panic!("the gateway still runs after {deadline:?}:\n{}", self.log_end()))
    }

    /// Kills it if it still runs, starts it again on the same store and waits until it is ready.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn restart(&self) {
        self.restart_with(&[]).await;
    }

    /// [`Gateway::restart`] with further environment variables, for this run only.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn restart_with(&self, environment: &[(&str, &str)]) {
        self.relaunch(environment);
        if let Err(log) = self.wait_ready().await {
            panic!("the gateway does not start again:\n{log}");
        }
    }

    /// [`Gateway::restart`] by a program that takes the gateway's command as its last arguments and becomes it.
    ///
    /// # Panics
    /// When it does not become ready.
    pub async fn restart_by(&self, launcher: &[&str]) {
        self.kill();
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(run(&self.launch, &[], launcher));
        if let Err(log) = self.wait_ready().await {
            panic!("the gateway does not start again:\n{log}");
        }
    }

    /// [`Gateway::restart_with`] without waiting for anything.
    pub fn relaunch(&self, environment: &[(&str, &str)]) {
        self.kill();
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(run(&self.launch, environment, &[]));
    }

    /// Waits for 200 from `/readyz`.
    ///
    /// # Errors
    /// The end of the log, when the process ended or took too long.
    pub async fn wait_ready(&self) -> Result<(), String> {
        let ready = settled(START, async || {
            if self.exited().is_some() {
                return Some(false);
            }
            let answer = self.client.get(format!("{}/readyz", self.admin_url())).send().await;
            answer.is_ok_and(|answer| answer.status() == 200).then_some(true)
        });
        match ready.await {
            Some(true) => Ok(()),
            _ => Err(self.log_end()),
        }
    }

    /// Status and document of `/readyz`.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn readiness(&self) -> reqwest::Result<(u16, Value)> {
        let answer = self.client.get(format!("{}/readyz", self.admin_url())).send().await?;
        Ok((answer.status().as_u16(), answer.json().await?))
    }

    /// One scrape.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn metrics(&self) -> Metrics {
        let answer = self.client.get(format!("{}/metrics", self.admin_url())).send().await.unwrap();
        Metrics::parse(&answer.text().await.unwrap())
    }

    /// Everything it wrote to standard error, over all its runs.
    pub fn logs(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.launch.log).unwrap_or_default()).into_owned()
    }

    fn log_end(&self) -> String {
        let log = self.logs();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    /// Memory in use.
    pub fn rss_bytes(&self) -> u64 {
        self.process().rss_bytes()
    }

    /// Time spent on a processor.
    pub fn cpu_time(&self) -> Duration {
        self.process().cpu_time()
    }

    pub fn pid(&self) -> u32 {
        self.process().pid()
    }

    fn process(&self) -> Arc<Process> {
        Arc::clone(&self.process.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn run(launch: &Launch, environment: &[(&str, &str)], launcher: &[&str]) -> Process {
    let log = OpenOptions::new().create(true).append(true).open(&launch.log).unwrap();
    let config = launch.config.to_string_lossy();
    let mut command = binary::command_by(launcher, &["serve", "--config", &config]);
    command.env("RUST_LOG", "info");
    command.envs(launch.environment.iter().map(|(name, value)| (name, value)));
    command.envs(environment.iter().copied());
    command.stdout(Stdio::null()).stderr(Stdio::from(log));
    Process::start(&mut command)
}

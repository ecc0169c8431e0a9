use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use dukou_test_servers::free_port;
use serde_json::Value;
use tempfile::TempDir;

use crate::eventually::settled;
use crate::process::Process;

const START: Duration = Duration::from_secs(30);

/// The folder of the operators' files.
pub fn ops() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ops")
}

/// A real Prometheus on a free port with the configuration and rules of `ops/prometheus`, which looks every second.
/// Ends when dropped.
pub struct Prometheus {
    port: u16,
    client: reqwest::Client,
    _process: Process,
    _directory: TempDir,
}

impl Prometheus {
    /// `target` is the admin listener to scrape, `127.0.0.1:port`.
    ///
    /// # Panics
    /// When prometheus is not installed or does not start.
    pub async fn start(target: &str, client: reqwest::Client) -> Self {
        let installed =
            Command::new("prometheus").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        assert!(installed.is_ok(), "prometheus is not installed; `apt-get install -y prometheus` installs it");
        for _ in 0..3 {
            let directory = tempfile::tempdir().unwrap();
            copy_configuration(directory.path(), target);
            let port = free_port();
            let process = launch(directory.path(), port);
            let ready = settled(START, async || {
                if process.exited().is_some() {
                    return Some(false);
                }
                let answer = client.get(format!("http://127.0.0.1:{port}/-/ready")).send().await;
                answer.is_ok_and(|answer| answer.status() == 200).then_some(true)
            });
            if ready.await == Some(true) {
                return Self { port, client, _process: process, _directory: directory };
            }
        }
        panic!("prometheus does not start");
    }

    /// The result of a query at this moment.
    ///
    /// # Errors
    /// What Prometheus says is wrong with it.
    pub async fn query(&self, expression: &str) -> Result<Vec<Value>, String> {
        let answer = self.get("/api/v1/query", &[("query", expression)]).await;
        match answer["data"]["result"].as_array() {
            Some(result) if answer["status"] == "success" => Ok(result.clone()),
            _ => Err(answer["error"].to_string()),
        }
    }

    /// Any call of its API.
    ///
    /// # Panics
    /// When it does not answer in JSON.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let request = self.client.get(format!("http://127.0.0.1:{}{path}", self.port)).query(query);
        request.send().await.unwrap().json().await.unwrap()
    }
}

/// Everything as it is, but for who is scraped and how often.
fn copy_configuration(directory: &Path, target: &str) {
    let from = ops().join("prometheus");
    let text = std::fs::read_to_string(from.join("prometheus.yml")).unwrap();
    let quick = text.replace("_interval: 15s", "_interval: 1s");
    assert_ne!(text, quick, "the intervals of prometheus.yml are not where they were");
    std::fs::write(directory.join("prometheus.yml"), quick).unwrap();
    for folder in ["rules", "targets", "alertmanagers"] {
        std::fs::create_dir(directory.join(folder)).unwrap();
    }
    for entry in std::fs::read_dir(from.join("rules")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, directory.join("rules").join(path.file_name().unwrap())).unwrap();
    }
    std::fs::write(directory.join("targets/test.yml"), format!("- targets: [\"{target}\"]\n")).unwrap();
}

fn launch(directory: &Path, port: u16) -> Process {
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", directory.join("prometheus.yml").display()))
        .arg(format!("--storage.tsdb.path={}", directory.join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--log.level=error")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Process::start(&mut command)
}

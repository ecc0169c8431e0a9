use std::path::Path;
use std::process::{Command, Stdio};

use dukou_test_servers::free_port;
use tempfile::TempDir;

use crate::process::Process;

/// A real HAProxy before several gateways, as plain TCP: it asks each whether it is ready and gives connections to
/// those that are in turn. Ends when dropped.
pub struct Balancer {
    port: u16,
    process: Option<Process>,
    directory: TempDir,
}

impl Balancer {
    /// A balancer that listens once [`Balancer::serve`] was called.
    pub(crate) fn new() -> Self {
        Self { port: free_port(), process: None, directory: tempfile::tempdir().unwrap() }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Begins to serve; the ports are a gateway's public one and its admin one.
    ///
    /// # Panics
    /// When HAProxy is not installed.
    pub(crate) fn serve(&mut self, gateways: &[(u16, u16)]) {
        let path = self.directory.path().join("haproxy.cfg");
        std::fs::write(&path, configuration(self.port, gateways)).unwrap();
        self.process = Some(launch(&path));
    }
}

fn configuration(port: u16, gateways: &[(u16, u16)]) -> String {
    let servers: String = gateways
        .iter()
        .map(|(public, admin)| {
            format!("    server g{public} 127.0.0.1:{public} check port {admin} inter 200ms fall 1 rise 1\n")
        })
        .collect();
    format!(
        "global\n    maxconn 4000\n\
         defaults\n    mode tcp\n    timeout connect 2s\n    timeout client 60s\n    timeout server 60s\n    \
         retries 3\n    option redispatch 1\n\
         listen gateways\n    bind 127.0.0.1:{port}\n    balance roundrobin\n    option httpchk GET /readyz\n{servers}"
    )
}

fn launch(configuration: &Path) -> Process {
    let mut command = Command::new("haproxy");
    command.args(["-db", "-f"]).arg(configuration).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let installed = Command::new("haproxy").arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(installed.is_ok(), "haproxy is not installed; `apt-get install -y haproxy` installs it");
    Process::start(&mut command)
}

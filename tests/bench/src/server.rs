//! The servers that the gateway is compared with: this program again, in a process of its own.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use actix_web::dev::Server;
use anyhow::{Context as _, Result};

use crate::process::Process;

/// Starts this program with `arguments`; where it listens is its first line.
pub fn start(arguments: &[String]) -> Result<(Process, SocketAddr)> {
    let child = Command::new(std::env::current_exe()?)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start a server to compare with")?;
    let mut process = Process::new(child);
    let mut line = String::new();
    let output = process.child().stdout.take().context("no output")?;
    BufReader::new(output).read_line(&mut line)?;
    let address = line.trim().parse().context("the server to compare with did not say where it listens")?;
    Ok((process, address))
}

/// Runs what `listen` makes, of as many workers as actix-web takes by itself, as in the gateway.
/// It ends with this process's standard input: when whoever started it is gone.
pub fn run(listen: impl FnOnce() -> io::Result<(Server, Vec<SocketAddr>)>) -> Result<()> {
    std::thread::Builder::new().name("end".into()).spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    })?;
    actix_web::rt::System::new().block_on(async {
        let (server, addresses) = listen()?;
        for address in addresses {
            println!("{address}");
        }
        server.await
    })?;
    Ok(())
}

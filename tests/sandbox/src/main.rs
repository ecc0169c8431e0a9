//! `dukou-sandbox`: the platforms on two local ports, until it is told to stop.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use dukou_sandbox::{Options, Sandbox};

/// The payment platforms, simulated.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where the platform's paths are served over TLS.
    #[arg(long, default_value = "127.0.0.1:9443")]
    listen: SocketAddr,
    /// Where the control API and the phone page are served over plain HTTP. Left out: 127.0.0.1:9080, or any free
    /// port where that one is taken.
    #[arg(long)]
    control: Option<SocketAddr>,
    /// Where certificates and keys are written; a temporary directory unless given.
    #[arg(long)]
    dir: Option<PathBuf>,
}

const CONTROL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9080);

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without the backtrace that anyhow's own form may have: it helps nobody whose port is taken.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()))
        .with_writer(std::io::stderr)
        .init();
    let arguments = Arguments::parse();
    let temporary = match arguments.dir {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("dukou-sandbox-").tempdir().context("no temporary directory")?),
    };
    let directory = arguments.dir.or_else(|| temporary.as_ref().map(|kept| kept.path().to_owned()));
    let shown = directory.clone().unwrap_or_default();
    let options = Options {
        https: arguments.listen,
        http: arguments.control.unwrap_or(CONTROL),
        any_http_port: arguments.control.is_none(),
        directory,
        ..Options::default()
    };
    let sandbox = Sandbox::start(options)?;
    let dir = shown.display();
    write!(
        std::io::stdout(),
        "dukou-sandbox is ready\n\
         \x20 platform   {https}   (trust {dir}/ca.pem; api.mch.weixin.qq.com and api.weixin.qq.com in the certificate)\n\
         \x20 control    {http}/_sandbox/state\n\
         \x20 phone      {http}/\n\
         \x20 douyin     {http}/_sandbox/douyin   (the same platform URL; app awbookshop000001: {dir}/awbookshop000001/client_secret)\n\
         \x20 files      {dir}\n\
         Configure the gateway with the base URL {https}, the root certificate {dir}/ca.pem and, per merchant,\n\
         \x20 1900000109, app wx8888888888888888: {dir}/1900000109/{{api_key,app_secret,apiclient_cert.pem,apiclient_key.pem}}\n\
         \x20 1900000110, app wx7777777777777777: {dir}/1900000110/{{api_key,app_secret,apiclient_cert.pem,apiclient_key.pem}}\n\
         For v3, with {{api_v3_key,serial_no}} beside them,\n\
         \x20 1900000109 is in public-key mode: {dir}/1900000109/{{pub_key.pem,pub_key_id}}\n\
         \x20 1900000110 downloads platform certificates\n",
        https = sandbox.https_url(),
        http = sandbox.http_url(),
    )?;
    std::io::stdout().flush()?;
    wait_for_signal()?;
    sandbox.stop();
    Ok(())
}

fn wait_for_signal() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let mut terminated = signal(SignalKind::terminate())?;
            tokio::select! {
                result = tokio::signal::ctrl_c() => result?,
                _ = terminated.recv() => {}
            }
        }
        #[cfg(not(unix))]
        tokio::signal::ctrl_c().await?;
        Ok(())
    })
}

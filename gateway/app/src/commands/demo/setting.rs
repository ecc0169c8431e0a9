//! Everything the demonstration needs, started from a configuration as an operator would write it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use dukou_domain::Secret;
use dukou_sandbox::{DouyinApp, Merchant, Options, Sandbox};
use tempfile::TempDir;

use super::client::Client;
use crate::config;
use crate::outside;
use crate::service::Service;

pub const TENANT: &str = "bookshop";
pub const PROVIDER: &str = "wechat";
pub const MERCHANT: &str = "1900000109";
pub const APP: &str = "wx8888888888888888";
/// The shop's application at Douyin.
pub const DOUYIN: &str = "awbookshop000001";

/// The running demonstration.
pub struct Setting {
    pub sandbox: Sandbox,
    pub gateway_url: String,
    pub admin_url: String,
    pub client: Client,
    service: Service,
    _folder: TempDir,
}

impl Setting {
    pub async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("dukou-demo-").tempdir()?;
        let (api_key, douyin_secret) = (random_text(16), random_text(16));
        let sandbox = {
            let merchant = Merchant::new(MERCHANT, &random_text(16)).app(APP, &random_text(16));
            let platform = folder.path().join("platform");
            let douyin_apps = vec![DouyinApp::new(DOUYIN, &douyin_secret).named("渡口书店")];
            let options =
                Options { directory: Some(platform), merchants: vec![merchant], douyin_apps, ..Options::default() };
            tokio::task::spawn_blocking(move || Sandbox::start(options)).await??
        };
        let configuration = folder.path().join("config");
        let port = free_port()?;
        write_configuration(&configuration, folder.path(), port, &sandbox, [&api_key, &douyin_secret])?;

        // No variables: what is set for a real gateway must not reach into the demonstration.
        let outside = outside::Outside::new();
        let loaded = config::load(&configuration, BTreeMap::new(), config::Factories::builtin(), |insecure| {
            outside.context(insecure)
        });
        let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
        ensure!(loaded.errors() == 0, "its configuration has errors: {}", problems.join("; "));
        let settings = loaded.gateway.context("its configuration cannot be used")?;
        let service = Service::start(settings, &loaded.tenants, &outside).await?;

        let gateway_url = format!("http://{}", service.public);
        let admin_url = format!("http://{}", service.admin);
        let client = Client::new(&gateway_url, &sandbox.http_url(), Secret::new(api_key))?;
        Ok(Setting { sandbox, gateway_url, admin_url, client, service, _folder: folder })
    }

    pub async fn stop(self) {
        self.service.stop().await;
        // Waits for its threads, which a runtime's own thread must not.
        let _ = tokio::task::spawn_blocking(move || self.sandbox.stop()).await;
    }
}

/// What an operator would write, with secrets in files of their own.
fn write_configuration(
    configuration: &Path,
    folder: &Path,
    port: u16,
    sandbox: &Sandbox,
    [api_key, douyin_secret]: [&str; 2],
) -> anyhow::Result<()> {
    let tenants = configuration.join("tenants");
    std::fs::create_dir_all(&tenants)?;
    std::fs::write(tenants.join("backend.key"), api_key)?;
    std::fs::write(tenants.join("douyin.secret"), douyin_secret)?;
    let store = folder.join("dukou.db");
    let gateway = format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"http://127.0.0.1:{port}\"\ninsecure = true\n\n\
         [admin]\nlisten = \"127.0.0.1:0\"\n\n[storage]\nurl = {}\n",
        quoted(&format!("sqlite://{}", store.display()))
    );
    std::fs::write(configuration.join("gateway.toml"), gateway)?;

    let platform = folder.join("platform");
    let merchant = platform.join(MERCHANT);
    let file = |path: &Path| quoted(&format!("file:{}", path.display()));
    let tenant = format!(
        "id = \"{TENANT}\"\nname = \"渡口书店\"\n\
         api_keys = [{{ id = \"backend\", secret = \"file:backend.key\" }}]\n\n\
         [providers.{PROVIDER}]\nkind = \"wechat-v2\"\napp_id = \"{APP}\"\napp_secret = {}\n\
         mch_id = \"{MERCHANT}\"\napi_key = {}\nsign_type = \"HMAC-SHA256\"\nclient_cert = {}\nclient_key = {}\n\
         base_url = \"{}\"\nplatform_url = \"{}\"\nca_cert = {}\n\n\
         [plugins.douyin-share]\nclient_key = \"{DOUYIN}\"\nclient_secret = \"file:douyin.secret\"\n\
         base_url = \"{}\"\nca_cert = {}\nprobe_media = false\n\
         apps = {{ \"{APP}\" = \"tt226e54d3bd581bf8\" }}\n",
        file(&merchant.join("app_secret")),
        file(&merchant.join("api_key")),
        file(&merchant.join("apiclient_cert.pem")),
        file(&merchant.join("apiclient_key.pem")),
        sandbox.https_url(),
        sandbox.https_url(),
        file(&platform.join("ca.pem")),
        sandbox.https_url(),
        file(&platform.join("ca.pem")),
    );
    std::fs::write(tenants.join(format!("{TENANT}.toml")), tenant)?;
    Ok(())
}

/// A TOML text.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// The notify address holds the port, so that it has to be known before the gateway listens.
fn free_port() -> std::io::Result<u16> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Twice as many hexadecimal digits as bytes, from the operating system.
fn random_text(bytes: usize) -> String {
    use dukou_spi::Random as _;
    let mut buffer = vec![0; bytes];
    outside::SystemRandom.fill(&mut buffer);
    buffer.iter().map(|byte| format!("{byte:02x}")).collect()
}

//! Everything the demonstration needs, started from a configuration as an operator would write it.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use dukou_domain::Secret;
use dukou_sandbox::{DouyinApp, Merchant, Options, Sandbox, TrustMode};
use tempfile::TempDir;

use super::client::Client;
use super::names::{APP, DOUYIN, MERCHANT, PROVIDER, TENANT};
use crate::config;
use crate::outside;
use crate::service::Service;

/// Which of WeChat Pay's interfaces the shop is set up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    WechatV2,
    WechatV3,
}

/// The running demonstration.
pub struct Setting {
    pub kind: Kind,
    pub sandbox: Sandbox,
    pub gateway_url: String,
    pub admin_url: String,
    /// Opens the console of this demonstration alone.
    pub admin_token: Secret,
    pub client: Client,
    service: Service,
    _folder: TempDir,
}

impl Setting {
    pub async fn start(kind: Kind) -> anyhow::Result<Self> {
        let folder = own_folder()?;
        let (api_key, douyin_secret, admin_token) = (random_text(16), random_text(16), random_text(8));
        let sandbox = {
            let merchant = Merchant::new(MERCHANT, &random_text(16)).app(APP, &random_text(16));
            let merchant = merchant.v3(&random_text(16), TrustMode::PublicKey);
            let platform = folder.path().join("platform");
            let douyin_apps = vec![DouyinApp::new(DOUYIN, &douyin_secret).named("渡口书店")];
            let options =
                Options { directory: Some(platform), merchants: vec![merchant], douyin_apps, ..Options::default() };
            tokio::task::spawn_blocking(move || Sandbox::start(options)).await??
        };
        let configuration = folder.path().join("config");
        let port = free_port()?;
        let provider = provider_section(kind, folder.path(), &sandbox)?;
        let secrets = [api_key.as_str(), &douyin_secret, &admin_token];
        write_configuration(&configuration, folder.path(), port, &sandbox, &provider, secrets)?;

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
        let admin_token = Secret::new(admin_token);
        Ok(Setting { kind, sandbox, gateway_url, admin_url, admin_token, client, service, _folder: folder })
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
    provider: &str,
    [api_key, douyin_secret, admin_token]: [&str; 3],
) -> anyhow::Result<()> {
    let tenants = configuration.join("tenants");
    std::fs::create_dir_all(&tenants)?;
    write_secret(&tenants.join("backend.key"), api_key)?;
    write_secret(&tenants.join("douyin.secret"), douyin_secret)?;
    write_secret(&configuration.join("admin.token"), admin_token)?;
    let store = folder.join("dukou.db");
    let gateway = format!(
        "[server]\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"http://127.0.0.1:{port}\"\ninsecure = true\n\n\
         [admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"file:admin.token\"\n\n[storage]\nurl = {}\n",
        quoted(&format!("sqlite://{}", store.display()))
    );
    std::fs::write(configuration.join("gateway.toml"), gateway)?;

    let tenant = format!(
        "id = \"{TENANT}\"\nname = \"渡口书店\"\n\
         api_keys = [{{ id = \"backend\", secret = \"file:backend.key\" }}]\n\n\
         {provider}\n\
         [plugins.douyin-share]\nclient_key = \"{DOUYIN}\"\nclient_secret = \"file:douyin.secret\"\n\
         base_url = \"{}\"\nca_cert = {}\nprobe_media = false\n\
         apps = {{ \"{APP}\" = \"tt226e54d3bd581bf8\" }}\n",
        sandbox.https_url(),
        file(&folder.join("platform/ca.pem")),
    );
    std::fs::write(tenants.join(format!("{TENANT}.toml")), tenant)?;
    Ok(())
}

/// The merchant's account at the sandbox.
fn provider_section(kind: Kind, folder: &Path, sandbox: &Sandbox) -> anyhow::Result<String> {
    let platform = folder.join("platform");
    let merchant = platform.join(MERCHANT);
    let own = |name: &str| file(&merchant.join(name));
    let keys = match kind {
        Kind::WechatV2 => format!(
            "kind = \"wechat-v2\"\napi_key = {}\nsign_type = \"HMAC-SHA256\"\nclient_cert = {}\nclient_key = {}\n",
            own("api_key"),
            own("apiclient_cert.pem"),
            own("apiclient_key.pem"),
        ),
        Kind::WechatV3 => format!(
            "kind = \"wechat-v3\"\napi_v3_key = {}\nserial_no = \"{}\"\nprivate_key = {}\ncertificate = {}\n\
             platform_public_key = {}\nplatform_public_key_id = \"{}\"\n",
            own("api_v3_key"),
            sandbox.merchant(MERCHANT)?.serial_no,
            own("apiclient_key.pem"),
            own("apiclient_cert.pem"),
            own("pub_key.pem"),
            sandbox.platform_public_key(MERCHANT)?.id,
        ),
    };
    let url = sandbox.https_url();
    Ok(format!(
        "[providers.{PROVIDER}]\n{keys}app_id = \"{APP}\"\napp_secret = {}\nmch_id = \"{MERCHANT}\"\n\
         base_url = \"{url}\"\nplatform_url = \"{url}\"\nca_cert = {}\n",
        own("app_secret"),
        file(&platform.join("ca.pem")),
    ))
}

/// A new folder that nobody else of the machine may look into: everything in it, the platform's keys too, is this run's.
fn own_folder() -> std::io::Result<TempDir> {
    let mut folder = tempfile::Builder::new();
    folder.prefix("dukou-demo-");
    #[cfg(unix)]
    folder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    folder.tempdir()
}

/// Writes what is its owner's alone.
fn write_secret(path: &Path, secret: &str) -> std::io::Result<()> {
    let mut create = std::fs::OpenOptions::new();
    create.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut create, 0o600);
    std::io::Write::write_all(&mut create.open(path)?, secret.as_bytes())
}

/// What names a file in a configuration.
fn file(path: &Path) -> String {
    quoted(&format!("file:{}", path.display()))
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

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_a_demonstration_keeps_is_its_owners_alone() {
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let folder = own_folder().unwrap();
        assert_eq!(mode(folder.path()), 0o700);
        let secret = folder.path().join("admin.token");
        write_secret(&secret, "hush").unwrap();
        assert_eq!((mode(&secret), std::fs::read_to_string(&secret).unwrap().as_str()), (0o600, "hush"));
    }
}

//! The payment platforms, simulated, for tests, demos and people.
//!
//! WeChat Pay's v2 and v3 sides, and Douyin's side for sharing, login and webhooks: real paths, real signatures and
//! certificates, real error codes, notifications with the platform's own repetitions. A control API under `/_sandbox`
//! pays, refunds, breaks and delays. The crate shares no code with the gateway. See the README beside this crate for
//! every call.

mod access_tokens;
mod certs;
mod cipher;
mod clock;
mod control;
mod douyin;
mod faults;
mod journal;
mod ledger;
mod merchants;
mod notify;
mod outgoing;
mod phone;
mod platform;
mod policy;
mod server;
mod sign;
#[cfg(test)]
mod vectors;
mod wechat_v3;
mod world;
mod xml;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use secrecy::ExposeSecret;

pub use certs::MerchantFiles;
pub use douyin::DouyinApp;
pub use merchants::{App, Merchant, SubMerchant};
use wechat_v3::PublicKey;
pub use wechat_v3::TrustMode;

/// How a sandbox starts.
#[derive(Debug)]
pub struct Options {
    /// The TLS listener, for the platform's own paths; port 0 takes any free one.
    pub https: SocketAddr,
    /// The plain listener, for the control API and the phone page; port 0 takes any free one.
    pub http: SocketAddr,
    /// Where that port is taken: whether any free one will do.
    pub any_http_port: bool,
    /// Where certificates and keys are kept from one run to the next; without it they live as long as the sandbox.
    pub directory: Option<PathBuf>,
    pub merchants: Vec<Merchant>,
    /// The apps of Douyin's open platform.
    pub douyin_apps: Vec<DouyinApp>,
    /// How long a receiver may take to answer a notification.
    pub notify_time_limit: Duration,
    /// Further root certificates (PEM) for receivers of notifications that speak TLS.
    pub trust: Vec<Vec<u8>>,
}

impl Default for Options {
    fn default() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            https: any,
            http: any,
            any_http_port: false,
            directory: None,
            merchants: Merchant::defaults(),
            douyin_apps: DouyinApp::defaults(),
            notify_time_limit: Duration::from_secs(5),
            trust: Vec::new(),
        }
    }
}

/// A running sandbox. It stops when dropped.
pub struct Sandbox {
    running: server::Running,
}

impl Sandbox {
    /// Starts a sandbox on threads of its own; it listens when this returns. May be called inside or outside tokio.
    ///
    /// # Errors
    /// If an address cannot be listened on, or the directory cannot be written.
    pub fn start(options: Options) -> Result<Self> {
        let Options { https, http, any_http_port, directory, merchants, douyin_apps, notify_time_limit, trust } =
            options;
        let settings =
            server::Settings { https, http, any_http_port, directory: directory.clone(), notify_time_limit, trust };
        let running = server::start(settings)?;
        for merchant in merchants {
            running.world.merchants.put(merchant);
        }
        for app in douyin_apps {
            running.world.douyin.apps.put(app);
        }
        let sandbox = Self { running };
        if let Some(directory) = directory {
            sandbox.write_files(&directory).with_context(|| format!("cannot write to {}", directory.display()))?;
        }
        Ok(sandbox)
    }

    /// Where the platform's paths are, without a trailing slash.
    pub fn https_url(&self) -> String {
        format!("https://{}", self.running.https)
    }

    /// Where the control API and the phone page are, without a trailing slash.
    pub fn http_url(&self) -> String {
        format!("http://{}", self.running.http)
    }

    /// The certificate to trust for [`Sandbox::https_url`].
    pub fn ca_pem(&self) -> String {
        self.running.world.authority.pem()
    }

    /// A merchant's API certificate.
    ///
    /// # Errors
    /// If there is no such merchant.
    pub fn merchant(&self, mch_id: &str) -> Result<MerchantFiles> {
        let merchant = self.running.world.merchants.get(mch_id).ok_or_else(|| anyhow!("no merchant {mch_id}"))?;
        merchant.files(&self.running.world.authority)
    }

    /// The public key the platform signs with for a merchant in public-key mode.
    ///
    /// # Errors
    /// If there is no such merchant.
    pub fn platform_public_key(&self, mch_id: &str) -> Result<PlatformPublicKey> {
        let world = &self.running.world;
        world.merchants.get(mch_id).ok_or_else(|| anyhow!("no merchant {mch_id}"))?;
        let PublicKey { signer, pem } = world.v3.trust.public_key(mch_id)?;
        Ok(PlatformPublicKey { id: signer.serial, pem })
    }

    /// The serial numbers of the platform's certificates and the certificates themselves, in PEM.
    ///
    /// # Errors
    /// If the first one cannot be made.
    pub fn platform_certificates(&self) -> Result<Vec<(String, String)>> {
        let world = &self.running.world;
        let all = world.v3.trust.certificates(&world.authority)?;
        Ok(all.into_iter().map(|one| (one.signer.serial, one.pem)).collect())
    }

    /// Stops and waits for the end.
    pub fn stop(self) {}

    fn write_files(&self, directory: &Path) -> Result<()> {
        for registered in self.running.world.merchants.all() {
            let merchant = &registered.merchant;
            let folder = directory.join(&merchant.mch_id);
            registered.files_in(&self.running.world.authority, &folder)?;
            certs::write_secret(&folder.join("api_key"), merchant.api_key.expose_secret().as_bytes())?;
            if let Some(key) = registered.v3_key() {
                certs::write_secret(&folder.join("api_v3_key"), key.as_bytes())?;
                let public = self.platform_public_key(&merchant.mch_id)?;
                std::fs::write(folder.join("pub_key.pem"), public.pem)?;
                std::fs::write(folder.join("pub_key_id"), public.id)?;
            }
            if let Some(app) = merchant.apps.first() {
                certs::write_secret(&folder.join("app_secret"), app.app_secret.expose_secret().as_bytes())?;
            }
            for sub in &merchant.sub_merchants {
                let Some(app) = sub.apps.first() else { continue };
                let folder = directory.join(&sub.mch_id);
                std::fs::create_dir_all(&folder)?;
                certs::write_secret(&folder.join("app_secret"), app.app_secret.expose_secret().as_bytes())?;
            }
        }
        for app in self.running.world.douyin.apps.all() {
            let folder = directory.join(&app.client_key);
            std::fs::create_dir_all(&folder)?;
            certs::write_secret(&folder.join("client_secret"), app.client_secret.expose_secret().as_bytes())?;
        }
        if self.running.world.merchants.all().iter().any(|merchant| merchant.v3_key().is_some()) {
            self.platform_certificates()?;
        }
        Ok(())
    }
}

/// A merchant's platform public key (微信支付公钥) as the merchant platform hands it out.
#[derive(Clone, Debug)]
pub struct PlatformPublicKey {
    /// `PUB_KEY_ID_` and digits.
    pub id: String,
    /// PEM, `PUBLIC KEY`.
    pub pem: String,
}

/// Locks, also after a panic elsewhere: every critical section leaves the data whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

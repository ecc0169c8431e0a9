//! Merchants (商户), the apps bound to them, and the people who log in to those apps.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use anyhow::Result;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::certs::{Authority, MerchantFiles};
use crate::clock::Millis;
use crate::lock;
use crate::wechat_v3::{PrivateKey, TrustMode};

/// One merchant number with its v2 key and the apps bound to it.
#[derive(Clone, Debug, Deserialize)]
pub struct Merchant {
    pub mch_id: String,
    /// The APIv2 key: 32 bytes.
    pub api_key: SecretString,
    #[serde(default)]
    pub apps: Vec<App>,
    /// The APIv3 key: 32 bytes. Without it the merchant has no v3 API.
    #[serde(default)]
    pub api_v3_key: Option<SecretString>,
    /// How the merchant trusts the platform in v3 until the control API changes it.
    #[serde(default)]
    pub trust: TrustMode,
    /// The merchants this one acts for as a service provider (服务商).
    #[serde(default)]
    pub sub_merchants: Vec<SubMerchant>,
}

/// A merchant that a service provider acts for (特约商户), and the apps of its own.
#[derive(Clone, Debug, Deserialize)]
pub struct SubMerchant {
    pub mch_id: String,
    #[serde(default)]
    pub apps: Vec<App>,
}

/// A mini-program or another app, and the secret its back end logs people in with.
#[derive(Clone, Debug, Deserialize)]
pub struct App {
    pub app_id: String,
    pub app_secret: SecretString,
}

impl App {
    fn new(app_id: &str, app_secret: &str) -> Self {
        Self { app_id: app_id.to_owned(), app_secret: app_secret.to_owned().into() }
    }
}

impl Merchant {
    /// A merchant without apps.
    pub fn new(mch_id: &str, api_key: &str) -> Self {
        Self {
            mch_id: mch_id.to_owned(),
            api_key: api_key.to_owned().into(),
            apps: Vec::new(),
            api_v3_key: None,
            trust: TrustMode::default(),
            sub_merchants: Vec::new(),
        }
    }

    /// Opens the v3 API.
    #[must_use]
    pub fn v3(mut self, api_v3_key: &str, trust: TrustMode) -> Self {
        self.api_v3_key = Some(api_v3_key.to_owned().into());
        self.trust = trust;
        self
    }

    /// Lets the merchant act for another, which has these apps: their ids and secrets.
    #[must_use]
    pub fn acts_for(mut self, mch_id: &str, apps: &[(&str, &str)]) -> Self {
        let apps = apps.iter().map(|(app_id, app_secret)| App::new(app_id, app_secret)).collect();
        self.sub_merchants.push(SubMerchant { mch_id: mch_id.to_owned(), apps });
        self
    }

    /// Binds an app.
    #[must_use]
    pub fn app(mut self, app_id: &str, app_secret: &str) -> Self {
        self.apps.push(App::new(app_id, app_secret));
        self
    }

    /// The two merchants a sandbox starts with unless told otherwise. Their keys are public: they guard nothing.
    pub fn defaults() -> Vec<Self> {
        vec![
            Self::new("1900000109", "3f7c9d0ab1e24c6f8a5d7e9012b3c4d5")
                .app("wx8888888888888888", "bookshop-app-secret")
                .v3("Dev0nlyV3Key-abcdefghijklmnop123", TrustMode::PublicKey)
                .acts_for("1900000200", &[("wx6666666666666666", "bookshop-branch-app-secret")]),
            Self::new("1900000110", "9b1e6a4cf07d42d3a58e23c17f60b9d2")
                .app("wx7777777777777777", "teahouse-app-secret")
                .v3("Teahouse0V3Key-qrstuvwxyz0123456", TrustMode::Certificate)
                .acts_for("1900000201", &[("wx5555555555555555", "teahouse-branch-app-secret")]),
        ]
    }
}

/// A registered merchant. Its certificate is made when somebody first asks for it: an RSA key takes a while.
pub struct Registered {
    pub merchant: Merchant,
    files: OnceLock<MerchantFiles>,
    /// The certificate's public key as PKCS#1, once a request came to be checked.
    public: OnceLock<Option<Vec<u8>>>,
}

impl Registered {
    pub fn key(&self) -> &str {
        self.merchant.api_key.expose_secret()
    }

    pub fn mch_id(&self) -> &str {
        &self.merchant.mch_id
    }

    /// The APIv3 key, if the merchant has one.
    pub fn v3_key(&self) -> Option<&str> {
        self.merchant.api_v3_key.as_ref().map(|key| key.expose_secret())
    }

    /// The merchant this one acts for under that number.
    pub fn sub_merchant(&self, mch_id: &str) -> Option<&SubMerchant> {
        self.merchant.sub_merchants.iter().find(|sub| sub.mch_id == mch_id)
    }

    /// Serial number and public key (PKCS#1) of the API certificate; `None` while nobody has asked for its files.
    pub fn verifying_key(&self) -> Option<(&str, &[u8])> {
        let files = self.files.get()?;
        let read = || PrivateKey::from_pem(&files.client_key_pem).ok().map(|key| key.public().to_vec());
        let public = self.public.get_or_init(read).as_deref()?;
        Some((&files.serial_no, public))
    }

    pub fn has_app(&self, app_id: &str) -> bool {
        self.merchant.apps.iter().any(|app| app.app_id == app_id)
    }

    /// The certificate kept in the merchant's folder, made and written there if it is missing.
    pub fn files_in(&self, authority: &Authority, folder: &Path) -> Result<()> {
        let files = authority.kept_for(&self.merchant.mch_id, folder)?;
        self.files.get_or_init(|| files);
        Ok(())
    }

    pub fn files(&self, authority: &Authority) -> Result<MerchantFiles> {
        if let Some(files) = self.files.get() {
            return Ok(files.clone());
        }
        let files = authority.issue(&self.merchant.mch_id)?;
        Ok(self.files.get_or_init(|| files).clone())
    }
}

/// All merchants, by number.
#[derive(Default)]
pub struct Merchants(RwLock<HashMap<String, Arc<Registered>>>);

impl Merchants {
    /// Adds a merchant or replaces the one of that number.
    pub fn put(&self, merchant: Merchant) -> Arc<Registered> {
        let mch_id = merchant.mch_id.clone();
        let registered = Arc::new(Registered { merchant, files: OnceLock::new(), public: OnceLock::new() });
        let mut all = self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        all.insert(mch_id, Arc::clone(&registered));
        registered
    }

    pub fn get(&self, mch_id: &str) -> Option<Arc<Registered>> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).get(mch_id).cloned()
    }

    pub fn all(&self) -> Vec<Arc<Registered>> {
        let mut all: Vec<_> =
            self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).values().cloned().collect();
        all.sort_by(|a, b| a.merchant.mch_id.cmp(&b.merchant.mch_id));
        all
    }

    /// Whether a merchant's certificate has that number.
    pub fn has_serial(&self, serial_no: &str) -> bool {
        self.all().iter().any(|merchant| merchant.verifying_key().is_some_and(|(serial, _)| serial == serial_no))
    }

    /// Whether anybody has that app.
    pub fn knows_app(&self, app_id: &str) -> bool {
        self.app_secret(app_id).is_some()
    }

    /// The secret of an app, whoever's it is, a sub-merchant's too.
    pub fn app_secret(&self, app_id: &str) -> Option<SecretString> {
        let all = self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let subs = all.values().flat_map(|m| &m.merchant.sub_merchants).flat_map(|sub| &sub.apps);
        let mut apps = all.values().flat_map(|m| &m.merchant.apps).chain(subs);
        apps.find(|app| app.app_id == app_id).map(|app| app.app_secret.clone())
    }
}

/// A login code (`wx.login`) that was handed to a phone.
#[derive(Clone, Debug, Serialize)]
pub struct Code {
    pub app_id: String,
    pub openid: String,
    pub unionid: Option<String>,
    /// The platform refuses the code with this `errcode`.
    pub errcode: Option<i64>,
    #[serde(skip)]
    pub issued_at: Millis,
    #[serde(skip)]
    pub used: bool,
}

/// Who is who: login codes, and the app each openid belongs to.
#[derive(Default)]
pub struct People {
    codes: Mutex<HashMap<String, Code>>,
    openids: Mutex<HashMap<String, String>>,
}

impl People {
    pub fn clear(&self) {
        lock(&self.codes).clear();
        lock(&self.openids).clear();
    }

    pub fn add_code(&self, text: String, code: Code) {
        lock(&self.codes).insert(text, code);
    }

    /// Runs `judge` on the code while nobody else can use it.
    pub fn with_code<T>(&self, text: &str, judge: impl FnOnce(Option<&mut Code>) -> T) -> T {
        judge(lock(&self.codes).get_mut(text))
    }

    /// Binds an openid to the app at first use; false if it is another app's.
    pub fn bind(&self, openid: &str, app_id: &str) -> bool {
        let mut openids = lock(&self.openids);
        match openids.get(openid) {
            Some(owner) => owner == app_id,
            None => {
                openids.insert(openid.to_owned(), app_id.to_owned());
                true
            }
        }
    }
}

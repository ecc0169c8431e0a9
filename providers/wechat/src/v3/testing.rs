//! A fixed world for the unit tests: a clock that is set, nonces, configuration, WeChat's private keys,
//! and a transport that replays.

use std::any::Any;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, OnceLock};

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use dukou_domain::Timestamp;
use dukou_spi::settings::{Environment, Section};
use dukou_spi::transport::{
    HttpAnswer, InvalidTransport, Transport, TransportError, TransportFactory, TransportOptions,
};
use dukou_spi::{Clock, Context, Kept, PlatformTime, ProcessState, Provider, ProviderFactory, TrustShelf};
use serde_json::{Value, json};
use x509_parser::pem::parse_x509_pem;

use super::Factory;
use super::config::Settings;
use crate::v2::testing::Fixed;
pub use crate::v2::testing::{APP_ID, MCH_ID, NOW, Replay, fen, order, refund, refund_query};

pub const API_V3_KEY: &str = "Dev0nlyV3Key-abcdefghijklmnop123";
pub const PUBLIC_KEY_ID: &str = "PUB_KEY_ID_0119000001092026010100000000000001";
pub const OLD_SERIAL: &str = "6654B35857F905EB149A71173BFAB036432DF06E";
pub const NEW_SERIAL: &str = "5D5FF6BECA606D48F2BD14C73D05B6D08391108B";

pub static VECTORS: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../../testdata/wechat-pay-v3.json")).unwrap());

/// A text of the vectors' keys, by its path (`keys.merchant.serial_no`).
pub fn key_text(path: &str) -> &'static str {
    let found = path.split('.').fold(&*VECTORS, |value, name| &value[name]);
    found.as_str().unwrap_or_else(|| panic!("{path}"))
}

pub fn key_pair(path: &str) -> RsaKeyPair {
    let (_, pem) = parse_x509_pem(key_text(path).as_bytes()).unwrap();
    RsaKeyPair::from_pkcs8(&pem.contents).unwrap()
}

struct TestEnvironment;

impl Environment for TestEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        Some(match name {
            "APP_SECRET" => "app-secret".to_owned(),
            "API_V3_KEY" => API_V3_KEY.to_owned(),
            path => key_text(path).to_owned(),
        })
    }

    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        Ok(key_text(path.file_name().unwrap().to_str().unwrap()).as_bytes().to_owned())
    }
}

/// A clock that is set.
pub struct SetClock(pub AtomicI64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A shelf in memory: what is on it is shared by instances, what providers have in common is one process's own.
#[derive(Default)]
pub struct MemoryShelf(pub Arc<Mutex<Option<Kept>>>, OnceLock<Arc<dyn Any + Send + Sync>>);

impl MemoryShelf {
    /// The same, as another process sees it.
    pub fn elsewhere(&self) -> Arc<Self> {
        Arc::new(MemoryShelf(Arc::clone(&self.0), OnceLock::new()))
    }
}

#[async_trait]
impl TrustShelf for MemoryShelf {
    async fn load(&self, _: &str) -> Option<Kept> {
        self.0.lock().unwrap().clone()
    }

    async fn keep(&self, account: &str, kept: Kept) {
        assert_eq!(account, format!("wechat-v3:{MCH_ID}"));
        *self.0.lock().unwrap() = Some(kept);
    }

    fn common(&self, account: &str, made: Arc<dyn Any + Send + Sync>) -> Arc<dyn Any + Send + Sync> {
        assert_eq!(account, format!("wechat-v3:{MCH_ID}"));
        Arc::clone(self.1.get_or_init(|| made))
    }
}

/// The hosts that the tests' merchants call; no other may speak of the time.
const HOSTS: [&str; 3] = ["api.mch.weixin.qq.com", "pay.example.com", "proxy.example.com"];

/// Keeps the times that messages were signed at.
#[derive(Default)]
pub struct Heard(pub Mutex<Vec<i64>>);

impl PlatformTime for Heard {
    fn signed(&self, host: &str, theirs: Timestamp) {
        assert!(HOSTS.contains(&host), "{host}");
        self.0.lock().unwrap().push(theirs.as_seconds());
    }
}

/// One instance's surroundings.
#[derive(Clone)]
pub struct World {
    pub replay: Arc<Replay>,
    pub clock: Arc<SetClock>,
    pub shelf: Arc<MemoryShelf>,
    pub heard: Arc<Heard>,
}

impl Default for World {
    fn default() -> Self {
        World {
            replay: Arc::default(),
            clock: Arc::new(SetClock(AtomicI64::new(NOW.as_millis()))),
            shelf: Arc::default(),
            heard: Arc::default(),
        }
    }
}

impl TransportFactory for World {
    fn build(&self, _: TransportOptions) -> Result<Arc<dyn Transport>, InvalidTransport> {
        Ok(Arc::<Replay>::clone(&self.replay))
    }
}

impl World {
    pub fn context(&self) -> Context {
        Context {
            clock: Arc::<SetClock>::clone(&self.clock),
            random: Arc::new(Fixed),
            transports: Arc::new(self.clone()),
            shelf: Arc::<MemoryShelf>::clone(&self.shelf),
            time: Arc::<Heard>::clone(&self.heard),
            shared: Arc::new(ProcessState::default()),
            insecure: false,
        }
    }

    pub fn set_seconds(&self, seconds: i64) {
        self.clock.0.store(seconds * 1000, Ordering::SeqCst);
    }

    pub fn now(&self) -> i64 {
        self.clock.now().as_seconds()
    }

    pub fn build(&self, section: &Value) -> (Option<Arc<dyn Provider>>, Vec<String>) {
        let mut read = Section::new("shop.toml", "providers.wechat3", section.as_object().unwrap(), &TestEnvironment);
        let provider = Factory.build(&mut read, &self.context());
        (provider, read.finish().iter().map(ToString::to_string).collect())
    }

    pub fn settings(&self, section: &Value) -> Settings {
        let mut read = Section::new("shop.toml", "providers.wechat3", section.as_object().unwrap(), &TestEnvironment);
        Settings::read(&mut read, &self.context()).unwrap_or_else(|| panic!("{:#?}", read.finish()))
    }

    pub fn provider(&self, changes: Value) -> Arc<dyn Provider> {
        let (provider, problems) = self.build(&section(changes));
        provider.unwrap_or_else(|| panic!("{problems:#?}"))
    }

    /// The next answer, signed now with WeChat's public key.
    pub fn answers(&self, status: u16, body: &str) {
        self.replay.push(self.signed_by(PUBLIC_KEY_ID, status, body));
    }

    pub fn signed_by(&self, serial: &str, status: u16, body: &str) -> Result<HttpAnswer, TransportError> {
        let headers = signed(serial, self.now(), body.as_bytes());
        Ok(HttpAnswer { status, headers, body: Bytes::copy_from_slice(body.as_bytes()) })
    }
}

/// The smallest whole section in public-key mode, overlaid with `changes` (null takes a key away).
pub fn section(changes: Value) -> Value {
    let mut section = json!({
        "app_id": APP_ID,
        "app_secret": "env:APP_SECRET",
        "mch_id": MCH_ID,
        "api_v3_key": "env:API_V3_KEY",
        "serial_no": key_text("keys.merchant.serial_no"),
        "private_key": "env:keys.merchant.private_key_pkcs8_pem",
        "platform_public_key": "env:keys.platform_public_key.public_key_pem",
        "platform_public_key_id": PUBLIC_KEY_ID,
    });
    for (key, value) in changes.as_object().unwrap() {
        section[key.as_str()] = value.clone();
    }
    section.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    section
}

/// In platform-certificate mode.
pub fn certificate_mode() -> Value {
    json!({ "platform_public_key": null, "platform_public_key_id": null })
}

/// In partner mode with an app of the merchant's own.
pub fn partner_mode() -> Value {
    json!({ "sub_mch_id": "1900000100", "sub_app_id": "wx7777777777777777" })
}

fn private_key(serial: &str) -> &'static str {
    match serial {
        PUBLIC_KEY_ID => "keys.platform_public_key.private_key_pkcs8_pem",
        OLD_SERIAL => "keys.platform_cert_old.private_key_pkcs8_pem",
        NEW_SERIAL => "keys.platform_cert_new.private_key_pkcs8_pem",
        // A key that nobody announced.
        _ => "keys.merchant.private_key_pkcs8_pem",
    }
}

/// WeChat's signature headers over a body.
pub fn signed(serial: &str, seconds: i64, body: &[u8]) -> Vec<(String, String)> {
    let pair = key_pair(private_key(serial));
    let nonce = "n0nce";
    let message = [format!("{seconds}\n{nonce}\n").as_bytes(), body, b"\n"].concat();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), &message, &mut signature).unwrap();
    [
        ("wechatpay-timestamp", seconds.to_string()),
        ("wechatpay-nonce", nonce.to_owned()),
        ("wechatpay-serial", serial.to_owned()),
        ("wechatpay-signature", BASE64_STANDARD.encode(signature)),
        ("wechatpay-signature-type", "WECHATPAY2-SHA256-RSA2048".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .to_vec()
}

/// What WeChat encrypts under the APIv3 key.
pub fn sealed(key: &str, original_type: &str, plain: &[u8]) -> Value {
    use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_bytes()).unwrap());
    let mut in_out = plain.to_owned();
    let nonce = Nonce::try_assume_unique_for_key(b"0123456789ab").unwrap();
    key.seal_in_place_append_tag(nonce, Aad::from(original_type.as_bytes()), &mut in_out).unwrap();
    json!({
        "algorithm": "AEAD_AES_256_GCM", "nonce": "0123456789ab", "associated_data": original_type,
        "original_type": original_type, "ciphertext": BASE64_STANDARD.encode(in_out),
    })
}

/// The list of certificates as WeChat answers it.
pub fn certificate_list(key: &str, certificates: &[(&str, &str)]) -> String {
    let listed: Vec<Value> = certificates
        .iter()
        .map(|(serial, pem)| {
            json!({
                "serial_no": serial, "effective_time": "2026-01-01T08:00:00+08:00",
                "expire_time": "2031-01-01T08:00:00+08:00",
                "encrypt_certificate": sealed(key, "certificate", pem.as_bytes()),
            })
        })
        .collect();
    json!({ "data": listed }).to_string()
}

pub fn old_certificate() -> (&'static str, &'static str) {
    (OLD_SERIAL, key_text("keys.platform_cert_old.certificate_pem"))
}

pub fn new_certificate() -> (&'static str, &'static str) {
    (NEW_SERIAL, key_text("keys.platform_cert_new.certificate_pem"))
}

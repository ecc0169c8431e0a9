//! WeChat Pay's v3 side: JSON, RSA signatures both ways, AES-GCM. The frame every call goes through is in [`call`];
//! what a call does is in the module of its name.

mod aead;
mod answer;
mod authorization;
mod bill;
mod call;
mod certificates;
mod client;
mod close;
mod control;
mod error;
mod fund_flow;
mod judge;
mod keys;
pub mod notice;
mod oaep;
mod order_fields;
mod prepay;
mod query;
mod reader;
mod refund;
mod refund_query;
mod route;
mod stamp;
mod transaction;
mod trust;
#[cfg(test)]
mod vectors;
mod word;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Mutex;

use serde_json::Value;

pub use call::routes;
pub use client::check as check_client;
pub use control::{notify_order, routes as control_routes};
pub use keys::PrivateKey;
pub use notice::{Notice, Writing};
pub use route::operations;
pub use stamp::Damage;
pub use trust::{PublicKey, TrustMode};
pub use word::Word;

use crate::certs::Authority;
use crate::lock;
use bill::Downloads;
use trust::Trust;

/// Seconds a request's timestamp may be away from the platform's time.
const WINDOW_SECONDS: i64 = 300;
/// Nonces remembered, so that a long run stays small.
const MAX_NONCES: usize = 200_000;

/// What the v3 side keeps besides orders and refunds, which it shares with v2.
pub struct V3 {
    pub trust: Trust,
    downloads: Downloads,
    /// When each nonce was used, by merchant and nonce.
    nonces: Mutex<HashMap<(String, String), i64>>,
}

impl V3 {
    /// Keys are kept in the directory if there is one.
    pub fn new(directory: Option<PathBuf>) -> Self {
        Self { trust: Trust::new(directory), downloads: Downloads::default(), nonces: Mutex::default() }
    }

    pub fn reset(&self, authority: &Authority) {
        if let Err(error) = self.trust.reset(authority) {
            tracing::error!(%error, "the platform's first certificate could not be made again");
        }
        self.downloads.clear();
        lock(&self.nonces).clear();
    }

    /// Takes note of a nonce; false if it was used within the window already.
    fn first_use(&self, mch_id: &str, nonce: &str, now: i64) -> bool {
        let mut nonces = lock(&self.nonces);
        if nonces.len() >= MAX_NONCES {
            nonces.retain(|_, at| now - *at <= 2 * WINDOW_SECONDS);
        }
        if nonces.len() >= MAX_NONCES {
            nonces.clear();
        }
        let used = nonces.insert((mch_id.to_owned(), nonce.to_owned()), now);
        used.is_none_or(|at| now - at > 2 * WINDOW_SECONDS)
    }
}

/// Sets fields, each as [`put`] does.
fn put_all(root: &mut Value, fields: &BTreeMap<String, Value>) {
    for (path, value) in fields {
        put(root, path, value.clone());
    }
}

/// Sets a field by its dotted path (`amount.total`), making the objects on the way; null takes it away.
fn put(root: &mut Value, path: &str, value: Value) {
    let (parents, name) = path.rsplit_once('.').unwrap_or(("", path));
    let mut at = root;
    for step in parents.split('.').filter(|step| !step.is_empty()) {
        if !at[step].is_object() {
            at[step] = Value::Object(serde_json::Map::new());
        }
        at = &mut at[step];
    }
    let Some(fields) = at.as_object_mut() else { return };
    if value.is_null() {
        fields.remove(name);
    } else {
        fields.insert(name.to_owned(), value);
    }
}

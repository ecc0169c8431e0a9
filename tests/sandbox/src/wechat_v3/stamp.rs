//! The signature of answers and notifications: the `Wechatpay-*` headers, whole or damaged on purpose.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_STANDARD, Engine};
use serde::Deserialize;

use super::authorization::{SCHEME, answer_message};
use super::trust::{Purpose, Signer};
use crate::ledger::token;
use crate::merchants::Registered;
use crate::world::World;

/// What a probe (签名探测流量) puts before a signature that is none.
pub const PROBE_PREFIX: &str = "WECHATPAY/SIGNTEST/";
/// Characters of a signature of 2048 bits in base64.
const SIGNATURE_LENGTH: usize = 344;

pub const TIMESTAMP: &str = "Wechatpay-Timestamp";
pub const NONCE: &str = "Wechatpay-Nonce";
pub const SIGNATURE: &str = "Wechatpay-Signature";
pub const SERIAL: &str = "Wechatpay-Serial";
pub const SIGNATURE_TYPE: &str = "Wechatpay-Signature-Type";

/// Header names and values, in the order they are sent.
pub type Headers = Vec<(String, String)>;

/// What is wrong with a signature; nothing by default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Damage {
    /// A probe: no signature at all behind the probes' prefix.
    pub probe: bool,
    /// One character of the signature is another.
    pub flip: bool,
    /// Seconds added to the signed timestamp.
    pub timestamp_offset: i64,
    /// The signed nonce.
    pub nonce: Option<String>,
    /// The key that signs: a certificate's serial or the public key's id. `unknown`: a good signature under a serial
    /// that nobody has ever heard of.
    pub serial: Option<String>,
    /// Headers left out.
    pub omit: Vec<String>,
    /// Headers sent twice.
    pub double: Vec<String>,
    /// Headers whose value is replaced after signing.
    pub replace: std::collections::BTreeMap<String, String>,
}

/// Unix seconds by the platform's clock as its callers see it: the real time, moved as the policy says. The sandbox's
/// own clock, which a test moves by days, does not count here.
pub fn platform_time(world: &World) -> i64 {
    let real = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    i64::try_from(real).unwrap_or(i64::MAX).saturating_add(i64::from(world.date_skew_seconds()))
}

/// The key that signs for this merchant now, unless the damage names another.
///
/// # Errors
/// If a key cannot be made, or none has the name.
pub fn signer(
    world: &World,
    merchant: &Registered,
    purpose: Purpose,
    wanted: Option<&str>,
    damage: &Damage,
) -> anyhow::Result<Signer> {
    let trust = &world.v3.trust;
    let usual = || trust.signer(&world.authority, merchant.mch_id(), merchant.merchant.trust, purpose, wanted);
    match damage.serial.as_deref() {
        None => usual(),
        Some("unknown") => Ok(Signer { serial: hex::encode_upper(crate::certs::serial_number()), key: usual()?.key }),
        Some(serial) => trust
            .named(&world.authority, merchant.mch_id(), serial)?
            .ok_or_else(|| anyhow::anyhow!("the platform has no key {serial} for this merchant")),
    }
}

/// The headers over a body.
pub fn headers(world: &World, signer: &Signer, body: &[u8], damage: &Damage) -> Headers {
    let timestamp = platform_time(world).saturating_add(damage.timestamp_offset).to_string();
    let nonce = damage.nonce.clone().unwrap_or_else(|| token(32));
    let mut signature = if damage.probe { probe() } else { signer.key.sign(&answer_message(&timestamp, &nonce, body)) };
    if damage.flip {
        let first = if signature.starts_with('A') { "B" } else { "A" };
        signature.replace_range(..1, first);
    }
    let all = [
        (TIMESTAMP, timestamp),
        (NONCE, nonce),
        (SERIAL, signer.serial.clone()),
        (SIGNATURE, signature),
        (SIGNATURE_TYPE, SCHEME.to_owned()),
    ];
    let named = |names: &[String], name: &str| names.iter().any(|one| one.eq_ignore_ascii_case(name));
    let mut headers = Headers::new();
    for (name, value) in all {
        if named(&damage.omit, name) {
            continue;
        }
        let other = damage.replace.iter().find(|(one, _)| one.eq_ignore_ascii_case(name));
        let value = other.map_or(value, |(_, value)| value.clone());
        if named(&damage.double, name) {
            headers.push((name.to_owned(), value.clone()));
        }
        headers.push((name.to_owned(), value));
    }
    headers
}

fn probe() -> String {
    let bytes: [u8; 255] = std::array::from_fn(|_| rand::random());
    let mut text = format!("{PROBE_PREFIX}{}", BASE64_STANDARD.encode(bytes));
    text.truncate(SIGNATURE_LENGTH);
    text
}

//! What a message is worth as it leaves: judged over its bytes and headers, not by what it was meant to be, so that a
//! checker can tell the platform's word from one that was spoilt on the way out.

use serde::Serialize;
use serde_json::Value;

use super::authorization::answer_message;
use super::keys::verify;
use super::stamp::{self, Headers, platform_time};
use super::{WINDOW_SECONDS, aead};
use crate::world::World;

/// For the journal.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Word {
    /// The signature is good over these very bytes, made now, by a key of the platform's that is in force, and each
    /// header that says so is there once.
    pub genuine: bool,
    /// What is encrypted in a notification, as the merchant reads it; absent when its key does not open it.
    pub resource: Option<String>,
}

impl Word {
    /// What an answer to this merchant says.
    pub fn answered(world: &World, mch_id: &str, headers: &Headers, body: &[u8]) -> Self {
        Self { genuine: is_genuine(world, mch_id, headers, body), resource: None }
    }

    /// What a notification to this merchant says.
    pub fn notified(world: &World, mch_id: &str, headers: &Headers, body: &[u8]) -> Self {
        Self { resource: opened(world, mch_id, body), ..Self::answered(world, mch_id, headers, body) }
    }
}

fn is_genuine(world: &World, mch_id: &str, headers: &Headers, body: &[u8]) -> bool {
    let once = |name: &str| {
        let mut all = headers.iter().filter(|(one, _)| one.eq_ignore_ascii_case(name));
        let (_, value) = all.next()?;
        all.next().is_none().then_some(value.as_str())
    };
    let [Some(timestamp), Some(nonce), Some(serial), Some(signature)] =
        [stamp::TIMESTAMP, stamp::NONCE, stamp::SERIAL, stamp::SIGNATURE].map(once)
    else {
        return false;
    };
    let Ok(at) = timestamp.parse::<i64>() else { return false };
    if platform_time(world).abs_diff(at) > WINDOW_SECONDS.unsigned_abs() {
        return false;
    }
    let signer = world.v3.trust.in_force(mch_id, serial);
    signer.is_some_and(|signer| verify(signer.key.public(), &answer_message(timestamp, nonce, body), signature))
}

fn opened(world: &World, mch_id: &str, body: &[u8]) -> Option<String> {
    let merchant = world.merchants.get(mch_id)?;
    let envelope: Value = serde_json::from_slice(body).ok()?;
    let sealed = &envelope["resource"];
    let text = |name: &str| sealed[name].as_str();
    let associated_data = text("associated_data").unwrap_or_default();
    aead::decrypt(merchant.v3_key()?, text("nonce")?, associated_data, text("ciphertext")?)
}

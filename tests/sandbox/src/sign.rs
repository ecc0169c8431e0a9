//! The v2 signature (APIv2 安全规范): sorted `name=value` pairs, the merchant's key at the end, MD5 or HMAC-SHA256.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// The fields of one document, by name. The map's order is the order of the signature: by byte value.
pub type Fields = BTreeMap<String, String>;

/// The digest of a v2 signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignType {
    /// What a missing `sign_type` means.
    #[serde(rename = "MD5")]
    Md5,
    /// Must be asked for with the `sign_type` field.
    #[serde(rename = "HMAC-SHA256")]
    HmacSha256,
}

impl SignType {
    /// Reads the value of a `sign_type` field; absent or empty means MD5, anything unknown is `None`.
    pub fn from_field(value: Option<&str>) -> Option<Self> {
        match value {
            None | Some("" | "MD5") => Some(Self::Md5),
            Some("HMAC-SHA256") => Some(Self::HmacSha256),
            Some(_) => None,
        }
    }

    /// The value of the `sign_type` field.
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::HmacSha256 => "HMAC-SHA256",
        }
    }
}

/// The text that is digested. It ends with the key: never log it.
fn string_to_sign(fields: &Fields, key: &str) -> String {
    let mut text = String::with_capacity(512);
    for (name, value) in fields {
        if name == "sign" || value.is_empty() {
            continue;
        }
        text.push_str(name);
        text.push('=');
        text.push_str(value);
        text.push('&');
    }
    text.push_str("key=");
    text.push_str(key);
    text
}

/// The signature over all fields but `sign` and the empty ones, in upper-case hex.
pub fn sign(fields: &Fields, key: &str, sign_type: SignType) -> String {
    let text = string_to_sign(fields, key);
    match sign_type {
        SignType::Md5 => hex::encode_upper(md5::compute(text.as_bytes()).0),
        SignType::HmacSha256 => {
            let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("HMAC takes a key of any length");
            mac.update(text.as_bytes());
            hex::encode_upper(mac.finalize().into_bytes())
        }
    }
}

/// Whether the document's `sign` field is right, compared in constant time and without regard to case.
pub fn verify(fields: &Fields, key: &str, sign_type: SignType) -> bool {
    let Some(given) = fields.get("sign") else { return false };
    let expected = sign(fields, key, sign_type);
    expected.as_bytes().ct_eq(given.to_ascii_uppercase().as_bytes()).into()
}

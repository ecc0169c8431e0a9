//! The signature of APIv2 (protocol section "signature algorithm"): pure, no IO.
//!
//! All fields but `sign` and the empty ones, ascending by name, joined as `name=value&…&key=KEY`;
//! its MD5, or its HMAC-SHA256 under the same key, in upper-case hexadecimal digits.

use std::fmt;

use aws_lc_rs::hmac;
use dukou_domain::Secret;
use dukou_spi::Proof;
use md5::{Digest as _, Md5};

use super::xml::Fields;

/// Which digest a signature is. It comes from the configuration or is kept with the order; a message never says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignType {
    Md5,
    HmacSha256,
}

impl SignType {
    /// The word in `sign_type` and `signType`.
    pub const fn as_str(self) -> &'static str {
        match self {
            SignType::Md5 => "MD5",
            SignType::HmacSha256 => "HMAC-SHA256",
        }
    }

    /// The one that this is not.
    pub const fn other(self) -> Self {
        match self {
            SignType::Md5 => SignType::HmacSha256,
            SignType::HmacSha256 => SignType::Md5,
        }
    }

    /// The length of a signature, in hexadecimal digits.
    const fn digits(self) -> usize {
        match self {
            SignType::Md5 => 32,
            SignType::HmacSha256 => 64,
        }
    }
}

/// Signs and verifies with one merchant's key.
pub struct Signer {
    sign_type: SignType,
    key: Secret,
    hmac_key: hmac::Key,
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("sign_type", &self.sign_type).finish_non_exhaustive()
    }
}

impl Signer {
    pub fn new(sign_type: SignType, key: Secret) -> Self {
        let hmac_key = hmac::Key::new(hmac::HMAC_SHA256, key.expose().as_bytes());
        Signer { sign_type, key, hmac_key }
    }

    pub const fn sign_type(&self) -> SignType {
        self.sign_type
    }

    /// The key, for what is derived from it.
    pub(super) const fn key(&self) -> &Secret {
        &self.key
    }

    /// Signs fields in any order, as requests are.
    pub fn sign(&self, fields: &[(&str, &str)]) -> String {
        self.sign_as(self.sign_type, fields)
    }

    /// Signs fields in any order, with the digest of an order that was made before.
    pub fn sign_as(&self, sign_type: SignType, fields: &[(&str, &str)]) -> String {
        let mut sorted: Vec<(&str, &str)> = fields.to_vec();
        sorted.sort_unstable_by_key(|(name, _)| *name);
        self.digest(sign_type, sorted.into_iter()).as_str().to_owned()
    }

    /// Checks an answer's `sign` over every field it has: answers are signed as their requests. `None` when it is
    /// missing, wrong, or as long as the other algorithm's.
    pub fn verify(&self, fields: &Fields<'_>) -> Option<Proof> {
        self.verify_as(self.sign_type, fields)
    }

    /// As [`Signer::verify`], with the digest of an order that was made before.
    pub fn verify_as(&self, sign_type: SignType, fields: &Fields<'_>) -> Option<Proof> {
        let received = fields.get("sign").filter(|sign| sign.len() == sign_type.digits())?;
        let expected = self.digest(sign_type, fields.iter());
        Proof::by_keyed_digest(expected.as_str().as_bytes(), received.as_bytes())
    }

    /// `fields` ascending by name.
    fn digest<'f>(&self, sign_type: SignType, fields: impl Iterator<Item = (&'f str, &'f str)>) -> HexDigest {
        let signed = fields.filter(|(name, value)| *name != "sign" && !value.is_empty());
        match sign_type {
            SignType::Md5 => {
                let mut md5 = Md5::new();
                feed(signed, &self.key, |piece| md5.update(piece));
                HexDigest::new(&md5.finalize())
            }
            SignType::HmacSha256 => {
                let mut context = hmac::Context::with_key(&self.hmac_key);
                feed(signed, &self.key, |piece| context.update(piece));
                HexDigest::new(context.sign().as_ref())
            }
        }
    }
}

/// The string to sign, piece by piece, so that it (and the key in it) is never put together.
fn feed<'f>(fields: impl Iterator<Item = (&'f str, &'f str)>, key: &Secret, mut update: impl FnMut(&[u8])) {
    for (name, value) in fields {
        update(name.as_bytes());
        update(b"=");
        update(value.as_bytes());
        update(b"&");
    }
    update(b"key=");
    update(key.expose().as_bytes());
}

/// Upper-case hexadecimal digits of a digest of at most 32 bytes.
struct HexDigest {
    digits: [u8; 64],
    length: usize,
}

impl HexDigest {
    fn new(digest: &[u8]) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        let mut digits = [0; 64];
        for (pair, byte) in digits.chunks_exact_mut(2).zip(digest) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        HexDigest { digits, length: (digest.len() * 2).min(64) }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.digits[..self.length]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;

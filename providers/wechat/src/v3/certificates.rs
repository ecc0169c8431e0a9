//! WeChat's platform certificates as `GET /v3/certificates` gives them, checked before any is believed:
//! each decrypts under the APIv3 key and carries the number it is listed under, and the answer as a
//! whole is signed, by a key known before or else by one of those in it.

use bytes::Bytes;
use dukou_domain::Timestamp;
use dukou_spi::RsaPublicKey;
use serde::{Deserialize, Serialize};
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::parse_x509_pem;
use x509_parser::prelude::FromDer as _;

use super::cipher::{ApiV3Key, Sealed};
use super::sign::Signature;

/// WeChat lists one certificate, or two while one takes over from the other.
const MOST: usize = 16;

/// A key that WeChat signs with.
#[derive(Debug)]
pub struct PlatformKey {
    /// What `Wechatpay-Serial` calls it.
    pub serial: String,
    pub key: RsaPublicKey,
    pub valid_from: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
}

impl PlatformKey {
    /// Whether it may be used at that moment.
    pub fn is_valid(&self, now: Timestamp) -> bool {
        self.valid_from.is_none_or(|from| from <= now) && !self.has_ended(now)
    }

    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// Why a list of certificates is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disbelief {
    #[error("the certificates' answer is not the expected json")]
    Unreadable,
    /// Only WeChat and the merchant have the key.
    #[error("a certificate does not decrypt: api_v3_key is not this merchant's APIv3 key (the APIv2 key is another)")]
    WrongKey,
    #[error("certificate {0} cannot be read, or its own serial number is another")]
    NotItself(String),
    #[error("the certificates' answer is not signed by a key in force that it or WeChat named before")]
    BadSignature,
}

/// An answer with its signature, as it is kept on the shelf.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    timestamp: String,
    nonce: String,
    serial: String,
    signature: String,
    body: String,
    /// It was fetched for an unknown serial, not by plan. Our own word, which older versions do not write.
    #[serde(default)]
    pub for_serial: bool,
}

impl Answer {
    pub fn new(signature: &Signature<'_>, body: &[u8]) -> Option<Self> {
        Some(Answer {
            timestamp: signature.timestamp.to_owned(),
            nonce: signature.nonce.to_owned(),
            serial: signature.serial.to_owned(),
            signature: signature.signature.to_owned(),
            body: std::str::from_utf8(body).ok()?.to_owned(),
            for_serial: false,
        })
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    pub fn to_bytes(&self) -> Bytes {
        serde_json::to_vec(self).unwrap_or_default().into()
    }

    /// Decrypts and checks everything. `known` finds a key that was believed before; the one that signed
    /// must have been in force when the answer came, at `fetched_at`.
    pub fn believe<'k>(
        &self,
        api_v3_key: &ApiV3Key,
        fetched_at: Timestamp,
        known: impl FnOnce(&str) -> Option<&'k PlatformKey>,
    ) -> Result<Vec<PlatformKey>, Disbelief> {
        let list: List = serde_json::from_str(&self.body).map_err(|_| Disbelief::Unreadable)?;
        if list.data.len() > MOST {
            return Err(Disbelief::Unreadable);
        }
        let keys: Vec<PlatformKey> =
            list.data.iter().map(|listed| listed.open(api_v3_key)).collect::<Result<_, _>>()?;
        let inside = || keys.iter().find(|key| key.serial == self.serial);
        let signer = known(&self.serial).or_else(inside).filter(|key| key.is_valid(fetched_at));
        let signer = signer.ok_or(Disbelief::BadSignature)?;
        let signature = Signature {
            timestamp: &self.timestamp,
            nonce: &self.nonce,
            serial: &self.serial,
            signature: &self.signature,
        };
        signature.verify(&signer.key, self.body.as_bytes()).ok_or(Disbelief::BadSignature)?;
        Ok(keys)
    }
}

#[derive(Deserialize)]
struct List {
    data: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    serial_no: String,
    encrypt_certificate: Sealed,
}

impl Listed {
    fn open(&self, api_v3_key: &ApiV3Key) -> Result<PlatformKey, Disbelief> {
        let pem = api_v3_key.open(&self.encrypt_certificate).ok_or(Disbelief::WrongKey)?;
        let not_itself = || Disbelief::NotItself(self.serial_no.chars().take(64).collect());
        let (_, pem) = parse_x509_pem(&pem).map_err(|_| not_itself())?;
        let (_, certificate) = X509Certificate::from_der(&pem.contents).map_err(|_| not_itself())?;
        let serial = crate::identity::watched(&certificate).serial;
        if !serial.eq_ignore_ascii_case(&self.serial_no) {
            return Err(not_itself());
        }
        let at = |seconds: i64| Some(Timestamp::from_millis(seconds.saturating_mul(1000)));
        Ok(PlatformKey {
            serial: self.serial_no.clone(),
            key: RsaPublicKey::from_spki(certificate.public_key().raw).ok_or_else(not_itself)?,
            // The certificate's own words; the list only repeats them.
            valid_from: at(certificate.validity().not_before.timestamp()),
            expires_at: at(certificate.validity().not_after.timestamp()),
        })
    }
}

#[cfg(test)]
mod tests;

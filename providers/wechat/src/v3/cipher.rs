//! What is encrypted in APIv3: resources and certificates under the APIv3 key (AES-256-GCM), and
//! sensitive fields under an RSA key (OAEP with SHA-1).

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey,
};
use aws_lc_rs::signature::RsaKeyPair;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dukou_domain::Secret;
use dukou_spi::RsaPublicKey;
use serde::Deserialize;
use zeroize::Zeroizing;

const ALGORITHM: &str = "AEAD_AES_256_GCM";

/// What WeChat encrypted under the APIv3 key.
#[derive(Debug, Deserialize)]
pub struct Sealed {
    pub algorithm: String,
    pub nonce: String,
    #[serde(default)]
    pub associated_data: Option<String>,
    pub ciphertext: String,
    /// What is inside; only in messages.
    #[serde(default)]
    pub original_type: Option<String>,
}

/// The APIv3 key, which only decrypts.
pub struct ApiV3Key {
    key: LessSafeKey,
    text: Secret,
}

impl fmt::Debug for ApiV3Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiV3Key")
    }
}

impl ApiV3Key {
    /// `None` unless the key has 32 bytes.
    pub fn new(key: &Secret) -> Option<Self> {
        let unbound = UnboundKey::new(&AES_256_GCM, key.expose().as_bytes()).ok()?;
        Some(ApiV3Key { key: LessSafeKey::new(unbound), text: key.clone() })
    }

    /// The key itself, to find out whether it is another one than it is taken for.
    pub(super) const fn text(&self) -> &Secret {
        &self.text
    }

    /// Decrypts. `None` when it was encrypted under another key, or changed since.
    pub fn open(&self, sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
        if sealed.algorithm != ALGORITHM {
            return None;
        }
        let nonce = Nonce::try_assume_unique_for_key(sealed.nonce.as_bytes()).ok()?;
        let associated = Aad::from(sealed.associated_data.as_deref().unwrap_or_default().as_bytes());
        let mut in_out = Zeroizing::new(BASE64_STANDARD.decode(&sealed.ciphertext).ok()?);
        let length = self.key.open_in_place(nonce, associated, &mut in_out).ok()?.len();
        in_out.truncate(length);
        Some(in_out)
    }
}

/// Encrypts a sensitive field for WeChat, under the key whose serial goes into the request's
/// `Wechatpay-Serial`. `None` when the text is longer than the key can hold (214 bytes for one of 2048
/// bits).
pub fn seal_field(key: &RsaPublicKey, text: &str) -> Option<String> {
    let key = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(key.as_spki()).ok()?).ok()?;
    let mut sealed = vec![0; key.ciphertext_size()];
    let sealed = key.encrypt(&OAEP_SHA1_MGF1SHA1, text.as_bytes(), &mut sealed, None).ok()?;
    Some(BASE64_STANDARD.encode(sealed))
}

/// Decrypts a sensitive field of WeChat's with the merchant's own key. `None` when it is not for
/// this key.
pub fn open_field(pair: &RsaKeyPair, field: &str) -> Option<Zeroizing<String>> {
    let der: Pkcs8V1Der<'_> = pair.as_der().ok()?;
    let key = OaepPrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(der.as_ref()).ok()?).ok()?;
    let mut plain = Zeroizing::new(vec![0; key.min_output_size()]);
    let sealed = BASE64_STANDARD.decode(field).ok()?;
    let plain = key.decrypt(&OAEP_SHA1_MGF1SHA1, &sealed, &mut plain, None).ok()?;
    String::from_utf8(plain.to_vec()).ok().map(Zeroizing::new)
}

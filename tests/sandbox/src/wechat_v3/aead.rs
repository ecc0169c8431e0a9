//! `AEAD_AES_256_GCM`: how notifications and platform certificates are encrypted for a merchant.

use base64::prelude::{BASE64_STANDARD, Engine};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::ledger::token;

/// The name of the algorithm on the wire.
pub const ALGORITHM: &str = "AEAD_AES_256_GCM";

/// A nonce: twelve characters, used as bytes.
pub fn nonce() -> String {
    token(NONCE_LEN)
}

fn parts(key: &str, nonce: &str) -> Option<(LessSafeKey, Nonce)> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_bytes()).ok()?);
    Some((key, Nonce::try_assume_unique_for_key(nonce.as_bytes()).ok()?))
}

/// Encrypts, the tag behind the text, in base64; `None` unless the key has 32 bytes and the nonce 12.
pub fn encrypt(key: &str, nonce: &str, associated_data: &str, plain: &str) -> Option<String> {
    let (key, nonce) = parts(key, nonce)?;
    let mut bytes = plain.as_bytes().to_vec();
    key.seal_in_place_append_tag(nonce, Aad::from(associated_data.as_bytes()), &mut bytes).ok()?;
    Some(BASE64_STANDARD.encode(bytes))
}

/// Decrypts what [`encrypt`] made; `None` if anything of it is wrong or the text is not UTF-8.
pub fn decrypt(key: &str, nonce: &str, associated_data: &str, ciphertext: &str) -> Option<String> {
    let (key, nonce) = parts(key, nonce)?;
    let mut bytes = BASE64_STANDARD.decode(ciphertext).ok()?;
    let plain = key.open_in_place(nonce, Aad::from(associated_data.as_bytes()), &mut bytes).ok()?;
    String::from_utf8(plain.to_vec()).ok()
}

//! `req_info` of the refund notification (退款结果通知): AES-256-ECB with PKCS#7 padding, the key being the
//! lower-case hex of the MD5 of the merchant's API key, used as 32 bytes of text.

use aes::Aes256;
use aes::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use base64::prelude::{BASE64_STANDARD, Engine};

const BLOCK: usize = 16;

fn cipher(api_key: &str) -> Aes256 {
    let key = hex::encode(md5::compute(api_key.as_bytes()).0);
    Aes256::new_from_slice(key.as_bytes()).expect("an MD5 digest is 32 hex characters")
}

/// Encrypts a document for the merchant; the result is base64.
pub fn encrypt(plain: &str, api_key: &str) -> String {
    let cipher = cipher(api_key);
    let mut bytes = plain.as_bytes().to_vec();
    let padding = BLOCK - bytes.len() % BLOCK;
    bytes.extend(std::iter::repeat_n(padding as u8, padding));
    for chunk in bytes.chunks_exact_mut(BLOCK) {
        let mut block = Array::try_from(&*chunk).expect("the chunk is one block long");
        cipher.encrypt_block(&mut block);
        chunk.copy_from_slice(&block);
    }
    BASE64_STANDARD.encode(bytes)
}

/// Decrypts what [`encrypt`] made; `None` if it is not base64 of whole blocks, padded right, of UTF-8 text.
pub fn decrypt(text: &str, api_key: &str) -> Option<String> {
    let cipher = cipher(api_key);
    let mut bytes = BASE64_STANDARD.decode(text).ok()?;
    if bytes.is_empty() || !bytes.len().is_multiple_of(BLOCK) {
        return None;
    }
    for chunk in bytes.chunks_exact_mut(BLOCK) {
        let mut block = Array::try_from(&*chunk).expect("the chunk is one block long");
        cipher.decrypt_block(&mut block);
        chunk.copy_from_slice(&block);
    }
    let padding = usize::from(*bytes.last()?);
    if !(1..=BLOCK).contains(&padding) {
        return None;
    }
    let (plain, tail) = bytes.split_at(bytes.len() - padding);
    if tail.iter().any(|byte| usize::from(*byte) != padding) {
        return None;
    }
    String::from_utf8(plain.to_vec()).ok()
}

//! The two signatures of Douyin's share and webhook side (protocol 1.5 and 3.1), by this crate's own code.

use std::collections::BTreeMap;

use sha1_smol::Sha1;
use subtle::ConstantTimeEq;

/// The signature of a share schema: MD5 over three pairs in the order of their names, in lower-case hex.
pub fn share(ticket: &str, nonce_str: &str, timestamp: &str) -> String {
    let pairs = BTreeMap::from([("timestamp", timestamp), ("ticket", ticket), ("nonce_str", nonce_str)]);
    let pairs: Vec<String> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    hex::encode(md5::compute(pairs.join("&")).0)
}

/// `X-Douyin-Signature`: SHA-1 over the secret followed by the body's bytes, in lower-case hex.
pub fn webhook(secret: &str, body: &[u8]) -> String {
    let mut digest = Sha1::from(secret);
    digest.update(body);
    digest.digest().to_string()
}

/// Compares in constant time.
pub fn equal(expected: &str, given: &str) -> bool {
    expected.as_bytes().ct_eq(given.as_bytes()).into()
}

//! The signatures of sharing and of webhooks, and the schema that carries one (protocol sections 1.5,
//! 1.6, 3.1). Pure.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use dukou_domain::Secret;
use dukou_spi::Proof;
use md5::{Digest, Md5};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in a value of the schema: encodeURIComponent's rules.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

const SCHEMA: &str = "snssdk1128://openplatform/share";

/// MD5 over nonce, ticket and time (in seconds), each as it is.
pub fn share_signature(ticket: &Secret, nonce: &str, timestamp: &str) -> String {
    let mut digest = Md5::new();
    digest.update(b"nonce_str=");
    digest.update(nonce.as_bytes());
    digest.update(b"&ticket=");
    digest.update(ticket.expose().as_bytes());
    digest.update(b"&timestamp=");
    digest.update(timestamp.as_bytes());
    hex::encode(digest.finalize())
}

/// The link that opens Douyin's publishing page. `params` hold everything but the signature and the
/// kind of share; what is empty is left out.
pub fn schema(ticket: &Secret, mut params: BTreeMap<String, String>) -> String {
    let text = |name: &str| params.get(name).cloned().unwrap_or_default();
    let signature = share_signature(ticket, &text("nonce_str"), &text("timestamp"));
    params.insert("signature".to_owned(), signature);
    params.insert("share_type".to_owned(), "h5".to_owned());
    format!("{SCHEMA}?{}", query(params.iter().map(|(name, value)| (name.as_str(), value.as_str()))))
}

/// A query string in the given order; what is empty is left out.
pub fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    pairs.map(|(name, value)| format!("{name}={}", utf8_percent_encode(value, VALUE))).collect::<Vec<_>>().join("&")
}

/// SHA-1 over the secret and the body as it came, in hexadecimal.
pub fn webhook_signature(secret: &Secret, body: &[u8]) -> String {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(secret.expose().as_bytes());
    context.update(body);
    hex::encode(context.finish())
}

/// Compares in constant time. `None`: the message was not sent by who knows the secret.
pub fn verify_webhook(secret: &Secret, body: &[u8], received: &str) -> Option<Proof> {
    Proof::by_keyed_digest(webhook_signature(secret, body).as_bytes(), received.as_bytes())
}

//! The merchant's client certificate and key (API certificate), from the PEM pair or a PKCS#12
//! file, checked before the first refund depends on it.

use std::fmt::Write as _;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RsaKeyPair};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use dukou_domain::{Secret, Timestamp};
use dukou_spi::TrustKey;
use dukou_spi::settings::Section;
use p12_keystore::error::Error;
use p12_keystore::{KeyStore, Pkcs12ImportPolicy};
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer as _;
use zeroize::Zeroizing;

use crate::account::is_merchant_id;
use crate::validity::Validity;

const CERTIFICATE: &str = "CERTIFICATE";
/// What the certificate is called where its end is told, by `check` and `doctor` alike.
pub const MERCHANTS_CERTIFICATE: &str = "the merchant's certificate";

/// The certificate and key that are presented to WeChat.
pub struct Identity {
    /// The key of the section that holds the certificate.
    pub key: &'static str,
    /// Chain and key as PEM, for the transport.
    pub pem: Secret,
    /// The certificate itself, as it is watched.
    pub certificate: TrustKey,
    pub der: Vec<u8>,
}

/// Reads `client_cert` and `client_key`, or `client_p12`. `None` when none is configured, when a problem was noted, and
/// when only the merchant's number, which is not known, would open it.
pub fn read(section: &mut Section<'_>, merchant_id: Option<&str>, now: Timestamp) -> Option<Identity> {
    let (has_certificate, has_key) = (section.has("client_cert"), section.has("client_key"));
    let has_p12 = section.has("client_p12");
    let password = read_password(section);
    match (has_certificate, has_key, has_p12) {
        (false, false, false) => {
            section.warn("client_cert", "is missing, so that refunds are refused", "the merchant's API certificate");
            None
        }
        (true, true, true) => {
            section.wrong("client_p12", "stands beside client_cert and client_key", "one of the two forms")
        }
        (_, _, false) => read_pair(section, has_certificate, has_key, merchant_id, now),
        (false, false, true) => {
            let password = password.or_else(|| merchant_id.map(Secret::new))?;
            read_p12(section, &password, merchant_id, now)
        }
        (_, _, true) => section.wrong("client_p12", "stands beside half a PEM pair", "one of the two forms"),
    }
}

/// The password of the PKCS#12 file. An empty one is a password too.
fn read_password(section: &mut Section<'_>) -> Option<Secret> {
    const KEY: &str = "client_p12_password";
    match section.take(KEY) {
        Some(serde_json::Value::String(text)) if text.is_empty() => Some(Secret::new("")),
        _ => section.optional_secret(KEY),
    }
}

fn read_pair(
    section: &mut Section<'_>,
    certificate: bool,
    key: bool,
    mch_id: Option<&str>,
    now: Timestamp,
) -> Option<Identity> {
    if !certificate {
        return section.wrong("client_cert", "is missing, though client_key is there", "\"file:apiclient_cert.pem\"");
    }
    if !key {
        return section.wrong("client_key", "is missing, though client_cert is there", "\"file:apiclient_key.pem\"");
    }
    let certificate = pem_of(section, "client_cert");
    let key = pem_of(section, "client_key");
    let (certificate, key) = (certificate?, key?);
    let chain = blocks_of(section, "client_cert", &certificate, "apiclient_cert.pem")?;
    let keys = blocks_of(section, "client_key", &key, "apiclient_key.pem")?;
    let holds_key = |blocks: &[Block]| blocks.iter().any(Block::is_key);
    let holds_certificate = |blocks: &[Block]| blocks.iter().any(Block::is_certificate);
    if !holds_certificate(&chain) {
        let message = if holds_key(&chain) { "holds a private key, no certificate" } else { "holds no certificate" };
        return section.wrong("client_cert", message, "apiclient_cert.pem (are the two files swapped?)");
    }
    if !holds_key(&keys) {
        let message =
            if holds_certificate(&keys) { "holds a certificate, no private key" } else { "holds no private key" };
        return section.wrong("client_key", message, "apiclient_key.pem (are the two files swapped?)");
    }
    let chain: Vec<Vec<u8>> = chain.into_iter().filter(Block::is_certificate).map(|block| block.der.to_vec()).collect();
    let key = keys.into_iter().find(Block::is_key)?;
    check(section, "client_cert", "client_key", &chain, &key, mch_id, now)
}

/// PEM named as `file:PATH` or `env:NAME`, or written there itself. It is not noted among the section's secrets: the
/// `private_key` of a `wechat-v3` section is the same key, and rightly so.
fn pem_of(section: &mut Section<'_>, key: &str) -> Option<Zeroizing<Vec<u8>>> {
    let text = section.optional_text(key)?;
    if text.starts_with("file:") {
        // As bytes: it may be PKCS#12, which is told.
        return section.optional_file(key).map(Zeroizing::new);
    }
    if !text.starts_with("env:") && !text.contains("-----BEGIN") {
        let expected = "\"file:PATH\" or \"env:NAME\"";
        return section.wrong(key, "names neither a file nor a variable, and is no PEM", expected);
    }
    section.resolve(key, &text).map(|secret| Zeroizing::new(secret.expose().as_bytes().to_vec()))
}

fn read_p12(section: &mut Section<'_>, password: &Secret, mch_id: Option<&str>, now: Timestamp) -> Option<Identity> {
    const KEY: &str = "client_p12";
    let bytes = Zeroizing::new(section.optional_file(KEY)?);
    if bytes.starts_with(b"-----BEGIN") {
        return section.wrong(KEY, "holds PEM, not PKCS#12", "apiclient_cert.p12, or client_cert and client_key");
    }
    let store = match KeyStore::from_pkcs12(&bytes, password.expose(), Pkcs12ImportPolicy::Relaxed) {
        Ok(store) => store,
        Err(Error::UnsupportedEncryptionScheme | Error::UnsupportedMacAlgorithm) => {
            return section.wrong(
                KEY,
                "is encrypted in a way that is not supported here",
                "a PKCS#12 file encrypted with AES or 3DES, or client_cert and client_key",
            );
        }
        Err(_) => {
            return section.wrong(
                KEY,
                "cannot be opened",
                "a PKCS#12 file whose password is client_p12_password (left out: the mch_id; \"\": none)",
            );
        }
    };
    let Some((_, chain)) = store.private_key_chain() else {
        return section.wrong(KEY, "holds no private key", "apiclient_cert.p12");
    };
    let key = Block { label: "PRIVATE KEY".to_owned(), der: Zeroizing::new(chain.key().as_der().to_vec()) };
    let chain: Vec<Vec<u8>> = chain.certs().iter().map(|certificate| certificate.as_der().to_vec()).collect();
    check(section, KEY, KEY, &chain, &key, mch_id, now)
}

/// One PEM block. The content may be a private key.
pub struct Block {
    pub label: String,
    pub der: Zeroizing<Vec<u8>>,
}

impl Block {
    pub fn is_certificate(&self) -> bool {
        self.label == CERTIFICATE
    }

    pub fn is_key(&self) -> bool {
        matches!(self.label.as_str(), "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY")
    }
}

/// The PEM blocks of a file.
pub fn blocks_of(section: &mut Section<'_>, key: &str, bytes: &[u8], expected: &str) -> Option<Vec<Block>> {
    // A DER sequence: what a PKCS#12 file begins with.
    if bytes.first() == Some(&0x30) {
        return section.wrong(key, "is not PEM (it looks like PKCS#12)", &format!("{expected}, or the key client_p12"));
    }
    let blocks: Result<Vec<Block>, _> = Pem::iter_from_buffer(bytes)
        .map(|pem| pem.map(|pem| Block { label: pem.label, der: Zeroizing::new(pem.contents) }))
        .collect();
    match blocks {
        Ok(blocks) => Some(blocks),
        Err(_) => section.wrong(key, "is not PEM", expected),
    }
}

/// Checks what is to be presented, and puts it together. An expired certificate is a warning: all
/// but refunds still works.
fn check(
    section: &mut Section<'_>,
    certificate_key: &'static str,
    private_key: &str,
    chain: &[Vec<u8>],
    key: &Block,
    mch_id: Option<&str>,
    now: Timestamp,
) -> Option<Identity> {
    const OWN: &str = "the certificate of this merchant";
    let Some((_, leaf)) = chain.first().and_then(|der| X509Certificate::from_der(der).ok()) else {
        return section.wrong(certificate_key, "holds no certificate that can be read", "an X.509 certificate");
    };
    let Some(public) = public_key(&key.der) else {
        return section.wrong(private_key, "holds no key that can be read", "an RSA key in PKCS#8");
    };
    if leaf.public_key().subject_public_key.data.as_ref() != public.as_slice() {
        return section.wrong(private_key, "is not the key of the certificate", "the key made with this certificate");
    }
    let own = watched(&leaf);
    tell_end(section, certificate_key, &own, now, "a renewed one: without it refunds fail");
    // A warning: payments need no certificate, and are not to end with the next start.
    match mch_id.and_then(|mch_id| other_name(&leaf, mch_id)) {
        Some(name) if is_merchant_id(&name) => {
            let problem = format!("holds the certificate of merchant {name}, with which no refund can be made");
            section.warn(certificate_key, &problem, OWN);
        }
        Some(_) => section.warn(certificate_key, "holds a certificate whose common name is not the mch_id", OWN),
        None => {}
    }
    let mut pem = Zeroizing::new(String::new());
    for der in chain {
        encode(&mut pem, CERTIFICATE, der);
    }
    encode(&mut pem, &key.label, &key.der);
    let der = leaf.as_raw().to_vec();
    Some(Identity { key: certificate_key, pem: Secret::new(pem.as_str()), certificate: own, der })
}

/// Warns of a certificate that has expired or will soon. What it is not needed for still works.
pub fn tell_end(section: &mut Section<'_>, key: &str, certificate: &TrustKey, now: Timestamp, expected: &str) {
    let validity = Validity::of(certificate, now);
    if validity.is_to_be_told() {
        section.warn(key, &format!("{MERCHANTS_CERTIFICATE} {} {validity}", certificate.serial), expected);
    }
}

/// Whom a certificate names, where that is not the merchant. WeChat makes them for the merchant's number.
pub fn other_name(certificate: &X509Certificate<'_>, mch_id: &str) -> Option<String> {
    let mut names = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let first = names.next().unwrap_or_default();
    (first != mch_id && !names.any(|name| name == mch_id)).then(|| first.to_owned())
}

/// What is watched of a certificate: its serial number as WeChat writes it, and its end.
pub fn watched(certificate: &X509Certificate<'_>) -> TrustKey {
    let expires_at = Timestamp::from_millis(certificate.validity().not_after.timestamp().saturating_mul(1000));
    TrustKey { serial: hex::encode_upper(certificate.serial.to_bytes_be()), expires_at: Some(expires_at) }
}

/// The public half of a private key (PKCS#8, PKCS#1 or SEC 1), as a certificate spells it.
fn public_key(der: &[u8]) -> Option<Vec<u8>> {
    if let Ok(pair) = RsaKeyPair::from_pkcs8(der).or_else(|_| RsaKeyPair::from_der(der)) {
        return Some(pair.public_key().as_ref().to_vec());
    }
    let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
    let pair = EcdsaKeyPair::from_pkcs8(algorithm, der).or_else(|_| EcdsaKeyPair::from_private_key_der(algorithm, der));
    pair.ok().map(|pair| pair.public_key().as_ref().to_vec())
}

fn encode(pem: &mut String, label: &str, der: &[u8]) {
    let text = Zeroizing::new(BASE64_STANDARD.encode(der));
    let _ = writeln!(pem, "-----BEGIN {label}-----");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        let _ = writeln!(pem, "{line}");
        rest = tail;
    }
    let _ = writeln!(pem, "-----END {label}-----");
}

#[cfg(test)]
mod tests;

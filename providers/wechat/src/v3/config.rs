//! The keys of a `wechat-v3` section, and their check.

use std::fmt;
use std::path::PathBuf;

use aws_lc_rs::signature::{KeyPair as _, RsaKeyPair};
use dukou_domain::{Secret, Timestamp};
use dukou_spi::settings::Section;
use dukou_spi::{Context, RsaPublicKey, TrustKey};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;

use super::cipher::ApiV3Key;
use super::sign::MerchantKey;
use crate::account::{self, Account, is_merchant_id};
use crate::identity::{Block, blocks_of, other_name, tell_end, watched};

pub const PUBLIC_KEY_PREFIX: &str = "PUB_KEY_ID_";

/// One merchant account, read and checked.
pub struct Settings {
    /// In partner mode the partner's (sp).
    pub account: Account,
    pub key: MerchantKey,
    pub api_v3_key: ApiV3Key,
    /// The merchant's own certificate, where it is named: it is only watched.
    pub certificate: Option<TrustKey>,
    /// Where `private_key` lies, if in a file.
    pub key_folder: Option<PathBuf>,
    pub platform: Platform,
    pub partner: Option<Partner>,
}

/// By which of WeChat's keys it is believed.
pub struct Platform {
    /// Its id and the key.
    pub public_key: Option<(String, RsaPublicKey)>,
    /// Platform certificates are downloaded and rotated.
    pub certificates: bool,
}

/// Whom a partner (服务商) acts for.
pub struct Partner {
    pub sub_mch_id: String,
    /// The app whose users pay, where it is not the partner's.
    pub sub_app_id: Option<String>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("app_id", &self.account.app_id)
            .field("mch_id", &self.account.mch_id)
            .field("key", &self.key)
            .field("base_url", &self.account.base_url)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Reads the whole section, noting every problem. `None` when there is no account to make.
    pub fn read(section: &mut Section<'_>, context: &Context) -> Option<Settings> {
        let account = Account::read(section, context);
        let api_v3_key = account::api_key(section, "api_v3_key", "the APIv3 key").and_then(|key| ApiV3Key::new(&key));
        let serial_no = serial_no(section);
        let pair = private_key(section);
        let mch_id = account.as_ref().map(|account| account.mch_id.as_str());
        let certificate = certificate(section, mch_id, serial_no.as_deref(), pair.as_ref(), context.clock.now());
        let platform = platform(section, pair.as_ref());
        let partner = partner(section);
        if section.has_errors() {
            return None;
        }
        Some(Settings {
            account: account?,
            key: MerchantKey { pair: pair?, serial_no: serial_no? },
            api_v3_key: api_v3_key?,
            certificate,
            key_folder: section.folder_of("private_key"),
            platform: platform?,
            partner,
        })
    }
}

fn serial_no(section: &mut Section<'_>) -> Option<String> {
    const EXPECTED: &str = "the serial number of the merchant's certificate, 40 hexadecimal digits";
    let text = section.checked_text("serial_no", EXPECTED, |text| {
        (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    })?;
    if text.len() != 40 {
        section.warn("serial_no", "has an unusual length", EXPECTED);
    }
    Some(text.to_ascii_uppercase())
}

/// PEM blocks of a key that names a text (a file, mostly).
fn blocks(section: &mut Section<'_>, key: &str, secret: &Secret, expected: &str) -> Option<Vec<Block>> {
    blocks_of(section, key, secret.expose().as_bytes(), expected)
}

fn private_key(section: &mut Section<'_>) -> Option<RsaKeyPair> {
    const KEY: &str = "private_key";
    const EXPECTED: &str = "the merchant's private key, apiclient_key.pem";
    let secret = section.secret(KEY, EXPECTED)?;
    let blocks = blocks(section, KEY, &secret, EXPECTED)?;
    let Some(block) = blocks.iter().find(|block| block.is_key()) else {
        let certificate = blocks.iter().any(Block::is_certificate);
        let found = if certificate { "holds a certificate, no private key" } else { "holds no private key" };
        return section.wrong(KEY, found, EXPECTED);
    };
    let pair = RsaKeyPair::from_pkcs8(&block.der).or_else(|_| RsaKeyPair::from_der(&block.der));
    pair.ok().or_else(|| section.wrong(KEY, "holds no RSA key that can be read", EXPECTED))
}

/// The merchant's own certificate, which need not be there: it tells offline whether key and serial
/// number belong together.
fn certificate(
    section: &mut Section<'_>,
    mch_id: Option<&str>,
    serial_no: Option<&str>,
    pair: Option<&RsaKeyPair>,
    now: Timestamp,
) -> Option<TrustKey> {
    const KEY: &str = "certificate";
    const EXPECTED: &str = "the merchant's certificate, apiclient_cert.pem";
    let bytes = section.optional_file(KEY)?;
    let blocks = blocks_of(section, KEY, &bytes, EXPECTED)?;
    let der = blocks.into_iter().find(Block::is_certificate).map(|block| block.der);
    let Some((_, leaf)) = der.as_ref().and_then(|der| X509Certificate::from_der(der).ok()) else {
        return section.wrong(KEY, "holds no certificate that can be read", EXPECTED);
    };
    let own = watched(&leaf);
    if let Some(serial_no) = serial_no
        && serial_no != own.serial
    {
        section.wrong::<()>(
            "serial_no",
            &format!("is not that of the certificate, which is {}", own.serial),
            "the serial number of the certificate that belongs to private_key",
        );
    }
    if pair.is_some_and(|pair| pair.public_key().as_ref() != leaf.public_key().subject_public_key.data.as_ref()) {
        section.wrong::<()>("private_key", "is not the key of the certificate", "the key made with this certificate");
    }
    if let Some(name) = mch_id.and_then(|mch_id| other_name(&leaf, mch_id)).filter(|name| is_merchant_id(name)) {
        section.wrong::<()>(KEY, &format!("is that of merchant {name}"), "the certificate of this mch_id");
    }
    tell_end(section, KEY, &own, now, "a renewed one, with its key: without it WeChat refuses every call");
    Some(own)
}

fn platform(section: &mut Section<'_>, pair: Option<&RsaKeyPair>) -> Option<Platform> {
    const EXPECTED: &str = "WeChat Pay's public key, pub_key.pem";
    let (has_key, has_id) = (section.has("platform_public_key"), section.has("platform_public_key_id"));
    let certificates = section.flag("platform_certificates", !has_key);
    if has_key && !has_id {
        let expected = "PUB_KEY_ID_ and digits, shown beside the key on the merchant platform";
        return section.wrong("platform_public_key_id", "is missing, though platform_public_key is there", expected);
    }
    if has_id && !has_key {
        return section.wrong("platform_public_key", "is missing, though platform_public_key_id is there", EXPECTED);
    }
    if !has_key && !certificates {
        return section.wrong(
            "platform_certificates",
            "is false and there is no platform_public_key, so that no answer could be believed",
            "a platform_public_key, or true",
        );
    }
    let public_key = if has_key { Some(public_key(section, pair, EXPECTED)?) } else { None };
    Some(Platform { public_key, certificates })
}

fn public_key(section: &mut Section<'_>, pair: Option<&RsaKeyPair>, expected: &str) -> Option<(String, RsaPublicKey)> {
    const KEY: &str = "platform_public_key";
    let id = section.checked_text("platform_public_key_id", "PUB_KEY_ID_ and digits", |id| {
        id.len() <= 64
            && id
                .strip_prefix(PUBLIC_KEY_PREFIX)
                .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    });
    let secret = section.optional_secret(KEY)?;
    let blocks = blocks(section, KEY, &secret, expected)?;
    let Some(block) = blocks.iter().find(|block| block.label == "PUBLIC KEY") else {
        let found = match blocks.first() {
            Some(block) if block.is_certificate() => "holds a certificate, no public key",
            Some(block) if block.is_key() => "holds a private key, which is never WeChat's",
            _ => "holds no public key",
        };
        return section.wrong(KEY, found, expected);
    };
    let Some(key) = RsaPublicKey::from_spki(&block.der) else {
        return section.wrong(KEY, "holds no RSA key that can be read", expected);
    };
    if pair.is_some_and(|pair| key.is_half_of(pair.public_key())) {
        return section.wrong(KEY, "is the merchant's own public key (that of private_key)", expected);
    }
    Some((id?, key))
}

fn partner(section: &mut Section<'_>) -> Option<Partner> {
    if !section.has("sub_mch_id") {
        if section.has("sub_app_id") {
            section.wrong::<()>("sub_app_id", "stands without sub_mch_id", "both, in partner mode (服务商), or none");
        }
        return None;
    }
    let sub_mch_id = account::merchant_id(section, "sub_mch_id");
    let sub_app_id = if section.has("sub_app_id") { Some(account::app_id(section, "sub_app_id")?) } else { None };
    Some(Partner { sub_mch_id: sub_mch_id?, sub_app_id })
}

#[cfg(test)]
mod tests;

use std::fs;
use std::path::Path;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SerialNumber};
use serde_json::{Value, json};

use super::*;
use crate::v2::testing::{self, MCH_ID, vectors};

const CERTIFICATE_VARIABLE: &str = "env:keys.merchant.certificate_pem";
const KEY_VARIABLE: &str = "env:keys.merchant.private_key_pkcs8_pem";

/// A certificate named `name` and its key, as PEM.
fn pair(name: &str, expires_year: i32) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(SerialNumber::from(0x5f));
    params.not_after = rcgen::date_time_ymd(expires_year, 8, 1);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn problems(folder: &Path, changes: Value) -> Vec<String> {
    let mut section = testing::section(changes);
    for (_, value) in section.as_object_mut().unwrap() {
        if let Some(name) = value.as_str().and_then(|text| text.strip_prefix("file:")) {
            *value = json!(format!("file:{}", folder.join(name).display()));
        }
    }
    testing::build(&section, Default::default()).1
}

#[test]
fn each_mistake_with_the_certificate_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes).unwrap();
    let (certificate, key) = pair(MCH_ID, 2031);
    let (_, other_key) = pair(MCH_ID, 2031);
    let (stranger, stranger_key) = pair("somebody", 2031);
    let (other, other_merchants_key) = pair("1900000110", 2031);
    let (expired, expired_key) = pair(MCH_ID, 2025);
    let (expiring, expiring_key) = pair(MCH_ID, 2026);
    for (name, text) in [
        ("cert.pem", &certificate),
        ("key.pem", &key),
        ("other_key.pem", &other_key),
        ("stranger.pem", &stranger),
        ("stranger_key.pem", &stranger_key),
        ("other.pem", &other),
        ("other_merchants_key.pem", &other_merchants_key),
        ("expired.pem", &expired),
        ("expired_key.pem", &expired_key),
        ("expiring.pem", &expiring),
        ("expiring_key.pem", &expiring_key),
    ] {
        write(name, text.as_bytes());
    }
    write("cert.p12", &vectors::client_p12());
    for name in ["rc4-128.p12", "rc2-128.p12", "no-password.p12", "no-password-3des.p12"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/p12").join(name);
        write(name, &fs::read(path).unwrap());
    }
    write("empty.pem", b"");
    write("rubbish.pem", b"rubbish");

    let vectors = vectors::load();
    let own_key = &vectors["keys"]["merchant"]["private_key_pkcs8_pem"];
    let pem = |certificate: &str, key: &str| json!({ "client_cert": format!("file:{certificate}"), "client_key": format!("file:{key}") });
    let cases = [
        (pem("cert.pem", "key.pem"), None),
        (json!({ "client_p12": "file:cert.p12" }), None),
        (json!({}), Some("warning: shop.toml: providers.wechat.client_cert: is missing, so that refunds are refused")),
        (
            pem("key.pem", "cert.pem"),
            Some("error: shop.toml: providers.wechat.client_cert: holds a private key, no certificate"),
        ),
        (
            pem("cert.pem", "cert.pem"),
            Some("error: shop.toml: providers.wechat.client_key: holds a certificate, no private key"),
        ),
        (
            pem("cert.p12", "key.pem"),
            Some("error: shop.toml: providers.wechat.client_cert: is not PEM (it looks like PKCS#12)"),
        ),
        (
            pem("cert.pem", "cert.p12"),
            Some("error: shop.toml: providers.wechat.client_key: is not PEM (it looks like PKCS#12)"),
        ),
        // As every secret, from a variable, or, with a warning, written there.
        (json!({ "client_cert": CERTIFICATE_VARIABLE, "client_key": KEY_VARIABLE }), None),
        (
            json!({ "client_cert": CERTIFICATE_VARIABLE, "client_key": own_key }),
            Some("warning: shop.toml: providers.wechat.client_key: is written in the file itself"),
        ),
        (
            json!({ "client_cert": "file:cert.pem", "client_key": "env:GONE" }),
            Some(
                "error: shop.toml: providers.wechat.client_key: names the environment variable GONE, which is not set",
            ),
        ),
        (
            json!({ "client_cert": "file:cert.pem", "client_key": "apiclient_key.pem" }),
            Some("error: shop.toml: providers.wechat.client_key: names neither a file nor a variable, and is no PEM"),
        ),
        (
            json!({ "client_cert": "apiclient_cert.pem", "client_key": "file:key.pem" }),
            Some("error: shop.toml: providers.wechat.client_cert: names neither a file nor a variable, and is no PEM"),
        ),
        (pem("empty.pem", "key.pem"), Some("error: shop.toml: providers.wechat.client_cert: holds no certificate")),
        (pem("rubbish.pem", "key.pem"), Some("error: shop.toml: providers.wechat.client_cert: holds no certificate")),
        (
            pem("cert.pem", "other_key.pem"),
            Some("error: shop.toml: providers.wechat.client_key: is not the key of the certificate"),
        ),
        (pem("cert.pem", "gone.pem"), Some("error: shop.toml: providers.wechat.client_key: names ")),
        (json!({ "client_cert": "file:cert.pem" }), Some("error: shop.toml: providers.wechat.client_key: is missing")),
        (json!({ "client_key": "file:key.pem" }), Some("error: shop.toml: providers.wechat.client_cert: is missing")),
        (
            json!({ "client_p12": "file:cert.pem" }),
            Some("error: shop.toml: providers.wechat.client_p12: holds PEM, not PKCS#12"),
        ),
        // The file is judged by the mch_id, whatever else is wrong, and not at all without one.
        (
            json!({ "client_p12": "file:cert.p12", "app_id": null }),
            Some("error: shop.toml: providers.wechat.app_id: is missing"),
        ),
        (
            json!({ "client_p12": "file:cert.p12", "mch_id": null }),
            Some("error: shop.toml: providers.wechat.mch_id: is missing"),
        ),
        (
            json!({ "client_p12": "file:cert.p12", "mch_id": "somebody" }),
            Some("error: shop.toml: providers.wechat.mch_id: is not valid"),
        ),
        (
            json!({ "client_p12": "file:cert.p12", "client_p12_password": "env:API_KEY" }),
            Some("error: shop.toml: providers.wechat.client_p12: cannot be opened"),
        ),
        // A password that is there and empty.
        (json!({ "client_p12": "file:no-password.p12", "client_p12_password": "" }), None),
        (json!({ "client_p12": "file:no-password-3des.p12", "client_p12_password": "" }), None),
        (
            json!({ "client_p12": "file:no-password.p12" }),
            Some("error: shop.toml: providers.wechat.client_p12: cannot be opened"),
        ),
        (
            json!({ "client_p12": "file:cert.p12", "client_p12_password": "" }),
            Some("error: shop.toml: providers.wechat.client_p12: cannot be opened"),
        ),
        // The password is right.
        (
            json!({ "client_p12": "file:rc4-128.p12" }),
            Some("error: shop.toml: providers.wechat.client_p12: is encrypted in a way that is not supported here"),
        ),
        (
            json!({ "client_p12": "file:rc2-128.p12" }),
            Some("error: shop.toml: providers.wechat.client_p12: is encrypted in a way that is not supported here"),
        ),
        (
            json!({ "client_p12": "file:cert.p12", "client_cert": "file:cert.pem", "client_key": "file:key.pem" }),
            Some("error: shop.toml: providers.wechat.client_p12: stands beside"),
        ),
        (
            pem("stranger.pem", "stranger_key.pem"),
            Some(
                "warning: shop.toml: providers.wechat.client_cert: holds a certificate whose common name is not the mch_id",
            ),
        ),
        (
            pem("other.pem", "other_merchants_key.pem"),
            Some(
                "warning: shop.toml: providers.wechat.client_cert: holds the certificate of merchant 1900000110, with which",
            ),
        ),
        (
            pem("expired.pem", "expired_key.pem"),
            Some("warning: shop.toml: providers.wechat.client_cert: the merchant's certificate 5F has expired;"),
        ),
        (
            pem("expiring.pem", "expiring_key.pem"),
            Some("warning: shop.toml: providers.wechat.client_cert: the merchant's certificate 5F expires in 27 days;"),
        ),
    ];
    for (changes, expected) in cases {
        let shown = changes.to_string();
        let noted = problems(folder.path(), changes);
        assert!(!noted.iter().any(|problem| problem.contains("PRIVATE")), "{noted:?}");
        match expected {
            None => assert_eq!(noted, Vec::<String>::new(), "{shown}"),
            Some(expected) => assert!(noted.len() == 1 && noted[0].starts_with(expected), "{shown}: {noted:#?}"),
        }
    }
}

/// The certificate of the merchant is not the certificate that is trusted.
#[test]
fn what_tls_cannot_use_is_named_by_the_key_it_came_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cert.p12");
    fs::write(&path, vectors::client_p12()).unwrap();
    let section = testing::section(json!({ "client_p12": format!("file:{}", path.display()) }));
    let own = testing::problems_where(|options| options.identity_pem.is_none(), &section);
    let trusted = testing::problems_where(|_| false, &section);
    for (noted, key) in [(own, "client_p12"), (trusted, "ca_cert")] {
        let expected = format!("error: shop.toml: providers.wechat.{key}: its key cannot be used; ");
        assert!(noted.len() == 1 && noted[0].starts_with(&expected), "{key}: {noted:#?}");
    }
}

#[test]
fn pem_pairs_of_rsa_and_p12_come_to_the_same_identity() {
    let keys = &vectors::load()["keys"]["merchant"];
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("cert.pem", "certificate_pem"), ("key.pem", "private_key_pkcs8_pem")] {
        fs::write(folder.path().join(name), keys[text].as_str().unwrap()).unwrap();
    }
    fs::write(folder.path().join("cert.p12"), vectors::client_p12()).unwrap();
    let identity = |table: Value| {
        let mut table = table;
        for (_, value) in table.as_object_mut().unwrap() {
            if !value.as_str().unwrap().starts_with("env:") {
                *value = json!(format!("file:{}", folder.path().join(value.as_str().unwrap()).display()));
            }
        }
        let mut section = Section::new("shop.toml", "", table.as_object().unwrap(), &testing::Fixed);
        let found = read(&mut section, Some(MCH_ID), testing::NOW).unwrap().pem.expose().to_owned();
        // The key is also a `wechat-v3` section's private_key, and no mistake there.
        assert!(section.secrets().is_empty());
        found
    };
    let from_pem = identity(json!({ "client_cert": "cert.pem", "client_key": "key.pem" }));
    assert_eq!(from_pem, identity(json!({ "client_cert": CERTIFICATE_VARIABLE, "client_key": KEY_VARIABLE })));
    let from_p12 = identity(json!({ "client_p12": "cert.p12" }));
    let public = |pem: &str| {
        let blocks: Vec<Pem> = Pem::iter_from_buffer(pem.as_bytes()).map(Result::unwrap).collect();
        (blocks[0].contents.clone(), public_key(&blocks.last().unwrap().contents).unwrap())
    };
    assert_eq!(public(&from_pem), public(&from_p12));
}

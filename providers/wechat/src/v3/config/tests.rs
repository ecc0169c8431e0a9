use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use crate::v3::testing::{API_V3_KEY, PUBLIC_KEY_ID, World, certificate_mode, key_text, partner_mode, section};

fn problems(changes: Value) -> Vec<String> {
    World::default().build(&section(changes)).1
}

#[test]
fn each_mistake_is_named_and_no_secret_is_shown() {
    const KEY: &str = "error: shop.toml: providers.wechat3";
    let public = |name: &str| json!({ "platform_public_key": format!("env:keys.{name}") });
    let cases = [
        (json!({}), None),
        (certificate_mode(), None),
        (partner_mode(), None),
        (json!({ "platform_certificates": true, "certificate": "file:keys.merchant.certificate_pem" }), None),
        (json!({ "serial_no": key_text("keys.merchant.serial_no").to_lowercase() }), None),
        (json!({ "sub_mch_id": "1900000100" }), None),
        // What H5 orders carry: 64 and 128 bytes, whatever they are in characters.
        (json!({ "h5_name": "书".repeat(21), "h5_url": format!("https://{}.cn", "a".repeat(117)) }), None),
        (json!({ "h5_name": "书".repeat(22) }), Some(".h5_name: is 66 bytes long; expected at most 64 bytes")),
        (json!({ "h5_name": "books 📚" }), Some(".h5_name: has characters that WeChat Pay does not take")),
        (json!({ "h5_name": "\"books\"" }), Some(".h5_name: has characters that WeChat Pay does not take")),
        (json!({ "h5_name": "a\nb" }), Some(".h5_name: has characters that WeChat Pay does not take")),
        (
            json!({ "h5_url": format!("https://{}.cn", "a".repeat(118)) }),
            Some(".h5_url: is 129 bytes long; expected at most 128 bytes"),
        ),
        (json!({ "h5_url": "https://a.cn/📚" }), Some(".h5_url: has characters that WeChat Pay does not take")),
        (json!({ "api_v3_key": null }), Some("error: shop.toml: providers.wechat3.api_v3_key: is missing")),
        (json!({ "api_v3_key": "env:APP_SECRET" }), Some(".api_v3_key: is not 32 bytes long")),
        (json!({ "serial_no": null }), Some(".serial_no: is missing")),
        (json!({ "serial_no": "PUB_KEY_ID_1" }), Some(".serial_no: is not valid")),
        (
            json!({ "serial_no": "12AB" }),
            Some("warning: shop.toml: providers.wechat3.serial_no: has an unusual length"),
        ),
        (json!({ "private_key": null }), Some(".private_key: is missing")),
        (
            json!({ "private_key": "env:keys.merchant.certificate_pem" }),
            Some(".private_key: holds a certificate, no private key"),
        ),
        (
            json!({ "private_key": "env:keys.platform_public_key.public_key_pem" }),
            Some(".private_key: holds no private key"),
        ),
        (json!({ "private_key": "env:APP_SECRET" }), Some(".private_key: ")),
        // One's own key, another kind of key, or half of the pair of settings.
        (public("merchant.certificate_pem"), Some(".platform_public_key: holds a certificate, no public key")),
        (
            public("merchant.private_key_pkcs8_pem"),
            Some(".platform_public_key: holds a private key, which is never WeChat's"),
        ),
        (json!({ "platform_public_key_id": null }), Some(".platform_public_key_id: is missing")),
        (json!({ "platform_public_key": null }), Some(".platform_public_key: is missing")),
        (
            json!({ "platform_public_key_id": key_text("keys.merchant.serial_no") }),
            Some(".platform_public_key_id: is not valid"),
        ),
        (
            json!({ "platform_public_key": null, "platform_public_key_id": null, "platform_certificates": false }),
            Some(".platform_certificates: is false and there is no platform_public_key"),
        ),
        // Key, certificate, serial number and merchant belong together.
        (
            json!({ "certificate": "file:keys.merchant.certificate_pem", "mch_id": "1900000110" }),
            Some(".certificate: is that of merchant 1900000109"),
        ),
        (
            json!({ "certificate": "file:keys.platform_cert_old.certificate_pem",
                "serial_no": key_text("keys.platform_cert_old.serial_no") }),
            Some(".private_key: is not the key of the certificate"),
        ),
        (
            json!({ "certificate": "file:keys.merchant.certificate_pem",
                "serial_no": key_text("keys.platform_cert_old.serial_no") }),
            Some(".serial_no: is not that of the certificate, which is 61A6AAED4FD423908620721958A375755EE2C140"),
        ),
        (
            json!({ "certificate": "file:keys.merchant.private_key_pkcs8_pem" }),
            Some(".certificate: holds no certificate that can be read"),
        ),
        (json!({ "sub_app_id": "wx7777777777777777" }), Some(".sub_app_id: stands without sub_mch_id")),
        (json!({ "sub_mch_id": "wx" }), Some(".sub_mch_id: is not valid")),
        (json!({ "ca_cert": "file:keys.platform_cert_old.certificate_pem" }), None),
        (json!({ "ca_cert": "file:keys.merchant.private_key_pkcs8_pem" }), Some(".ca_cert: holds no PEM certificate")),
        (json!({ "api_key": "x" }), Some(".api_key: is not a known key")),
        (json!({ "base_url": "http://127.0.0.1" }), Some(".base_url: ")),
    ];
    for (changes, expected) in cases {
        let shown = changes.to_string();
        let noted = problems(changes);
        match expected {
            None => assert_eq!(noted, Vec::<String>::new(), "{shown}"),
            Some(expected) => {
                let whole = if expected.starts_with('.') { format!("{KEY}{expected}") } else { expected.to_owned() };
                assert!(noted.len() == 1 && noted[0].starts_with(&whole), "{shown}: {noted:#?}");
            }
        }
        let secrets = [API_V3_KEY, "app-secret", "MIIEv"];
        assert!(secrets.iter().all(|secret| !noted.concat().contains(secret)), "{noted:?}");
    }
}

#[test]
fn a_certificate_that_ends_soon_is_told_before_it_does() {
    const DAY: i64 = 24 * 60 * 60 * 1000;
    let changes = json!({ "certificate": "file:keys.merchant.certificate_pem" });
    let (_, pem) = x509_parser::pem::parse_x509_pem(key_text("keys.merchant.certificate_pem").as_bytes()).unwrap();
    let end = pem.parse_x509().unwrap().validity().not_after.timestamp() * 1000;
    for (now, expected) in [
        (end - 61 * DAY, None),
        (end - 60 * DAY, Some("expires in 60 days; ")),
        (end - DAY, Some("expires in 1 day; ")),
        (end, Some("has expired; ")),
    ] {
        let world = World::default();
        world.clock.0.store(now, Ordering::SeqCst);
        let noted = world.build(&section(changes.clone())).1;
        let told = |words: &str| {
            let serial = key_text("keys.merchant.serial_no");
            let start =
                format!("warning: shop.toml: providers.wechat3.certificate: the merchant's certificate {serial}");
            noted.len() == 1 && noted[0].starts_with(&format!("{start} {words}"))
        };
        assert!(expected.map_or(noted.is_empty(), told), "{expected:?}: {noted:#?}");
    }
}

#[test]
fn ones_own_public_key_is_told_from_wechats() {
    let pair = crate::v3::testing::key_pair("keys.merchant.private_key_pkcs8_pem");
    use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
    use aws_lc_rs::signature::KeyPair as _;
    use base64::Engine as _;
    let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let base64 = base64::prelude::BASE64_STANDARD.encode(der.as_ref());
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{base64}\n-----END PUBLIC KEY-----\n");
    let noted = problems(json!({ "platform_public_key": pem }));
    assert!(
        noted.iter().any(|problem| problem.contains("platform_public_key: is the merchant's own public key")),
        "{noted:#?}"
    );
}

#[test]
fn settings_print_no_secret() {
    let printed = format!("{:?}", World::default().settings(&section(json!({}))));
    assert!(printed.contains("61A6AAED") && !printed.contains(API_V3_KEY) && !printed.contains("MII"), "{printed}");
    assert!(!printed.contains(PUBLIC_KEY_ID));
}

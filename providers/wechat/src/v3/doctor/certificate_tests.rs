//! A private key and a serial number of two certificates, found without asking anybody.

use dukou_spi::{Checkup, Finding, Grade, Presented};
use serde_json::{Value, json};

use super::tests::{about, errors};
use crate::v3::testing::{World, key_text, section};

const KEY_FILE: &str = "keys.merchant.private_key_pkcs8_pem";
const OTHER: &str = "keys.platform_cert_old";

/// What is found offline where the key lies in a folder, with a certificate beside it, or another section has one.
async fn offline(changes: Value, beside: Option<&str>, other: Option<&str>) -> Vec<Finding> {
    offline_at(World::default(), changes, beside, other).await
}

async fn offline_at(world: World, changes: Value, beside: Option<&str>, other: Option<&str>) -> Vec<Finding> {
    let folder = tempfile::tempdir().unwrap();
    if let Some(name) = beside {
        std::fs::write(folder.path().join("apiclient_cert.pem"), name).unwrap();
    }
    let mut section = section(json!({ "private_key": format!("file:{}", folder.path().join(KEY_FILE).display()) }));
    for (key, value) in changes.as_object().unwrap() {
        section[key.as_str()] = value.clone();
    }
    let der = |name: &str| x509_parser::pem::parse_x509_pem(name.as_bytes()).unwrap().1.contents;
    let (provider, problems) = world.build(&section);
    let provider = provider.unwrap_or_else(|| panic!("{problems:#?}"));
    let certificates = other.map(|name| Presented { section: "providers.wechat".to_owned(), der: der(name) });
    let notify_url = "https://pay.bookshop.cn/notify/shop/wechat/payment".to_owned();
    let checkup = Checkup { notify_url, live: false, openid: None, certificates: certificates.into_iter().collect() };
    provider.diagnose(&checkup).await
}

#[tokio::test]
async fn offline_a_certificate_that_lies_beside_the_key_tells_whether_key_and_serial_number_belong_together() {
    let ours = key_text("keys.merchant.certificate_pem");
    let theirs = key_text(&format!("{OTHER}.certificate_pem"));
    let other_serial = json!({ "serial_no": key_text(&format!("{OTHER}.serial_no")) });
    for (from, place) in [(true, "apiclient_cert.pem"), (false, "providers.wechat")] {
        let look = async |changes: &Value, certificate: &'static str| {
            let (beside, other) = if from { (Some(certificate), None) } else { (None, Some(certificate)) };
            offline(changes.clone(), beside, other).await
        };
        // The certificate is the key's, and serial_no another's; then the certificate is serial_no's, and not the key's.
        for (certificate, key) in [(ours, "serial_no"), (theirs, "private_key")] {
            let found = look(&other_serial, certificate).await;
            assert_eq!(errors(&found), [key], "{place}: {found:#?}");
            let told = about(&found, key)[0];
            assert!(told.message.contains(place) && !told.fix.is_empty(), "{found:#?}");
        }
        let found = look(&json!({}), ours).await;
        assert!(errors(&found).is_empty(), "{found:#?}");
        let good = about(&found, "private_key");
        assert!(matches!(good[..], [good] if good.grade == Grade::Good && good.message.contains(place)), "{found:#?}");
        assert!(about(&found, "certificate").iter().any(|finding| finding.message.contains("its end")), "{found:#?}");
        // Of neither: it says nothing.
        let found = look(&json!({}), theirs).await;
        assert!(errors(&found).is_empty() && about(&found, "private_key").is_empty(), "{found:#?}");
    }
    let found = offline(other_serial, Some("no certificate"), None).await;
    assert!(errors(&found).is_empty() && about(&found, "private_key").is_empty(), "{found:#?}");
    let both = offline(json!({}), Some(theirs), Some(ours)).await;
    assert_eq!(about(&both, "private_key").len(), 1, "the one that belongs to it tells: {both:#?}");
}

/// It is the one in use, whether named or not.
#[tokio::test]
async fn offline_a_certificate_that_lies_about_is_judged_for_its_end_as_a_named_one_is() {
    /// 2031-01-01.
    const END: i64 = 1_924_992_000;
    const DAY: i64 = 24 * 60 * 60;
    let ours = key_text("keys.merchant.certificate_pem");
    for (before, grade, words) in [
        (61 * DAY, Grade::Good, "is good for 61 days"),
        (60 * DAY, Grade::Warning, "expires in 60 days"),
        (0, Grade::Error, "has expired"),
        (-DAY, Grade::Error, "has expired"),
    ] {
        let look = async |changes: Value, beside, other| {
            let world = World::default();
            world.set_seconds(END - before);
            offline_at(world, changes, beside, other).await
        };
        for (place, found) in [
            ("apiclient_cert.pem beside private_key", look(json!({}), Some(ours), None).await),
            ("the one of providers.wechat", look(json!({}), None, Some(ours)).await),
            ("", look(json!({ "certificate": "file:keys.merchant.certificate_pem" }), None, None).await),
        ] {
            let told = about(&found, "certificate");
            let told = told.iter().find(|finding| finding.message.contains(words));
            let told = told.unwrap_or_else(|| panic!("{place}, {before} s before: {found:#?}"));
            assert!(told.grade == grade && told.message.contains(place), "{told:#?}");
            assert_eq!(told.fix.contains("make a new API certificate"), grade != Grade::Good, "{told:#?}");
        }
    }
}

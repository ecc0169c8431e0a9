use serde_json::{Value, json};

use crate::v2::testing;

fn problems(changes: Value) -> Vec<String> {
    let (_, problems) = testing::build(&testing::section(changes), Default::default());
    problems.into_iter().filter(|problem| !problem.contains(".client_cert: ")).collect()
}

#[test]
fn each_mistake_is_named_and_no_secret_is_shown() {
    let cases = [
        (json!({}), None),
        (
            json!({ "sign_type": "HMAC-SHA256", "timeout": "5s", "h5_url": "https://shop.example.com", "h5_name": "书店" }),
            None,
        ),
        (json!({ "backup_url": "https://backup.example.com" }), None),
        (json!({ "app_id": null }), Some("error: shop.toml: providers.wechat.app_id: is missing")),
        (json!({ "app_id": "1900000109" }), Some("error: shop.toml: providers.wechat.app_id: is not valid")),
        (json!({ "app_id": "wx" }), Some("error: shop.toml: providers.wechat.app_id: is not valid")),
        (json!({ "app_id": "wx2421b1c4370ec43-" }), Some("error: shop.toml: providers.wechat.app_id: is not valid")),
        (
            json!({ "app_id": format!("wx{}", "1".repeat(31)) }),
            Some("error: shop.toml: providers.wechat.app_id: is not valid"),
        ),
        (json!({ "app_id": "wx123" }), Some("warning: shop.toml: providers.wechat.app_id: has an unusual length")),
        (json!({ "mch_id": "wx123" }), Some("error: shop.toml: providers.wechat.mch_id: is not valid")),
        (json!({ "mch_id": "123" }), Some("warning: shop.toml: providers.wechat.mch_id: has an unusual length")),
        (json!({ "api_key": null }), Some("error: shop.toml: providers.wechat.api_key: is missing")),
        (
            json!({ "api_key": "env:GONE" }),
            Some("error: shop.toml: providers.wechat.api_key: names the environment variable GONE"),
        ),
        (
            json!({ "sign_type": "SHA1" }),
            Some("error: shop.toml: providers.wechat.sign_type: is not one of the known words"),
        ),
        (json!({ "sign_type": "HMAC-SHA256", "accepted_sign_type": "MD5" }), None),
        (json!({ "accepted_sign_type": "HMAC-SHA256" }), None),
        (
            json!({ "accepted_sign_type": "MD5" }),
            Some("error: shop.toml: providers.wechat.accepted_sign_type: is what sign_type says already"),
        ),
        (
            json!({ "accepted_sign_type": "SHA1" }),
            Some("error: shop.toml: providers.wechat.accepted_sign_type: is not one of the known words"),
        ),
        (json!({ "base_url": "http://127.0.0.1" }), Some("error: shop.toml: providers.wechat.base_url: ")),
        (json!({ "timeout": "10" }), Some("error: shop.toml: providers.wechat.timeout: ")),
        (
            json!({ "ca_cert": format!("file:{}/Cargo.toml", env!("CARGO_MANIFEST_DIR")) }),
            Some("error: shop.toml: providers.wechat.ca_cert: holds no PEM"),
        ),
        (json!({ "share_access_token": true }), None),
        (
            json!({ "share_access_token": true, "app_secret": null }),
            Some("error: shop.toml: providers.wechat.app_secret: is missing, and share_access_token needs it"),
        ),
        (json!({ "apikey": "x" }), Some("error: shop.toml: providers.wechat.apikey: is not a known key")),
    ];
    for (changes, expected) in cases {
        let shown = changes.to_string();
        let noted = problems(changes);
        match expected {
            None => assert_eq!(noted, Vec::<String>::new(), "{shown}"),
            Some(expected) => assert!(noted.len() == 1 && noted[0].starts_with(expected), "{shown}: {noted:#?}"),
        }
    }
    let short = problems(json!({ "api_key": "hush" }));
    assert!(short.iter().any(|problem| problem.contains("api_key: is not 32 bytes long")), "{short:?}");
    assert!(!short.concat().contains("hush"));
}

#[test]
fn settings_print_no_secret() {
    let printed = format!("{:?}", testing::settings("MD5"));
    assert!(!printed.contains(testing::API_KEY), "{printed}");
}

#[test]
fn a_backup_host_belongs_to_the_default_host_alone() {
    assert_eq!(testing::settings("MD5").account.backup_url.as_deref(), Some("https://api2.mch.weixin.qq.com"));
}

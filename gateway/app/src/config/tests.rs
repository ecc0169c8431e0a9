//! The repository's own gateway.toml against what the program reads.

use super::*;
use crate::outside;

fn load_text(text: &str) -> Loaded {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("gateway.toml"), text).expect("a file");
    load(folder.path(), BTreeMap::new(), Factories::default(), outside::context)
}

const PUBLIC_URL: &str = "[server]\npublic_url = \"https://pay.example.com/\"\n";

#[test]
fn the_defaults_are_what_the_file_says() {
    let loaded = load_text(PUBLIC_URL);
    assert!(loaded.problems.is_empty(), "{:?}", loaded.problems);
    let gateway = loaded.gateway.expect("valid");
    assert_eq!(gateway.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(gateway.admin_listen.to_string(), "127.0.0.1:8081");
    assert_eq!(gateway.public_url, "https://pay.example.com");
    assert_eq!(gateway.body_limit, 262_144);
    assert!(matches!(gateway.storage.place, StoragePlace::Sqlite(path) if path == Path::new("data/dukou.db")));
    assert_eq!(gateway.storage.max_batch, 512);
    assert_eq!(gateway.expires_after.as_secs(), 7200);
    assert_eq!(gateway.limits, dukou_http::LimitConfig::default());
    assert_eq!(gateway.trusted_proxies, dukou_http::TrustedProxies::default());
    assert_eq!(gateway.session_expires_after.as_secs(), 7200);
    assert_eq!(gateway.schedule, dukou_engine::Schedule::default());
    assert!(gateway.redis.is_none() && gateway.admin_token.is_none());
    assert!(!gateway.insecure && !gateway.allow_private_networks);
    assert_eq!(gateway.webhook_timeout.as_secs(), 15);
}

#[test]
fn two_listeners_have_room_beside_each_other() {
    for (public, admin, room) in [
        ("127.0.0.1:8080", "127.0.0.1:8081", true),
        ("127.0.0.1:8080", "127.0.0.2:8080", true),
        ("127.0.0.1:0", "127.0.0.1:0", true),
        ("0.0.0.0:8080", "[::1]:8080", true),
        ("127.0.0.1:8080", "127.0.0.1:8080", false),
        ("0.0.0.0:8080", "127.0.0.1:8080", false),
        ("127.0.0.1:8080", "[::]:8080", false),
        ("[::]:8080", "[::1]:8080", false),
    ] {
        let loaded = load_text(&format!("{PUBLIC_URL}listen = \"{public}\"\n[admin]\nlisten = \"{admin}\"\n"));
        let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.is_empty(), room, "{public} {admin}: {problems:?}");
        assert!(room || problems[0].contains("public listener's"), "{problems:?}");
    }
}

#[test]
fn where_payments_live() {
    for (url, place, problem) in [
        ("sqlite://data/other.db", "file", None),
        ("sqlite://", "", Some("names no file")),
        ("sqlite://data/", "", Some("names no file")),
        ("postgres://dukou@127.0.0.1/dukou", "database", None),
        ("postgres://dukou:hush@db.example.com/dukou", "database", Some("holds a password written in the file itself")),
        ("postgres://db.example.com/dukou?sslmode=prefer", "", Some("expected sslmode=verify-full")),
        ("postgres://db.example.com/dukou?target_session_attrs=any", "", Some("target_session_attrs")),
        ("postgres://db.example.com", "", Some("names no database")),
        ("mysql://db.example.com/dukou", "", Some("is not the address of a store")),
        ("env:NOBODY_SET_IT", "", Some("NOBODY_SET_IT")),
    ] {
        let loaded = load_text(&format!("{PUBLIC_URL}[storage]\nurl = \"{url}\"\n"));
        let problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
        match problem {
            None => assert!(problems.is_empty(), "{url}: {problems:?}"),
            Some(words) => assert!(problems.len() == 1 && problems[0].contains(words), "{url}: {problems:?}"),
        }
        assert!(!problems.concat().contains("hush"), "{problems:?}");
        let found = match loaded.gateway.map(|gateway| gateway.storage.place) {
            Some(StoragePlace::Sqlite(_)) => "file",
            Some(StoragePlace::Postgres(_)) => "database",
            None => "",
        };
        assert_eq!(found, place, "{url}");
    }
}

#[test]
fn every_key_that_the_file_shows_commented_out_is_known_too() {
    let mut text = String::new();
    for line in DEFAULTS.lines() {
        let shown = line.strip_prefix("# ").filter(|rest| rest.starts_with('[') || is_setting(rest));
        text.push_str(shown.unwrap_or(line));
        text.push('\n');
    }
    let loaded = load_text(&text);
    let mut problems: Vec<String> = loaded.problems.iter().map(ToString::to_string).collect();
    problems.retain(|problem| cfg!(feature = "otlp") || !problem.contains("telemetry.otlp_endpoint: is set, but"));
    // The token's variable is not set here; nothing else may be wrong.
    assert!(matches!(&problems[..], [only] if only.contains("admin.token")), "{problems:#?}");
    for key in ["public_url", "token", "prefix"] {
        assert!(text.lines().any(|line| line.starts_with(&format!("{key} = "))), "{key}");
    }
}

fn is_setting(line: &str) -> bool {
    line.split_once(" = ").is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
}

#[test]
fn a_file_wins_over_the_defaults_key_by_key() {
    let loaded = load_text(&format!("{PUBLIC_URL}listen = \"127.0.0.1:9000\"\n[queries]\nrefund = [\"3m\"]\n"));
    let gateway = loaded.gateway.expect("valid");
    assert_eq!(gateway.listen.port(), 9000);
    assert_eq!(gateway.schedule.unknown, dukou_engine::Schedule::default().unknown);
    assert_ne!(gateway.schedule.refund, dukou_engine::Schedule::default().refund);
}

#[test]
fn a_syntax_error_names_its_line_and_shows_none_of_it() {
    let loaded = load_text("[server]\nlisten = \"127.0.0.1:1\"\n[admin]\ntoken = hunter2hunter2\n");
    assert!(loaded.gateway.is_none());
    let text = loaded.problems[0].to_string();
    assert!(text.contains("gateway.toml: line 4: ") && !text.contains("hunter2"), "{text}");
}

#[test]
fn the_public_address_is_spelled_in_one_way() {
    for (written, spelled) in [
        ("https://pay.example.com", Some("https://pay.example.com")),
        ("https://PAY.example.com:443/", Some("https://pay.example.com")),
        ("https://pay.example.com/gateway/", Some("https://pay.example.com/gateway")),
        ("https://pay.example.com:8443", None),
        ("http://pay.example.com", None),
        ("https://pay.example.com/?a=1", None),
        ("https://user@pay.example.com", None),
        ("pay.example.com", None),
        ("", None),
    ] {
        let loaded = load_text(&format!("[server]\npublic_url = \"{written}\"\n"));
        assert_eq!(loaded.gateway.map(|gateway| gateway.public_url).as_deref(), spelled, "{written}");
    }
}

/// What is wrong with a tenant that has this webhook, and whether it is served.
fn with_webhook(gateway: &str, webhook: &str) -> (Vec<String>, bool) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("gateway.toml"), format!("{PUBLIC_URL}{gateway}")).expect("a file");
    std::fs::create_dir(folder.path().join("tenants")).expect("a folder");
    let tenant = format!(
        "id = \"shop\"\napi_keys = [{{ id = \"a\", secret = \"sk-0123456789abcdef\" }}]\n[webhook]\n{webhook}\n"
    );
    std::fs::write(folder.path().join("tenants/shop.toml"), tenant).expect("a file");
    let loaded = load(folder.path(), BTreeMap::new(), Factories::default(), outside::context);
    let errors = loaded.problems.iter().filter(|problem| problem.severity == Severity::Error);
    (errors.map(ToString::to_string).collect(), loaded.tenants.served().count() == 1)
}

#[test]
fn a_webhook_goes_to_the_public_internet_unless_a_sandbox_says_otherwise() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    for (host, public) in [
        ("shop.example.com", true),
        ("127.0.0.1", false),
        ("2130706433", false),
        ("[::ffff:10.0.0.1]", false),
        ("169.254.169.254", false),
        ("100.100.100.200", false),
        ("localhost", false),
    ] {
        for allowed in [false, true] {
            let gateway = format!("[webhooks]\nallow_private_networks = {allowed}\n");
            let webhook = format!("url = \"https://{host}/dukou\"\nsecret = \"{secret}\"");
            let (errors, served) = with_webhook(&gateway, &webhook);
            let refused = !public && !allowed;
            assert_eq!(served, !refused, "{host} {errors:?}");
            match refused {
                true => assert!(errors[0].contains("webhook.url: leads to no public address"), "{errors:?}"),
                false => assert!(errors.is_empty(), "{errors:?}"),
            }
        }
    }
}

#[test]
fn a_webhook_secret_that_is_none_is_named_by_its_place() {
    let good = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    for (secret, expected) in [
        (format!("[\"{good}\", \"{good}\"]"), None),
        (format!("[\"{good}\", \"whsec_c2hvcnQ=\"]"), Some("webhook.secret[1]: is not a webhook secret")),
        (format!("[\"\", \"{good}\"]"), Some("webhook.secret[0]: is no text, or an empty one")),
        (format!("[7, \"{good}\"]"), Some("webhook.secret[0]: is no text, or an empty one")),
        ("\"whsec_c2hvcnQ=\"".to_owned(), Some("webhook.secret: is not a webhook secret")),
        ("\"\"".to_owned(), Some("webhook.secret: is no text, or an empty one")),
        ("[]".to_owned(), Some("webhook.secret: is neither a text nor a list of one or two")),
    ] {
        let webhook = format!("url = \"https://shop.example.com/dukou\"\nsecret = {secret}");
        let (errors, served) = with_webhook("", &webhook);
        assert_eq!(served, expected.is_none(), "{secret}: {errors:?}");
        match expected {
            None => assert!(errors.is_empty(), "{errors:?}"),
            Some(words) => assert!(errors.len() == 1 && errors[0].contains(words), "{secret}: {errors:?}"),
        }
    }
}

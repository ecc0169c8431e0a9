//! `dukou check` and the command line's exit codes.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

const API_KEY: &str = "0123456789abcdef0123456789abcdef";

/// The program, in an environment of its own.
fn dukou(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dukou"));
    command.args(arguments).current_dir(folder).env_clear().envs(variables.iter().copied());
    command.output().expect("the program starts")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// A configuration folder `config` with the given files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    std::fs::create_dir_all(folder.path().join("config/tenants")).expect("a folder");
    for (name, text) in files {
        std::fs::write(folder.path().join("config").join(name), text).expect("a file");
    }
    folder
}

fn tenant(id: &str, mch_id: &str, more: &str) -> String {
    format!(
        "id = \"{id}\"\napi_keys = [{{ id = \"backend\", secret = \"env:KEY\" }}]\n{more}\n[providers.wechat]\n\
         kind = \"wechat-v2\"\napp_id = \"wx8888888888888888\"\nmch_id = \"{mch_id}\"\napi_key = \"env:KEY\"\n"
    )
}

const GATEWAY: &str = "[server]\npublic_url = \"https://pay.example.com\"\n";
const KEY: (&str, &str) = ("KEY", API_KEY);

#[test]
fn every_problem_of_a_broken_folder_is_named_at_once() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let output = dukou(&tests, &["check", "--config", "broken"], &[("DUKOU__TENANTS__NOBODY__NAME", "x")]);
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!("broken_folder", stdout(&output));
    assert!(!stdout(&output).contains("literal\""), "a secret was printed");
}

#[test]
fn completions_that_nobody_reads_end_with_a_word() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_dukou"));
    let output = command.args(["completions", "bash"]).stdout(writer).output().expect("the program starts");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.starts_with("error: Broken pipe"), "{said}");
}

#[test]
fn a_right_folder_is_valid_and_a_warning_alone_is_no_failure() {
    let shop = tenant("bookshop", "1900000109", "");
    let folder = folder(&[("gateway.toml", GATEWAY), ("tenants/bookshop.toml", &shop)]);
    let output = dukou(folder.path(), &["check"], &[KEY]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    // No client certificate: refunds will not work, which deserves a word.
    assert!(stdout(&output).ends_with("configuration is valid: 1 tenant, 1 warning\n"), "{}", stdout(&output));
}

#[test]
fn exit_codes() {
    let right = folder(&[("gateway.toml", GATEWAY)]);
    let broken = folder(&[("gateway.toml", "[server")]);
    for (folder, arguments, code) in [
        (&right, vec!["check"], 0),
        (&broken, vec!["check"], 1),
        (&right, vec!["check", "--config", "nowhere"], 1),
        (&right, vec!["check", "--colour"], 2),
        (&right, vec!["dance"], 2),
        (&right, vec![], 2),
        (&right, vec!["--version"], 0),
        (&right, vec!["--help"], 0),
    ] {
        let output = dukou(folder.path(), &arguments, &[]);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
    }
}

#[test]
fn the_environment_wins_over_the_file_and_is_named_where_it_is_wrong() {
    let shop = tenant("book-shop", "1900000109", "");
    let folder = folder(&[("gateway.toml", GATEWAY), ("tenants/book-shop.toml", &shop)]);
    for (variables, expected) in [
        (vec![("DUKOU__SERVER__LISTEN", "0.0.0.0:80")], None),
        (vec![("DUKOU__SERVER__LISTEN", "x")], Some("environment variable DUKOU__SERVER__LISTEN: server.listen: ")),
        (vec![("DUKOU__SERVER__INSECURE", "true"), ("DUKOU__SERVER__PUBLIC_URL", "http://127.0.0.1:8080")], None),
        (vec![("DUKOU__SERVER__PUBLIC_URL", "http://127.0.0.1")], Some("DUKOU__SERVER__PUBLIC_URL")),
        (vec![("DUKOU__SERVER__LISTENN", "x")], Some("DUKOU__SERVER__LISTENN: server.listenn: is not a known key")),
        (vec![("DUKOU__NOSUCH__X", "1")], Some("environment variable DUKOU__NOSUCH__X: nosuch: is not a known key")),
        (
            vec![("DUKOU__TENANTS__BOOK_SHOP__NOSUCH__X", "1")],
            Some("environment variable DUKOU__TENANTS__BOOK_SHOP__NOSUCH__X: nosuch: is not a known key"),
        ),
        (vec![("DUKOU__QUERIES__UNKNOWN", "1s, 2s")], None),
        (vec![("DUKOU__QUERIES__UNKNOWN", "2s,1s")], Some("queries.unknown: is out of range or out of order")),
        (vec![("DUKOU__REDIS__URL", "redis://127.0.0.1:6379/0")], None),
        (vec![("DUKOU__TENANTS__BOOK_SHOP__PROVIDERS__WECHAT__MCH_ID", "1900000110")], None),
        (
            vec![("DUKOU__TENANTS__BOOK_SHOP__PROVIDERS__WECHAT__MCH_ID", "no number")],
            Some(
                "environment variable DUKOU__TENANTS__BOOK_SHOP__PROVIDERS__WECHAT__MCH_ID: providers.wechat.mch_id: ",
            ),
        ),
        (
            vec![(
                "DUKOU__TENANTS__BOOK_SHOP__API_KEYS",
                "[{ id = 'a', secret = 'env:KEY' }, { id = 'b', secret = 'env:KEY' }]",
            )],
            None,
        ),
        (
            vec![("DUKOU__TENANTS__BOOK_SHOP__API_KEYS", "[{ id = 'a' }]")],
            Some("BOOK_SHOP__API_KEYS: api_keys[0].secret: is missing"),
        ),
        (
            vec![("DUKOU__TENANTS__TEAHOUSE__NAME", "x")],
            Some("DUKOU__TENANTS__TEAHOUSE__NAME: tenants: names a tenant"),
        ),
    ] {
        let mut all = vec![KEY];
        all.extend(variables.iter().copied());
        let output = dukou(folder.path(), &["check"], &all);
        let text = stdout(&output);
        match expected {
            None => assert_eq!(output.status.code(), Some(0), "{variables:?}: {text}"),
            Some(expected) => {
                assert_eq!(output.status.code(), Some(1), "{variables:?}: {text}");
                assert!(text.contains(expected), "{variables:?}: {text}");
            }
        }
    }
}

#[test]
fn a_number_too_long_is_named_by_its_line_and_not_shown() {
    let long = "12345678901234567890";
    let (tenants, key) = (tenant("bookshop", "1900000109", ""), format!("client_p12_password = {long}\n"));
    let gateway = format!("{GATEWAY}body_limit = [1, {long}]\n");
    let folder = folder(&[("gateway.toml", &gateway), ("tenants/bookshop.toml", &format!("{tenants}{key}"))]);
    let text = stdout(&dukou(folder.path(), &["check"], &[KEY]));
    for (place, key) in [
        ("gateway.toml: line 3", "server.body_limit[1]"),
        ("bookshop.toml: line 9", "providers.wechat.client_p12_password"),
    ] {
        let line = text.lines().find(|line| line.contains(place)).unwrap_or_default();
        assert!(line.contains(&format!("{key} is a number out of range")) && line.contains("in quotes"), "{text}");
    }
    assert!(!text.contains("environment") && !text.contains(long), "{text}");
}

#[test]
fn a_variable_that_may_mean_two_tenants_is_used_for_neither() {
    let (one, other) = (tenant("book-shop", "1900000109", ""), tenant("book_shop", "1900000110", ""));
    let files =
        [("gateway.toml", GATEWAY), ("tenants/book-shop.toml", one.as_str()), ("tenants/book_shop.toml", &other)];
    let both = folder(&files);
    let keys = ("DUKOU__TENANTS__BOOK_SHOP__API_KEYS", "[{ id = 'a' }]");
    let text = stdout(&dukou(both.path(), &["check"], &[KEY, keys]));
    let named = "error: environment variable DUKOU__TENANTS__BOOK_SHOP__API_KEYS: tenants: may mean the tenants \
                 book-shop and book_shop, and is used for none of them; expected ";
    assert_eq!(text.matches(named).count(), 1, "{text}");
    assert!(text.contains("rename one") && !text.contains("api_keys"), "{text}");
    let served = dukou(both.path(), &["serve"], &[KEY, keys, ("DUKOU__SERVER__LISTEN", "127.0.0.1:99999")]);
    assert!(String::from_utf8_lossy(&served.stderr).contains("may mean the tenants book-shop and book_shop"));
    // Nothing is wrong with them as long as no variable means either.
    assert_eq!(dukou(both.path(), &["check"], &[KEY]).status.code(), Some(0));
}

#[test]
fn a_variable_means_the_tenant_with_the_longest_id() {
    let (one, other) = (tenant("a", "1900000109", ""), tenant("a__b", "1900000110", ""));
    let both = folder(&[("gateway.toml", GATEWAY), ("tenants/a.toml", &one), ("tenants/a__b.toml", &other)]);
    let check = |variables: &[_]| dukou(both.path(), &["check"], variables);
    let output = check(&[KEY, ("DUKOU__TENANTS__A__B__NAME", "Tea"), ("DUKOU__TENANTS__A__NAME", "Books")]);
    assert_eq!(output.status.code(), Some(0), "{}", stdout(&output));
    let text = stdout(&check(&[KEY, ("DUKOU__TENANTS__A__B__TRADE_NO_PREFIX", "?")]));
    assert_eq!(
        text.matches("DUKOU__TENANTS__A__B__TRADE_NO_PREFIX: trade_no_prefix: is not valid").count(),
        1,
        "{text}"
    );
    assert!(!text.contains("is not a known key"), "{text}");
}

/// A folder that another user owns reads like this too; these tests may run as one whom nothing is refused.
#[test]
fn doctor_says_of_a_folder_that_cannot_be_read_what_check_says() {
    let folder = folder(&[("gateway.toml", GATEWAY)]);
    std::fs::remove_dir(folder.path().join("config/tenants")).expect("a folder");
    std::fs::write(folder.path().join("config/tenants"), "").expect("a file");
    for arguments in [vec!["check"], vec!["doctor", "--tenant", "bookshop"]] {
        let output = dukou(folder.path(), &arguments, &[]);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.starts_with("error: config/tenants: tenants: cannot be read: Not a directory"), "{text}");
        assert!(!text.contains("there is no tenant"), "{text}");
    }
}

#[test]
fn doctor_without_any_tenant_names_none() {
    let folder = folder(&[("gateway.toml", GATEWAY)]);
    let text = stdout(&dukou(folder.path(), &["doctor", "--tenant", "bookshop"], &[]));
    assert!(text.contains("there is no tenant bookshop") && !text.contains("name one of"), "{text}");
    assert!(text.contains("fix: write config/tenants/bookshop.toml"), "{text}");
}

#[test]
fn a_shared_account_is_named_beside_what_else_is_wrong_with_a_file() {
    // Whichever of the two comes first.
    for (one, other) in [("colour = 1", ""), ("", "colour = 1")] {
        let (bookshop, teahouse) = (tenant("bookshop", "1900000109", one), tenant("teahouse", "1900000109", other));
        let folder = folder(&[
            ("gateway.toml", GATEWAY),
            ("tenants/bookshop.toml", &bookshop),
            ("tenants/teahouse.toml", &teahouse),
        ]);
        let text = stdout(&dukou(folder.path(), &["check"], &[KEY]));
        assert!(text.contains("colour: is not a known key"), "{text}");
        assert_eq!(text.matches("shares merchant account 1900000109").count(), 1, "{text}");
    }
}

/// What a gateway allows that cannot be read is not known.
#[test]
fn a_gateway_that_cannot_be_read_is_no_tenants_mistake() {
    let webhook = "[webhook]\nurl = \"http://127.0.0.1:9000/hook\"\nsecret = \"env:WHSEC\"\n";
    let shop = tenant("bookshop", "1900000109", webhook);
    let folder = folder(&[("gateway.toml", "[server\n"), ("tenants/bookshop.toml", &shop)]);
    let secret = ("WHSEC", "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
    let text = stdout(&dukou(folder.path(), &["check"], &[KEY, secret]));
    assert_eq!(text.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{text}");
    assert!(text.starts_with("error: config/gateway.toml: line 1: "), "{text}");

    // Of a tenant with a mistake of its own nobody says that the others are served.
    std::fs::write(folder.path().join("config/tenants/bookshop.toml"), "id = 1\n").expect("a file");
    let served = dukou(folder.path(), &["serve"], &[]);
    let log = String::from_utf8(served.stderr).expect("text");
    assert_eq!(served.status.code(), Some(1), "{log}");
    assert!(log.contains("gateway.toml cannot be used") && !log.contains("is not served"), "{log}");
}

#[test]
fn tenants_that_share_a_merchant_account_need_prefixes() {
    for (one, other, valid) in [
        ("", "", false),
        ("trade_no_prefix = \"A\"", "", false),
        ("trade_no_prefix = \"A\"", "trade_no_prefix = \"AB\"", false),
        ("trade_no_prefix = \"A\"", "trade_no_prefix = \"A\"", false),
        ("trade_no_prefix = \"A\"", "trade_no_prefix = \"B\"", true),
    ] {
        let (bookshop, teahouse) = (tenant("bookshop", "1900000109", one), tenant("teahouse", "1900000109", other));
        let folder = folder(&[
            ("gateway.toml", GATEWAY),
            ("tenants/bookshop.toml", &bookshop),
            ("tenants/teahouse.toml", &teahouse),
        ]);
        let output = dukou(folder.path(), &["check"], &[KEY]);
        let text = stdout(&output);
        assert_eq!(output.status.code(), Some(if valid { 0 } else { 1 }), "{one} {other}: {text}");
        let named = text.contains("teahouse.toml: trade_no_prefix: ") && text.contains("bookshop.toml");
        assert_eq!(named, !valid, "{text}");
    }
}

#[test]
fn the_samples_hold_only_known_keys() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/tenants");
    let folder = folder(&[("gateway.toml", GATEWAY)]);
    let mut seen = 0;
    for entry in std::fs::read_dir(samples).expect("the samples") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if let Some(id) = name.strip_suffix(".example.toml") {
            std::fs::copy(&path, folder.path().join(format!("config/tenants/{id}.toml"))).expect("a copy");
            seen += 1;
        }
    }
    assert!(seen >= 2);
    let text = stdout(&dukou(folder.path(), &["check"], &[]));
    for line in text.lines().filter(|line| line.starts_with("error")) {
        let about_this_machine = line.contains("which is not set") || line.contains("cannot be read");
        assert!(about_this_machine, "{line}");
    }
}

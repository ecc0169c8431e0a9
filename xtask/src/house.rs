//! The rules of the house as tests: who imports whom, where a library may be used, how long a
//! file may be, and that the documents name what exists.

mod ops;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Of our own crates, what each may import. Whoever is not in the list may not import any.
const IMPORTS: &[(&str, &[&str])] = &[
    ("gateway/domain", &[]),
    ("gateway/spi", &["dukou-domain"]),
    ("gateway/engine", &["dukou-domain", "dukou-spi"]),
    ("gateway/store", &["dukou-domain", "dukou-spi", "dukou-engine"]),
    ("gateway/transport", &["dukou-domain", "dukou-spi"]),
    ("gateway/webhook", &["dukou-domain", "dukou-spi", "dukou-engine", "dukou-transport"]),
    ("gateway/http", &["dukou-domain", "dukou-spi", "dukou-engine"]),
    ("gateway/console", &["dukou-domain", "dukou-spi", "dukou-engine", "dukou-http"]),
    (
        "gateway/app",
        &[
            "dukou-domain",
            "dukou-spi",
            "dukou-engine",
            "dukou-store",
            "dukou-transport",
            "dukou-http",
            "dukou-console",
            "dukou-webhook",
            "dukou-wechat",
            "dukou-douyin-share",
            "dukou-sandbox",
        ],
    ),
    ("providers/wechat", &["dukou-domain", "dukou-spi"]),
    ("plugins/douyin-share", &["dukou-domain", "dukou-spi"]),
    ("tests/sandbox", &[]),
];

/// Libraries that belong to one place, and the crates (besides the tests') that may use them.
const HOMES: &[(&str, &[&str])] = &[
    ("actix-web", &["gateway/http", "gateway/console", "gateway/app"]),
    ("rusqlite", &["gateway/store"]),
    ("redis", &["gateway/store"]),
    ("sqlx", &["gateway/store"]),
    ("reqwest", &["gateway/transport", "gateway/webhook", "gateway/app"]),
    ("quick-xml", &["providers/wechat"]),
    ("md-5", &["providers/wechat", "plugins/douyin-share"]),
    ("askama", &["gateway/console", "plugins/douyin-share"]),
    ("prometheus", &["gateway/app"]),
    ("config", &["gateway/app"]),
    ("utoipa", &["gateway/http"]),
];

/// Signing libraries of the providers, which the sandbox must do without: both would be wrong
/// together.
const NOT_IN_THE_SANDBOX: &[&str] = &["md-5", "quick-xml", "aws-lc-rs"];

const LONGEST_FILE: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the root").to_owned()
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn crates() -> Vec<String> {
    let manifest: toml::Table = read(&root().join("Cargo.toml")).parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    members.iter().map(|member| member.as_str().unwrap().to_owned()).collect()
}

/// What a crate imports in its normal (not its test) build.
fn dependencies(folder: &str) -> BTreeSet<String> {
    let manifest: toml::Table = read(&root().join(folder).join("Cargo.toml")).parse().unwrap();
    manifest
        .get("dependencies")
        .and_then(|table| table.as_table())
        .map(|table| table.keys().cloned().collect())
        .unwrap_or_default()
}

#[test]
fn crates_import_only_as_drawn() {
    for folder in crates().iter().filter(|folder| !folder.starts_with("tests/") || *folder == "tests/sandbox") {
        let allowed = IMPORTS.iter().find(|(name, _)| name == folder).map_or(&[] as &[&str], |(_, allowed)| allowed);
        for dependency in dependencies(folder).iter().filter(|name| name.starts_with("dukou")) {
            assert!(
                allowed.contains(&dependency.as_str()),
                "{folder}/Cargo.toml imports {dependency}; it may import {allowed:?} (see ARCHITECTURE.md)"
            );
        }
    }
}

#[test]
fn a_library_is_used_where_it_belongs() {
    let ours = ["gateway/", "providers/", "plugins/"];
    for folder in crates().iter().filter(|folder| ours.iter().any(|root| folder.starts_with(root))) {
        for dependency in dependencies(folder) {
            if let Some((_, homes)) = HOMES.iter().find(|(library, _)| *library == dependency) {
                assert!(
                    homes.contains(&folder.as_str()),
                    "{folder}/Cargo.toml uses {dependency}; it belongs to {homes:?}"
                );
            }
        }
    }
}

#[test]
fn the_sandbox_shares_no_signing_code_with_the_providers() {
    let used = dependencies("tests/sandbox");
    for library in NOT_IN_THE_SANDBOX {
        assert!(!used.contains(*library), "tests/sandbox uses {library}, which a provider signs or parses with");
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn files_are_short_and_finished() {
    let mut files = Vec::new();
    for folder in crates() {
        sources(&root().join(folder), &mut files);
    }
    assert!(files.len() > 50, "the sources were not found");
    for file in files {
        let text = read(&file);
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{} has {lines} lines: two subjects?", file.display());
        for word in ["todo!", "unimplemented!", "danger_accept_invalid"] {
            let called = format!("{word}{}", if word.ends_with('!') { "(" } else { "" });
            let here = file.ends_with("xtask/src/house.rs");
            assert!(here || !text.contains(&called), "{} contains {called}", file.display());
        }
    }
}

/// The words between back-ticks of a document.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// A state or a fact that is new does not compile until somebody has said what it means; an arm for whatever is left
/// would say it unseen.
#[test]
fn the_state_machines_have_no_wildcard_arm() {
    for name in ["payment", "refund"] {
        let text = read(&root().join(format!("gateway/domain/src/{name}.rs")));
        let machine =
            text.split_once("\npub fn next(").and_then(|(_, rest)| rest.split_once("\n}\n")).map(|(body, _)| body);
        let machine = machine.unwrap_or_else(|| panic!("{name}: no state machine"));
        let arms = machine.split_once("match (state, fact) {").map(|(_, arms)| arms);
        let arms = arms.unwrap_or_else(|| panic!("{name}: it does not match state and fact"));
        let words = arms.split(|c: char| !c.is_alphanumeric() && c != '_');
        assert_eq!(words.filter(|word| *word == "_").count(), 0, "{name}: an arm takes whatever is left");
    }
}

#[test]
fn the_documents_name_what_exists() {
    let mut code = String::new();
    let mut files = Vec::new();
    for folder in crates() {
        sources(&root().join(folder), &mut files);
    }
    for file in &files {
        code.push_str(&read(file));
    }
    let architecture = read(&root().join("ARCHITECTURE.md"));
    for word in quoted(&architecture) {
        let is_path = word.contains('/') && !word.contains([' ', '*', '<', '{', ':', '(']) && !word.starts_with('/');
        if is_path {
            assert!(root().join(word).exists(), "ARCHITECTURE.md names {word}, which does not exist");
        }
        if let Some(test) = word.strip_prefix("test ") {
            assert!(
                code.contains(&format!("fn {test}(")),
                "ARCHITECTURE.md names the test {test}, which does not exist"
            );
        }
    }
}

#[test]
fn both_readmes_show_the_same_commands() {
    let commands = |name: &str| -> Vec<String> {
        let text = read(&root().join(name));
        text.split("```")
            .skip(1)
            .step_by(2)
            .filter(|block| block.starts_with("sh\n") || block.starts_with("toml\n"))
            .map(without_comments)
            .collect()
    };
    assert_eq!(commands("README.md"), commands("README.zh-CN.md"));
    assert!(!commands("README.md").is_empty());
}

fn without_comments(block: &str) -> String {
    block
        .lines()
        .map(|line| line.split(" # ").next().unwrap_or(line).trim_end())
        .filter(|line| !line.starts_with('#'))
        .collect::<Vec<_>>()
        .join("\n")
}

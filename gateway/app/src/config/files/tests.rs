//! A folder that changes under the gateway.

use super::*;
use crate::config::{Factories, Loaded, load};
use crate::outside;

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// A configuration folder, and what follows it.
struct Folder {
    folder: tempfile::TempDir,
    files: TenantFiles,
}

impl Folder {
    fn new(tenants: &[(&str, &str)]) -> Self {
        Folder::with(tenants, &[])
    }

    fn with(tenants: &[(&str, &str)], variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "gateway.toml", "[server]\npublic_url = \"https://pay.example.com\"\n");
        write(folder.path(), "tenants/key", KEY);
        for (id, mch_id) in tenants {
            write(folder.path(), &format!("tenants/{id}.toml"), &text(id, mch_id));
        }
        let variables = variables.iter().chain(&[("KEY", KEY)]);
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let Loaded { tenants: files, problems, .. } =
            load(folder.path(), variables, Factories::builtin(), outside::context);
        assert!(problems.iter().all(|problem| problem.severity == Severity::Warning), "{problems:?}");
        Folder { folder, files }
    }

    fn write(&self, name: &str, text: &str) {
        write(self.folder.path(), name, text);
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.folder.path().join(name)).expect("a file");
    }

    /// Looks once: what changed, what was refused, and whether something is still changing.
    fn look(&mut self) -> (Vec<String>, Vec<String>, bool) {
        let look = self.files.look(Patience::Settled);
        let changes = look.changes.iter().map(|change| match change {
            Change::Served(settings) => settings.tenant.id.to_string(),
            Change::Removed(id) => format!("no {id}"),
        });
        let name = |path: &PathBuf| path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
        (changes.collect(), look.refused.iter().filter_map(name).collect(), look.unsettled)
    }

    /// Looks twice, which is when a change counts.
    fn settle(&mut self) -> (Vec<String>, Vec<String>) {
        let first = self.look();
        assert!(first.0.is_empty() && first.1.is_empty(), "nothing counts at the first look: {first:?}");
        let (changes, refused, unsettled) = self.look();
        assert!(!unsettled);
        (changes, refused)
    }

    /// Tenants and their merchant accounts.
    fn served(&self) -> Vec<String> {
        self.files.served().map(|settings| account(settings)).collect()
    }
}

fn account(settings: &TenantSettings) -> String {
    let account = settings.tenant.providers.values().next().map(|provider| provider.info().merchant_id.clone());
    format!("{} {}", settings.tenant.id, account.unwrap_or_default())
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().expect("in a folder")).expect("a folder");
    std::fs::write(path, text).expect("a file");
}

fn text(id: &str, mch_id: &str) -> String {
    format!(
        "id = \"{id}\"\napi_keys = [{{ id = \"backend\", secret = \"env:KEY\" }}]\n[providers.wechat]\n\
         kind = \"wechat-v2\"\napp_id = \"wx8888888888888888\"\nmch_id = \"{mch_id}\"\napi_key = \"file:key\"\n"
    )
}

fn none() -> (Vec<String>, Vec<String>, bool) {
    (Vec::new(), Vec::new(), false)
}

fn one(word: &str) -> Vec<String> {
    vec![word.to_owned()]
}

#[test]
fn what_does_not_change_keeps_its_provider() {
    let mut folder = Folder::new(&[("bookshop", "1900000101"), ("teahouse", "1900000102")]);
    let before: Vec<_> = folder.files.served().map(|settings| Arc::clone(&settings.tenant)).collect();
    assert_eq!(folder.look(), none());
    folder.write("tenants/cellar.toml", &text("cellar", "1900000103"));
    folder.write("tenants/bookshop.toml", &text("bookshop", "1900000101"));
    assert_eq!(folder.settle(), (one("cellar"), vec![]));
    assert_eq!(folder.look(), none());
    for (before, now) in before.iter().zip([0, 2]) {
        let now = folder.files.served().nth(now).expect("served");
        assert!(Arc::ptr_eq(before, &now.tenant), "{}", before.id);
    }
}

#[test]
fn tenants_come_change_and_go() {
    let mut folder = Folder::new(&[("bookshop", "1900000101")]);
    folder.write("tenants/bookshop.toml", &text("bookshop", "1900000109"));
    folder.write("tenants/teahouse.toml", &text("teahouse", "1900000102"));
    assert_eq!(folder.settle(), (vec!["bookshop".to_owned(), "teahouse".to_owned()], vec![]));
    assert_eq!(folder.served(), ["bookshop 1900000109", "teahouse 1900000102"]);
    folder.remove("tenants/bookshop.toml");
    assert_eq!(folder.settle(), (one("no bookshop"), vec![]));
    assert_eq!(folder.served(), ["teahouse 1900000102"]);
    folder.write("tenants/bookshop.toml", &text("bookshop", "1900000109"));
    assert_eq!(folder.settle(), (one("bookshop"), vec![]));
}

#[test]
fn what_cannot_be_served_is_named_once_and_the_old_one_stays() {
    let mut folder = Folder::new(&[("bookshop", "1900000101")]);
    let whole = text("bookshop", "1900000105");
    for (broken, words) in [
        (&whole[..40], "bookshop.toml: line 2: "),
        ("", "bookshop.toml: id: is missing"),
        (&whole.replace("mch_id", "mchid"), "bookshop.toml: providers.wechat.mch_id: is missing"),
        (&whole.replace("file:key", "file:gone"), "bookshop.toml: providers.wechat.api_key: names "),
        (&whole.replace("\"bookshop\"", "\"teahouse\""), "bookshop.toml: id: is \"teahouse\""),
    ] {
        folder.write("tenants/bookshop.toml", broken);
        assert!(folder.files.look(Patience::Settled).unsettled);
        let look = folder.files.look(Patience::Settled);
        assert_eq!((look.changes.len(), look.refused.len()), (0, 1), "{broken}");
        assert!(look.problems.iter().any(|problem| problem.to_string().contains(words)), "{:?}", look.problems);
        assert_eq!(folder.look(), none(), "told once");
        assert_eq!(folder.files.refused(), 1, "and not in force for as long as it stands");
        assert_eq!(folder.served(), ["bookshop 1900000101"]);
    }
    folder.write("tenants/bookshop.toml", &whole);
    assert_eq!(folder.settle(), (one("bookshop"), vec![]));
    assert_eq!(folder.served(), ["bookshop 1900000105"]);
    assert_eq!(folder.files.refused(), 0);
}

#[test]
fn what_is_half_done_is_not_read() {
    let mut folder = Folder::new(&[("bookshop", "1900000101")]);
    let whole = text("bookshop", "1900000105");
    // Written in two parts.
    folder.write("tenants/bookshop.toml", &whole[..60]);
    assert_eq!(folder.look(), (vec![], vec![], true));
    folder.write("tenants/bookshop.toml", &whole);
    assert_eq!(folder.look(), (vec![], vec![], true));
    assert_eq!(folder.look(), (one("bookshop"), vec![], false));
    // Taken away to be replaced, with the same content in the end.
    folder.remove("tenants/bookshop.toml");
    assert_eq!(folder.look(), (vec![], vec![], true));
    folder.write("tenants/bookshop.toml", &whole);
    assert_eq!(folder.look(), none());
    // Here for a moment only.
    folder.write("tenants/teahouse.toml", &whole);
    assert_eq!(folder.look(), (vec![], vec![], true));
    folder.remove("tenants/teahouse.toml");
    assert_eq!((folder.look(), folder.look(), folder.look()), ((vec![], vec![], true), none(), none()));
}

#[test]
fn asked_for_it_counts_at_once() {
    let mut folder = Folder::new(&[("bookshop", "1900000101")]);
    folder.write("tenants/teahouse.toml", &text("teahouse", "1900000102"));
    folder.remove("tenants/bookshop.toml");
    let look = folder.files.look(Patience::AtOnce);
    assert_eq!((look.changes.len(), look.refused.len(), look.unsettled), (2, 0, false));
    assert_eq!(folder.served(), ["teahouse 1900000102"]);
}

#[test]
fn a_file_that_a_tenant_names_is_a_part_of_it() {
    let mut folder = Folder::new(&[("bookshop", "1900000101")]);
    folder.write("tenants/key", "fedcba9876543210fedcba9876543210");
    assert_eq!(folder.settle(), (one("bookshop"), vec![]));
    folder.remove("tenants/key");
    assert_eq!(folder.settle(), (vec![], one("bookshop")));
    assert_eq!(folder.served(), ["bookshop 1900000101"]);
    folder.write("tenants/key", KEY);
    assert_eq!(folder.settle(), (one("bookshop"), vec![]));
    // Written before the secret that it names.
    folder.write("tenants/teahouse.toml", &text("teahouse", "1900000102").replace("file:key", "file:tea"));
    assert_eq!(folder.settle(), (vec![], one("teahouse")));
    folder.write("tenants/tea", KEY);
    assert_eq!(folder.settle(), (one("teahouse"), vec![]));
}

#[test]
fn who_shares_an_account_comes_after_who_has_it() {
    let mut folder = Folder::new(&[("bookshop", "1900000101"), ("teahouse", "1900000102")]);
    // Before the other in the order of names.
    folder.write("tenants/attic.toml", &text("attic", "1900000101"));
    assert_eq!(folder.settle(), (vec![], one("attic")));
    // A change of another tenant does not name it again.
    folder.write("tenants/teahouse.toml", &text("teahouse", "1900000103"));
    assert_eq!(folder.settle(), (one("teahouse"), vec![]));
    // Untouched, it is served as soon as nothing stands in its way.
    folder.remove("tenants/bookshop.toml");
    assert_eq!(folder.settle(), (vec!["no bookshop".to_owned(), "attic".to_owned()], vec![]));
    assert_eq!(folder.served(), ["attic 1900000101", "teahouse 1900000103"]);
}

#[test]
fn who_is_spelled_like_another_in_a_variable_stays_as_it_is_until_one_is_gone() {
    let variable = "DUKOU__TENANTS__BOOK_SHOP__NAME";
    let mut folder = Folder::with(&[("book-shop", "1900000101")], &[(variable, "Books")]);
    let name = |folder: &Folder| folder.files.served().next().map(|settings| settings.tenant.name.clone());
    assert_eq!(name(&folder).as_deref(), Some("Books"));
    folder.write("tenants/book_shop.toml", &text("book_shop", "1900000102"));
    assert!(folder.files.look(Patience::Settled).unsettled);
    let look = folder.files.look(Patience::Settled);
    assert_eq!((look.changes.len(), look.refused.len()), (0, 2), "{:?}", look.problems);
    let told = look.problems.iter().filter(|problem| problem.file.ends_with(variable));
    assert_eq!(told.count(), 1, "both are told of at once: {:?}", look.problems);
    assert_eq!((folder.look(), folder.files.refused()), (none(), 2));
    assert_eq!((folder.served(), name(&folder)), (one("book-shop 1900000101"), Some("Books".to_owned())));
    folder.remove("tenants/book_shop.toml");
    assert_eq!(folder.settle(), (one("book-shop"), vec![]));
    assert_eq!((folder.files.refused(), name(&folder)), (0, Some("Books".to_owned())));
}

#[test]
fn accounts_can_be_exchanged() {
    let mut folder = Folder::new(&[("a", "1900000101"), ("b", "1900000102"), ("c", "1900000103")]);
    folder.write("tenants/a.toml", &text("a", "1900000102"));
    folder.write("tenants/b.toml", &text("b", "1900000101"));
    assert_eq!(folder.settle(), (vec!["a".to_owned(), "b".to_owned()], vec![]));
    // Two would move up, but the last of the row stays: nobody can.
    folder.write("tenants/a.toml", &text("a", "1900000101"));
    folder.write("tenants/b.toml", &text("b", "1900000103"));
    assert_eq!(folder.settle(), (vec![], vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(folder.served(), ["a 1900000102", "b 1900000101", "c 1900000103"]);
    // Now it moves, and the others follow.
    folder.write("tenants/c.toml", &text("c", "1900000104"));
    assert_eq!(folder.settle(), (vec!["a".to_owned(), "b".to_owned(), "c".to_owned()], vec![]));
    assert_eq!(folder.served(), ["a 1900000101", "b 1900000103", "c 1900000104"]);
}

#[test]
fn a_folder_that_is_away_ends_nobody() {
    let mut folder = Folder::new(&[("bookshop", "1900000101")]);
    let (tenants, away) = (folder.folder.path().join("tenants"), folder.folder.path().join("away"));
    std::fs::rename(&tenants, &away).expect("a folder");
    for told in [1, 0] {
        let look = folder.files.look(Patience::AtOnce);
        assert_eq!((look.changes.len(), look.problems.len(), look.refused.len()), (0, told, told));
    }
    std::fs::rename(&away, &tenants).expect("a folder");
    assert_eq!(folder.look(), none());
    assert_eq!(folder.served(), ["bookshop 1900000101"]);
    // Emptied on purpose, it does.
    folder.remove("tenants/bookshop.toml");
    assert_eq!(folder.settle(), (one("no bookshop"), vec![]));
}

#[test]
fn other_settings_wait_for_the_next_start() {
    let mut folder = Folder::new(&[("bookshop", "1900000101")]);
    folder.write("gateway.toml", "[server]\npublic_url = \"https://other.example.com\"\n");
    let told: Vec<bool> = (0..3).map(|_| folder.files.look(Patience::Settled).gateway_changed).collect();
    assert_eq!(told, [true, false, false]);
}

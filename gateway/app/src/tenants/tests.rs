use std::collections::BTreeMap;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::prelude::{BASE64_STANDARD, Engine as _};

use super::*;
use crate::config::{Factories, load};
use crate::outside;

/// The bookshop, with a provider of each name.
fn bookshop(names: &[&str]) -> Arc<TenantSettings> {
    read(names, |text| text)
}

/// As [`bookshop`], of a file that was changed.
fn read(names: &[&str], change: impl FnOnce(String) -> String) -> Arc<TenantSettings> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut text =
        "id = \"bookshop\"\napi_keys = [{ id = \"backend\", secret = \"a-key-of-the-backend\" }]\n".to_owned();
    for (index, name) in names.iter().enumerate() {
        text.push_str(&format!(
            "[providers.{name}]\nkind = \"wechat-v2\"\napp_id = \"wx8888888888888888\"\nmch_id = \"190000010{index}\"\n\
             api_key = \"0123456789abcdef0123456789abcdef\"\n"
        ));
    }
    std::fs::create_dir(folder.path().join("tenants")).expect("a folder");
    std::fs::write(folder.path().join("tenants/bookshop.toml"), change(text)).expect("a file");
    let loaded = load(folder.path(), BTreeMap::new(), Factories::builtin(), outside::context);
    let served = loaded.tenants.served().next().cloned();
    served.unwrap_or_else(|| panic!("{:?}", loaded.problems))
}

fn names(tenant: Option<Arc<Tenant>>) -> Vec<String> {
    tenant.map(|tenant| tenant.providers.keys().map(ToString::to_string).collect()).unwrap_or_default()
}

#[test]
fn who_is_gone_has_no_key_and_keeps_its_providers() {
    let served = ServedTenants::new([&bookshop(&["wechat"])]);
    served.apply([Change::Removed(dukou_domain::TenantId::new("bookshop").expect("an id"))]);
    assert!(served.find("bookshop").is_none());
    let known = served.find_even_removed("bookshop").expect("known");
    assert!(known.api_keys.is_empty());
    assert_eq!(names(Some(known)), ["wechat"]);
    assert!(served.find_even_removed("teahouse").is_none());
    served.apply([Change::Served(bookshop(&["wechat"]))]);
    assert_eq!(served.find("bookshop").expect("back").api_keys.len(), 1);
}

#[test]
fn a_provider_that_was_taken_out_can_still_notify() {
    let served = ServedTenants::new([&bookshop(&["old", "wechat"])]);
    let now = bookshop(&["wechat", "new"]);
    served.apply([Change::Served(Arc::clone(&now))]);
    assert_eq!(names(served.find("bookshop")), ["new", "wechat"]);
    let known = served.find_even_removed("bookshop").expect("known");
    let wechat = |tenant: &Tenant| {
        tenant.providers.iter().find(|(name, _)| name.as_str() == "wechat").map(|(_, p)| Arc::clone(p))
    };
    assert!(
        Arc::ptr_eq(&wechat(&known).expect("wechat"), &wechat(&now.tenant).expect("wechat")),
        "with its new settings"
    );
    assert_eq!(names(Some(known)), ["new", "old", "wechat"]);
}

#[test]
fn an_account_that_was_exchanged_is_known_under_its_name() {
    let name = ProviderName::new("wechat").expect("a name");
    let id = TenantId::new("bookshop").expect("an id");
    let served = ServedTenants::new([&bookshop(&["wechat"])]);
    let accounts = |served: &ServedTenants| -> Vec<String> {
        served.former_providers(&id, &name).iter().map(|provider| provider.info().merchant_id.clone()).collect()
    };
    served.apply([Change::Served(bookshop(&["wechat"]))]);
    assert!(accounts(&served).is_empty(), "the same account again");
    served.apply([Change::Served(bookshop(&["other", "wechat"]))]);
    assert_eq!(accounts(&served), ["1900000100"]);
    served.apply([Change::Served(bookshop(&["other", "more", "wechat"]))]);
    assert_eq!(accounts(&served), ["1900000101", "1900000100"], "newest first");
    served.apply([Change::Served(bookshop(&["wechat"]))]);
    assert_eq!(accounts(&served), ["1900000102", "1900000101"], "the account is in force again");
}

/// What was ordered before is still to be asked after, with the account that it was ordered with.
#[test]
fn an_account_that_was_exchanged_is_known_after_its_name_was_taken_out() {
    let name = ProviderName::new("wechat").expect("a name");
    let id = TenantId::new("bookshop").expect("an id");
    let served = ServedTenants::new([&bookshop(&["wechat"])]);
    let accounts = || -> Vec<String> {
        served.former_providers(&id, &name).iter().map(|provider| provider.info().merchant_id.clone()).collect()
    };
    let now = || {
        let known = served.find_even_removed("bookshop").expect("known");
        known.providers[&name].info().merchant_id.clone()
    };
    served.apply([Change::Served(bookshop(&["other", "wechat"]))]);
    for file in [&["other"][..], &["other", "more"]] {
        served.apply([Change::Served(bookshop(file))]);
        assert_eq!((now().as_str(), accounts()), ("1900000101", vec!["1900000100".to_owned()]), "{file:?}");
    }
    served.apply([Change::Removed(id.clone())]);
    served.apply([Change::Served(bookshop(&["other", "more", "wechat"]))]);
    assert_eq!(accounts(), ["1900000101", "1900000100"], "and when the name comes back with a third");
}

/// APIv3 in place of APIv2, of the same account and app.
fn of_api_v3() -> Arc<TenantSettings> {
    let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key");
    let der: Pkcs8V1Der<'_> = pair.as_der().expect("a form of it");
    let lines: Vec<String> = BASE64_STANDARD
        .encode(der.as_ref())
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into())
        .collect();
    read(&["wechat"], |text| {
        let keys = format!(
            "api_v3_key = \"0123456789abcdef0123456789abcdef\"\nserial_no = \"5157F09EFDC096DE15EBE81A47057A72\"\n\
             private_key = \"\"\"\n-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n\"\"\"\n",
            lines.join("\n")
        );
        text.replace("wechat-v2", "wechat-v3").replace("api_key = \"0123456789abcdef0123456789abcdef\"\n", &keys)
    })
}

#[test]
fn another_kind_or_app_counts_as_another_account() {
    let name = ProviderName::new("wechat").expect("a name");
    let id = TenantId::new("bookshop").expect("an id");
    let first = bookshop(&["wechat"]);
    let app = read(&["wechat"], |text| text.replace("wx8888888888888888", "wx9999999999999999"));
    assert!(replaced(&first.tenant, &bookshop(&["wechat"]).tenant).is_empty(), "nothing to know");
    for now in [of_api_v3(), app] {
        let served = ServedTenants::new([&first]);
        served.apply([Change::Served(Arc::clone(&now))]);
        let former: Vec<_> = served.former_providers(&id, &name).iter().map(|one| one.info().clone()).collect();
        assert_eq!(former, [first.tenant.providers[&name].info().clone()]);
        let warnings = replaced(&first.tenant, &now.tenant);
        assert_eq!(warnings.len(), 1);
        assert!(
            warnings[0].starts_with("providers.wechat was wechat-v2 of merchant account 1900000100"),
            "{warnings:?}"
        );
    }
}

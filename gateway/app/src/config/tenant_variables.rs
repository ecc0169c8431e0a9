//! Which tenant a variable `DUKOU__TENANTS__<ID>__<KEY>` means.
//!
//! The name of a variable knows neither small letters nor `-`, so that ids which differ in nothing else are spelled
//! alike in it. Such a variable is used for nobody: it may hold the key that opens the one, and would open the other.

use std::collections::{BTreeMap, BTreeSet};

use dukou_spi::settings::{Problem, Severity};

/// What every variable that overrides a tenant's key begins with.
pub const TENANTS_PREFIX: &str = "DUKOU__TENANTS__";

/// How a tenant's id, or a key, is spelled in the name of a variable.
pub fn variable_word(word: &str) -> String {
    word.to_ascii_uppercase().replace('-', "_")
}

/// The variables of all tenants.
#[derive(Default)]
pub struct TenantVariables {
    by_tenant: BTreeMap<String, Meant>,
    /// Those that mean no tenant that there is.
    nobodys: Vec<String>,
}

/// The variables of one tenant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meant {
    own: BTreeSet<String>,
    /// Those that may mean others as well, and whom.
    shared: BTreeMap<String, Vec<String>>,
}

impl TenantVariables {
    /// What `names` mean where `tenants` are there.
    pub fn new<'a>(names: impl Iterator<Item = &'a String>, tenants: impl Iterator<Item = &'a str>) -> Self {
        let mut of_tenants = names.filter(|name| name.starts_with(TENANTS_PREFIX)).peekable();
        let mut found = TenantVariables::default();
        if of_tenants.peek().is_none() {
            return found;
        }
        let mut alike: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for tenant in tenants {
            alike.entry(variable_word(tenant)).or_default().push(tenant.to_owned());
        }
        for name in of_tenants {
            match meant(name, &alike) {
                [] => found.nobodys.push(name.clone()),
                [one] => {
                    found.by_tenant.entry(one.clone()).or_default().own.insert(name.clone());
                }
                several => {
                    for tenant in several {
                        let meant = found.by_tenant.entry(tenant.clone()).or_default();
                        meant.shared.insert(name.clone(), several.to_vec());
                    }
                }
            }
        }
        found
    }

    /// What is meant for one tenant.
    pub fn of(&self, tenant: &str) -> Meant {
        self.by_tenant.get(tenant).cloned().unwrap_or_default()
    }

    /// Overrides for tenants that have no file.
    pub fn unknown(&self) -> Vec<Problem> {
        let problem = |name: &String| Problem {
            severity: Severity::Error,
            file: format!("environment variable {name}"),
            key: "tenants".to_owned(),
            message: "names a tenant that has no file".to_owned(),
            expected: format!("{TENANTS_PREFIX}<ID>__<KEY> with the id of a tenant file"),
        };
        self.nobodys.iter().map(problem).collect()
    }
}

impl Meant {
    /// Whether a variable means this tenant and no other.
    pub fn owns(&self, name: &str) -> bool {
        self.own.contains(name)
    }

    /// A tenant that lacks what it was meant to have cannot be served.
    pub fn problems(&self) -> impl Iterator<Item = Problem> {
        self.shared.iter().map(|(name, tenants)| Problem {
            severity: Severity::Error,
            file: format!("environment variable {name}"),
            key: "tenants".to_owned(),
            message: format!("may mean the tenants {}, and is used for none of them", tenants.join(" and ")),
            expected: "ids that differ in more than - and _: rename one of them, or keep the setting in its file"
                .to_owned(),
        })
    }
}

/// The tenants with the longest id that the name begins with: `A__B__NAME` is the name of `a__b` where that is there,
/// else a key `b.name` of `a`.
fn meant<'a>(name: &str, alike: &'a BTreeMap<String, Vec<String>>) -> &'a [String] {
    let rest = &name[TENANTS_PREFIX.len()..];
    let ends = (1..rest.len()).rev().filter(|end| rest.as_bytes()[*end..].starts_with(b"__"));
    ends.filter_map(|end| alike.get(rest.get(..end)?)).next().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_means_the_longest_id_and_nobody_where_two_are_spelled_alike() {
        let tenants = ["a", "a__b", "book-shop", "book_shop", "c_"];
        for (rest, own, shared) in [
            ("A__NAME", "a", false),
            ("A__B__NAME", "a__b", false),
            ("A__C__NAME", "a", false),
            ("A__B", "a", false),
            ("BOOK_SHOP__NAME", "", true),
            ("C___NAME", "c_", false),
            ("C__NAME", "", false),
            ("AB__NAME", "", false),
            ("渡__NAME", "", false),
            ("__NAME", "", false),
            ("A", "", false),
        ] {
            let name = format!("{TENANTS_PREFIX}{rest}");
            let variables = TenantVariables::new([&name].into_iter(), tenants.into_iter());
            let owners: Vec<_> = tenants.into_iter().filter(|tenant| variables.of(tenant).owns(&name)).collect();
            assert_eq!(owners.concat(), own, "{rest}");
            assert_eq!(variables.of("book-shop").problems().count(), usize::from(shared), "{rest}");
            assert_eq!(variables.of("book_shop"), variables.of("book-shop"), "{rest}");
            assert_eq!(variables.unknown().is_empty(), shared || !own.is_empty(), "{rest}");
        }
    }
}

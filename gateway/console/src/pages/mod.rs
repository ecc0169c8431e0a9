//! One page a file.

pub mod deliveries;
pub mod health;
pub mod login;
pub mod overview;
pub mod payment;
pub mod payments;
pub mod requests;
pub mod tenants;
mod troubles;

use std::sync::Arc;

use dukou_domain::Timestamp;
use dukou_engine::records::PageCursor;
use dukou_engine::tenant::Tenant;
use url::form_urlencoded;
use uuid::Uuid;

use crate::texts::Language;
use crate::visitor::Visitor;
use crate::{Console, moments};

/// Rows of a list.
const PAGE: u32 = 50;

/// What stands behind the question mark of an address; what is there twice counts as first written.
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn of(query: &str) -> Self {
        Query(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim()).unwrap_or_default()
    }

    /// The same with a page's beginning.
    fn with_cursor(&self, cursor: PageCursor) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(self.0.iter().filter(|(key, _)| key != "cursor"));
        query.append_pair("cursor", &format!("{}.{}", cursor.created_at.as_millis(), cursor.id.simple()));
        query.finish()
    }

    fn cursor(&self) -> Option<PageCursor> {
        let (millis, id) = self.get("cursor").split_once('.')?;
        let created_at = Timestamp::from_millis(millis.parse().ok()?);
        Some(PageCursor { created_at, id: Uuid::parse_str(id).ok()? })
    }
}

/// The first thing that an address asks for and that is not known here, in words: rows of something else
/// would be taken for an answer.
fn unknown(visitor: &Visitor, query: &Query, tenants: &[Choice], states: &[&str]) -> Option<String> {
    let is_known = |name: &str, value: &str| match name {
        "tenant" => tenants.iter().any(|tenant| tenant.value == value),
        "status" => states.contains(&value),
        "since" => moments::day(value, visitor.language).is_some(),
        "cursor" => query.cursor().is_some(),
        _ => true,
    };
    let asked = ["tenant", "status", "since", "cursor"].map(|name| (name, query.get(name)));
    let (name, value) = asked.into_iter().find(|(name, value)| !value.is_empty() && !is_known(name, value))?;
    Some(format!("{} {name}={value}", visitor.texts.unknown_filter))
}

/// A choice in a form.
pub struct Choice {
    pub value: String,
    pub name: String,
    pub chosen: bool,
}

fn all_tenants(console: &Console) -> Vec<Arc<Tenant>> {
    let mut tenants = console.engine.tenants().all();
    tenants.sort_by(|one, other| one.id.as_str().cmp(other.id.as_str()));
    tenants
}

/// The tenant that was asked for, or the first; and all of them as choices.
fn chosen(console: &Console, query: &Query) -> (Option<Arc<Tenant>>, Vec<Choice>) {
    let tenants = all_tenants(console);
    let wanted = query.get("tenant");
    let found = tenants.iter().find(|tenant| tenant.id.as_str() == wanted).or(tenants.first()).cloned();
    let is_chosen = |tenant: &Tenant| found.as_ref().is_some_and(|found| found.id == tenant.id);
    let choice = |tenant: &Arc<Tenant>| Choice {
        value: tenant.id.to_string(),
        name: format!("{} ({})", tenant.name, tenant.id),
        chosen: is_chosen(tenant),
    };
    let choices = tenants.iter().map(choice).collect();
    (found, choices)
}

/// A tenant that is served, or was.
fn tenant(console: &Console, id: &str) -> Option<Arc<Tenant>> {
    console.engine.tenants().find_even_removed(id)
}

/// The whole of a closed list as choices, after "all".
fn states(
    visitor: &Visitor,
    words: &[&str],
    wanted: &str,
    name: for<'w> fn(Language, &'w str) -> &'w str,
) -> Vec<Choice> {
    let all = Choice { value: String::new(), name: visitor.texts.all.to_owned(), chosen: wanted.is_empty() };
    let one = |word: &&str| Choice {
        value: (*word).to_owned(),
        name: name(visitor.language, word).to_owned(),
        chosen: *word == wanted,
    };
    std::iter::once(all).chain(words.iter().map(one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pages_beginning_survives_the_address() {
        let cursor = PageCursor { created_at: Timestamp::from_millis(-5), id: Uuid::from_u128(7) };
        let address = Query::of("tenant=a%26b&cursor=old").with_cursor(cursor);
        let query = Query::of(&address);
        assert_eq!((query.get("tenant"), query.cursor()), ("a&b", Some(cursor)));
        for wrong in ["", "cursor=", "cursor=1", "cursor=x.y", "cursor=1.zz"] {
            assert_eq!(Query::of(wrong).cursor(), None, "{wrong}");
        }
    }
}

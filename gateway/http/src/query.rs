//! Reads query strings: every parameter known, none there twice.

use actix_web::web::Query;
use dukou_engine::records::PageCursor;

use crate::cursor::List;
use crate::problem::{FieldError, Problem};

/// The length of a page where `limit` is left out, and the longest.
const PAGE: u32 = 20;
const LONGEST_PAGE: u32 = 100;

/// The parameters of a query string.
pub struct Parameters {
    pairs: Vec<(String, String)>,
    problems: Vec<FieldError>,
}

impl Parameters {
    /// # Errors
    /// `invalid_request` for what is no query string, and for parameters other than `known`.
    pub fn read(query: &str, known: &[&str]) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::from_query(query)
            .map_err(|_| Problem::invalid_field("query", "expected name=value pairs"))?
            .into_inner();
        let mut problems = Vec::new();
        for (at, (name, _)) in pairs.iter().enumerate() {
            let shown = crate::json::shortened(name);
            if !known.contains(&name.as_str()) {
                let expected = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                problems.push(FieldError::new(shown, format!("unknown query parameter, expected {expected}")));
            } else if pairs[..at].iter().any(|(earlier, _)| earlier == name) {
                problems.push(FieldError::new(shown, "the query parameter is there twice"));
            }
        }
        Ok(Parameters { pairs, problems })
    }

    /// The parameter as `parse` understands it; `expected` says what it understands. An empty one
    /// counts as left out.
    pub fn get<T>(&mut self, name: &str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let (_, text) = self.pairs.iter().find(|(key, value)| key == name && !value.is_empty())?;
        let value = parse(text);
        if value.is_none() {
            self.problems.push(FieldError::new(name, format!("expected {expected}")));
        }
        value
    }

    /// `true` or `false`; left out: `false`.
    pub fn flag(&mut self, name: &str) -> bool {
        let parse = |text: &str| match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        self.get(name, "true or false", parse).unwrap_or(false)
    }

    /// One of `words`, as `parse` understands them.
    pub fn one_of<T>(&mut self, name: &str, words: &[&str], parse: fn(&str) -> Option<T>) -> Option<T> {
        self.get(name, &format!("one of {}", words.join(", ")), parse)
    }

    /// Where a page of `list` begins.
    pub fn cursor(&mut self, list: List) -> Option<PageCursor> {
        self.get("cursor", "the next_cursor of an earlier page", |text| list.decode(text))
    }

    /// The length of a page of a list that has cursors.
    pub fn page_length(&mut self) -> u32 {
        self.limit(PAGE, LONGEST_PAGE)
    }

    /// An integer from 1 to `max`.
    pub fn limit(&mut self, default: u32, max: u32) -> u32 {
        let parse = |text: &str| text.parse().ok().filter(|limit| (1..=max).contains(limit));
        self.get("limit", &format!("an integer from 1 to {max}"), parse).unwrap_or(default)
    }

    /// # Errors
    /// `invalid_request` with everything that was wrong.
    pub fn finish(self) -> Result<(), Problem> {
        if self.problems.is_empty() { Ok(()) } else { Err(Problem::invalid(self.problems)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(query: &str) -> Vec<String> {
        let problem = Parameters::read(query, &["limit", "refresh"]).and_then(|mut parameters| {
            parameters.limit(20, 100);
            parameters.flag("refresh");
            parameters.finish()
        });
        problem.err().map_or_else(Vec::new, |problem| problem.errors.into_iter().map(|error| error.field).collect())
    }

    #[test]
    fn parameters_are_known_single_and_within_their_range() {
        let cases: [(&str, &[&str]); 10] = [
            ("", &[]),
            ("limit=100&refresh=true", &[]),
            ("limit=", &[]),
            ("limit=0", &["limit"]),
            ("limit=101", &["limit"]),
            ("limit=ten", &["limit"]),
            ("limit=1&limit=2", &["limit"]),
            ("refresh=yes", &["refresh"]),
            ("page=2&limit=-1", &["page", "limit"]),
            ("%ff=%00", &["\u{fffd}"]),
        ];
        for (query, fields) in cases {
            assert_eq!(wrong(query), fields, "{query}");
        }
    }
}

//! The card: a line a measurement, with what it aims at.

use std::time::Duration;

use serde_json::{Value, json};

/// What a value should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

impl Aim {
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Aim::AtLeast(aim) => value >= aim,
            Aim::AtMost(aim) => value <= aim,
        }
    }
}

struct Line {
    name: String,
    value: f64,
    unit: &'static str,
    detail: String,
    aim: Option<Aim>,
}

/// Grows while the measurements run; every line is printed as soon as it is there.
#[derive(Default)]
pub struct Report {
    lines: Vec<Line>,
}

impl Report {
    pub fn line(&mut self, name: &str, value: f64, unit: &'static str, detail: impl Into<String>) {
        self.put(Line { name: name.to_owned(), value, unit, detail: detail.into(), aim: None });
    }

    pub fn aimed(&mut self, name: &str, value: f64, unit: &'static str, aim: Aim, detail: impl Into<String>) {
        self.put(Line { name: name.to_owned(), value, unit, detail: detail.into(), aim: Some(aim) });
    }

    fn put(&mut self, line: Line) {
        let aim = match line.aim {
            None => String::new(),
            Some(aim) => {
                let (sign, bound) = match aim {
                    Aim::AtLeast(bound) => ('≥', bound),
                    Aim::AtMost(bound) => ('≤', bound),
                };
                let verdict = if aim.is_met(line.value) { "met" } else { "MISSED" };
                format!("{verdict} {sign} {}", number(bound))
            }
        };
        println!("{:<38} {:>10} {:<5} {aim:<16} {}", line.name, number(line.value), line.unit, line.detail);
        self.lines.push(line);
    }

    /// A value that was measured before.
    pub fn value(&self, name: &str) -> Option<f64> {
        self.lines.iter().find(|line| line.name == name).map(|line| line.value)
    }

    pub fn missed(&self) -> usize {
        self.lines.iter().filter(|line| line.aim.is_some_and(|aim| !aim.is_met(line.value))).count()
    }

    pub fn json(&self, took: Duration) -> Value {
        let lines: Vec<Value> = self
            .lines
            .iter()
            .map(|line| {
                let (kind, bound) = match line.aim {
                    None => (None, None),
                    Some(Aim::AtLeast(bound)) => (Some("at_least"), Some(bound)),
                    Some(Aim::AtMost(bound)) => (Some("at_most"), Some(bound)),
                };
                let met = line.aim.map(|aim| aim.is_met(line.value));
                json!({
                    "name": line.name, "value": line.value, "unit": line.unit, "detail": line.detail,
                    "aim": kind.map(|kind| json!({ kind: bound })), "met": met,
                })
            })
            .collect();
        json!({ "version": env!("CARGO_PKG_VERSION"), "seconds": took.as_secs_f64(), "lines": lines })
    }
}

/// Three significant digits, and thousands in full.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || size == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aims_are_judged_and_found_again() {
        let mut report = Report::default();
        report.aimed("a", 5.0, "x", Aim::AtLeast(6.0), "");
        report.aimed("b", 5.0, "x", Aim::AtMost(6.0), "");
        report.line("c", 1.0, "x", "");
        assert_eq!(report.missed(), 1);
        assert_eq!(report.value("b"), Some(5.0));
        assert_eq!(report.value("d"), None);
        let json = report.json(Duration::from_secs(1));
        assert_eq!(json["lines"][0]["met"], false);
        assert_eq!(json["lines"][1]["aim"]["at_most"], 6.0);
        assert!(json["lines"][2]["aim"].is_null());
    }

    #[test]
    fn numbers_keep_three_digits() {
        let cases = [(0.0, "0"), (0.28, "0.28"), (0.0123, "0.012"), (6.0, "6.00"), (75.04, "75.0"), (12400.4, "12400")];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
    }
}

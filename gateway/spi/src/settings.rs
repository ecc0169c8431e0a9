//! Reading a section of a configuration file: every problem at once, each with its file and key.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dukou_domain::Secret;
use serde_json::{Map, Value};

/// Something in a configuration file that is wrong, or that deserves a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether the file can be used all the same.
    pub severity: Severity,
    /// The file as the operator named it.
    pub file: String,
    /// The key with its path (`providers.wechat.api_key`).
    pub key: String,
    /// What is wrong. Holds no secret.
    pub message: String,
    /// What would be right.
    pub expected: String,
}

/// What a problem means for the file it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The file is not used; what was in force stays so.
    Error,
    /// The file is used, and should not stay as it is.
    Warning,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, "{word}: {}: {}: {}; expected {}", self.file, self.key, self.message, self.expected)
    }
}

/// Where values that are not written in the file itself come from.
pub trait Environment {
    /// The environment variable `name`.
    fn variable(&self, name: &str) -> Option<String>;

    /// The content of a file.
    ///
    /// # Errors
    /// As the file system says.
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>>;
}

/// The process's own environment and files.
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        std::fs::read(path)
    }
}

/// One table of a configuration file, read key by key. A key that nobody read is reported by
/// [`Section::finish`].
pub struct Section<'a> {
    file: &'a str,
    path: String,
    table: &'a Map<String, Value>,
    environment: &'a dyn Environment,
    read: BTreeSet<String>,
    secrets: Vec<(String, Secret)>,
    problems: Vec<Problem>,
}

impl<'a> Section<'a> {
    /// The table at `path` (empty for the whole file) of `file`.
    pub fn new(file: &'a str, path: &str, table: &'a Map<String, Value>, environment: &'a dyn Environment) -> Self {
        Section {
            file,
            path: path.to_owned(),
            table,
            environment,
            read: BTreeSet::new(),
            secrets: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// Whether the key is there at all. Counts as reading it.
    pub fn has(&mut self, key: &str) -> bool {
        self.take(key).is_some()
    }

    /// The raw value of a key.
    pub fn take(&mut self, key: &str) -> Option<&'a Value> {
        self.read.insert(key.to_owned());
        self.table.get(key)
    }

    /// What stands in the table, whether known or not. Counts as reading none of it.
    pub fn keys(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.table.keys().map(String::as_str)
    }

    /// A text. Missing is no problem.
    pub fn optional_text(&mut self, key: &str) -> Option<String> {
        match self.take(key)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::String(_) => self.wrong(key, "is empty", "a text"),
            _ => self.wrong(key, "is not a text", "a text"),
        }
    }

    /// A text that must be there; `expected` says what it is.
    pub fn text(&mut self, key: &str, expected: &str) -> Option<String> {
        if self.has(key) { self.optional_text(key) } else { self.wrong(key, "is missing", expected) }
    }

    /// A text that must be there and pass `valid`.
    pub fn checked_text(&mut self, key: &str, expected: &str, valid: impl Fn(&str) -> bool) -> Option<String> {
        let text = self.text(key, expected)?;
        if valid(&text) { Some(text) } else { self.wrong(key, "is not valid", expected) }
    }

    /// One of several words; the first of them where the key is left out.
    pub fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        let words = choices.iter().map(|(word, _)| format!("{word:?}")).collect::<Vec<_>>().join(" or ");
        let Some(value) = self.take(key) else { return choices.first().map(|(_, choice)| *choice) };
        let found = value.as_str().and_then(|text| choices.iter().find(|(word, _)| *word == text));
        match found {
            Some((_, choice)) => Some(*choice),
            None => self.wrong(key, "is not one of the known words", &words),
        }
    }

    /// `true` or `false`, or `default` where the key is left out. The environment's spelling of
    /// them as texts is understood.
    pub fn flag(&mut self, key: &str, default: bool) -> bool {
        match self.take(key) {
            None => default,
            Some(Value::Bool(flag)) => *flag,
            Some(Value::String(text)) if text == "true" => true,
            Some(Value::String(text)) if text == "false" => false,
            Some(_) => self.wrong(key, "is not a yes or no", "true or false").unwrap_or(default),
        }
    }

    /// A whole number in `range`, or `default` where the key is left out.
    pub fn integer(&mut self, key: &str, range: std::ops::RangeInclusive<i64>, default: i64) -> i64 {
        let Some(value) = self.take(key) else { return default };
        let number = match value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        match number {
            Some(number) if range.contains(&number) => number,
            Some(_) => self.wrong(key, "is out of range", &expected).unwrap_or(default),
            None => self.wrong(key, "is not a whole number", &expected).unwrap_or(default),
        }
    }

    /// A length of time such as `500ms`, `10s`, `5m`, `2h` or `30d`, in `range`, or `default` where the
    /// key is left out.
    pub fn duration(&mut self, key: &str, range: std::ops::RangeInclusive<Duration>, default: Duration) -> Duration {
        let Some(value) = self.take(key) else { return default };
        let expected = format!(
            "a length of time from {} to {}, such as \"500ms\", \"10s\", \"5m\", \"2h\" or \"30d\"",
            duration_text(*range.start()),
            duration_text(*range.end())
        );
        match value.as_str().and_then(parse_duration) {
            Some(duration) if range.contains(&duration) => duration,
            Some(_) => self.wrong(key, "is out of range", &expected).unwrap_or(default),
            None => self.wrong(key, "is not a length of time", &expected).unwrap_or(default),
        }
    }

    /// A number of bytes such as `64KiB` or `1MiB`, or `default` where the key is left out.
    pub fn size(&mut self, key: &str, range: std::ops::RangeInclusive<usize>, default: usize) -> usize {
        let Some(value) = self.take(key) else { return default };
        let expected =
            format!("a size from {} to {} bytes, such as \"256KiB\" or \"1MiB\"", range.start(), range.end());
        let size = match value {
            Value::String(text) => parse_size(text),
            Value::Number(number) => number.as_u64().and_then(|number| usize::try_from(number).ok()),
            _ => None,
        };
        match size {
            Some(size) if range.contains(&size) => size,
            Some(_) => self.wrong(key, "is out of range", &expected).unwrap_or(default),
            None => self.wrong(key, "is not a size", &expected).unwrap_or(default),
        }
    }

    /// An `https` address without user, query or fragment (plain `http` too when `insecure`), its
    /// trailing slash cut off; `default` where the key is left out.
    pub fn base_url(&mut self, key: &str, insecure: bool, default: &str) -> Option<String> {
        if !self.has(key) {
            return Some(default.to_owned());
        }
        let text = self.optional_text(key)?;
        let expected = if insecure {
            "an http or https address without query"
        } else {
            "an https address without query (http needs server.insecure = true)"
        };
        let Ok(url) = url::Url::parse(&text) else { return self.wrong(key, "is not an address", expected) };
        let scheme = url.scheme() == "https" || (insecure && url.scheme() == "http");
        if !scheme || url.host_str().is_none() {
            return self.wrong(key, "does not begin with an allowed scheme and a host", expected);
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return self.wrong(key, "has a user, a query or a fragment", expected);
        }
        Some(text.trim_end_matches('/').to_owned())
    }

    /// A secret that must be there: `env:NAME` or `file:PATH`; a literal is taken with a warning.
    pub fn secret(&mut self, key: &str, expected: &str) -> Option<Secret> {
        if self.has(key) {
            self.optional_secret(key)
        } else {
            self.wrong(key, "is missing", &format!("{expected}, as \"env:NAME\" or \"file:PATH\""))
        }
    }

    /// A secret that may be left out.
    pub fn optional_secret(&mut self, key: &str) -> Option<Secret> {
        let text = self.optional_text(key)?;
        let secret = self.resolve(key, &text)?;
        self.secrets.push((key.to_owned(), secret.clone()));
        Some(secret)
    }

    /// The secrets that were read so far, by their keys.
    pub fn secrets(&self) -> &[(String, Secret)] {
        &self.secrets
    }

    /// Resolves `env:NAME`, `file:PATH` or a literal that stands at `key`.
    pub fn resolve(&mut self, key: &str, text: &str) -> Option<Secret> {
        if let Some(name) = text.strip_prefix("env:") {
            return match self.environment.variable(name) {
                Some(value) if !value.is_empty() => Some(Secret::new(value)),
                Some(_) => self.wrong(
                    key,
                    &format!("names {}, which is empty", variable_shown(name)),
                    "a variable with a value",
                ),
                None => self.wrong(
                    key,
                    &format!("names {}, which is not set", variable_shown(name)),
                    "a variable that is set",
                ),
            };
        }
        if text.starts_with("file:") {
            let bytes = self.read_file(key, text)?;
            return match String::from_utf8(bytes) {
                Ok(content) if !content.trim_end().is_empty() => Some(Secret::new(content.trim_end())),
                Ok(_) => self.wrong(key, "names a file that is empty", "a file that holds the value"),
                Err(_) => self.wrong(key, "names a file that is not UTF-8 text", "a text file"),
            };
        }
        self.warn(
            key,
            "is written in the file itself",
            "\"env:NAME\" or \"file:PATH\", so that the file can be shared",
        );
        Some(Secret::new(text))
    }

    /// The bytes of a `file:PATH` that may be left out; a relative path starts at the folder of the
    /// file that names it.
    pub fn optional_file(&mut self, key: &str) -> Option<Vec<u8>> {
        let text = self.optional_text(key)?;
        if text.starts_with("file:") {
            self.read_file(key, &text)
        } else {
            self.wrong(key, "does not name a file", "\"file:PATH\"")
        }
    }

    /// Where the file lies that a key names as `file:PATH`: what else is there may say more about it.
    pub fn folder_of(&mut self, key: &str) -> Option<PathBuf> {
        let named = self.take(key)?.as_str()?.strip_prefix("file:")?;
        self.resolve_path(named).parent().map(Path::to_owned)
    }

    fn read_file(&mut self, key: &str, text: &str) -> Option<Vec<u8>> {
        let named = text.strip_prefix("file:").unwrap_or(text);
        let path = self.resolve_path(named);
        match self.environment.read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) => self.wrong(
                key,
                &format!("names {}, which cannot be read: {error}", path.display()),
                "a file that can be read",
            ),
        }
    }

    fn resolve_path(&self, named: &str) -> PathBuf {
        let path = Path::new(named);
        if path.is_absolute() {
            return path.to_owned();
        }
        Path::new(self.file).parent().unwrap_or(Path::new("")).join(path)
    }

    /// Notes an error at `key`. Always `None`, so that a reader can return it.
    pub fn wrong<T>(&mut self, key: &str, message: &str, expected: &str) -> Option<T> {
        self.note(Severity::Error, key, message, expected);
        None
    }

    /// Notes something at `key` that works but should not stay so.
    pub fn warn(&mut self, key: &str, message: &str, expected: &str) {
        self.note(Severity::Warning, key, message, expected);
    }

    fn note(&mut self, severity: Severity, key: &str, message: &str, expected: &str) {
        let key = match (self.path.is_empty(), key.is_empty()) {
            (true, _) => key.to_owned(),
            (false, true) => self.path.clone(),
            (false, false) => format!("{}.{key}", self.path),
        };
        self.problems.push(Problem {
            severity,
            file: self.file.to_owned(),
            key,
            message: message.to_owned(),
            expected: expected.to_owned(),
        });
    }

    /// Whether an error (not just a warning) was noted so far.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// All problems, those of keys that nobody knows included.
    pub fn finish(mut self) -> Vec<Problem> {
        let known = self.read.iter().cloned().collect::<Vec<_>>().join(", ");
        let unknown: Vec<String> = self.table.keys().filter(|key| !self.read.contains(*key)).cloned().collect();
        for key in unknown {
            self.note(Severity::Error, &key, "is not a known key", &format!("one of {known}"));
        }
        self.problems
    }
}

/// A variable's name as a problem shows it. What is not written as names are may be the secret itself, put there by
/// mistake; a problem ends in a terminal, a log or a mail.
fn variable_shown(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    if name.bytes().all(plain) && name.bytes().any(|byte| byte.is_ascii_uppercase()) && name.len() <= 64 {
        format!("the environment variable {name}")
    } else {
        "an environment variable (its name is not in capitals and may be a secret, so it is not shown)".to_owned()
    }
}

/// The units of a length of time, in milliseconds; the longest last.
const DURATION_UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads `500ms`, `10s`, `5m`, `2h`, `1d`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = text[..digits].parse().ok()?;
    let unit = text[digits..].trim_start();
    let (_, millis) = DURATION_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*millis).map(Duration::from_millis)
}

/// Writes it as [`parse_duration`] reads it, in the largest unit that leaves nothing over.
fn duration_text(duration: Duration) -> String {
    let millis = duration.as_millis();
    let whole = |(_, unit): &&(&str, u64)| millis != 0 && millis.is_multiple_of(u128::from(*unit));
    let (name, unit) = DURATION_UNITS.iter().rev().find(whole).unwrap_or(&DURATION_UNITS[0]);
    format!("{}{name}", millis / u128::from(*unit))
}

/// Reads `512B`, `64KiB`, `1MiB`.
pub fn parse_size(text: &str) -> Option<usize> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: usize = text[..digits].parse().ok()?;
    let unit = match text[digits..].trim_start() {
        "" | "B" => 1,
        "KiB" => 1024,
        "MiB" => 1024 * 1024,
        _ => return None,
    };
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    struct Fixed;

    impl Environment for Fixed {
        fn variable(&self, name: &str) -> Option<String> {
            (name == "KEY").then(|| "from-env".to_owned())
        }

        fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
            if path == Path::new("config/tenants/certs/key") {
                Ok(b"from-file \r\n".to_vec())
            } else {
                Err(std::io::Error::from(std::io::ErrorKind::NotFound))
            }
        }
    }

    fn problems(table: &Value, read: impl FnOnce(&mut Section<'_>)) -> Vec<String> {
        let table = table.as_object().unwrap();
        let mut section = Section::new("config/tenants/shop.toml", "providers.wechat", table, &Fixed);
        read(&mut section);
        section.finish().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn secrets_come_from_where_they_are_named() {
        let table = json!({ "a": "env:KEY", "b": "file:certs/key", "c": "plain", "d": "env:GONE", "e": "file:gone" });
        let noted = problems(&table, |section| {
            assert_eq!(section.secret("a", "a key").unwrap().expose(), "from-env");
            assert_eq!(section.secret("b", "a key").unwrap().expose(), "from-file");
            assert_eq!(section.secret("c", "a key").unwrap().expose(), "plain");
            assert!(section.secret("d", "a key").is_none());
            assert!(section.secret("e", "a key").is_none());
        });
        assert_eq!(noted.len(), 3, "{noted:#?}");
        assert!(noted[0].starts_with("warning: config/tenants/shop.toml: providers.wechat.c: "));
        assert!(noted[1].contains("GONE, which is not set"));
        assert!(noted[2].contains("config/tenants/gone"));
    }

    #[test]
    fn a_secret_in_place_of_a_variables_name_is_not_shown() {
        for (name, shown) in [
            ("BOOKSHOP_API_KEY", true),
            ("_KEY2", true),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", false),
            ("3f7c9d0ab1e24c6f8a5d7e9012b3c4d5", false),
            ("8934e7d15453e97507ef794cf7b0519d", false),
            ("89347150000000000000000000000000", false),
            ("let me in", false),
        ] {
            let table = json!({ "a": format!("env:{name}") });
            let noted = problems(&table, |section| assert!(section.secret("a", "a key").is_none()));
            assert_eq!(noted[0].contains(name), shown, "{noted:?}");
        }
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let table = json!({ "timeout": "soon", "flag": 1, "kind": "x", "extra": true, "base_url": "http://h/?q" });
        let noted = problems(&table, |section| {
            section.duration("timeout", Duration::ZERO..=Duration::from_secs(60), Duration::from_secs(10));
            section.flag("flag", false);
            section.choice("kind", &[("MD5", 1), ("HMAC-SHA256", 2)]);
            section.base_url("base_url", false, "https://h");
            section.text("app_id", "the app's id");
        });
        assert_eq!(noted.len(), 6, "{noted:#?}");
    }

    #[test]
    fn durations_and_sizes() {
        for (text, millis) in [
            ("500ms", Some(500)),
            ("10s", Some(10_000)),
            ("2h", Some(7_200_000)),
            ("30d", Some(2_592_000_000)),
            ("10", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
        ] {
            assert_eq!(parse_duration(text), millis.map(Duration::from_millis), "{text}");
            if let Some(duration) = parse_duration(text) {
                assert_eq!(duration_text(duration), text);
            }
        }
        assert_eq!(duration_text(Duration::ZERO), "0ms");
        assert_eq!(duration_text(Duration::from_secs(90)), "90s");
        for (text, bytes) in
            [("256KiB", Some(262_144)), ("1MiB", Some(1_048_576)), ("12", Some(12)), ("1kb", None), ("", None)]
        {
            assert_eq!(parse_size(text), bytes, "{text}");
        }
    }
}

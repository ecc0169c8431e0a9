//! Files and environment variables, merged into one table.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::{Config, File, FileFormat};
use dukou_spi::settings::{Environment as _, Problem, Severity};
use serde_json::{Map, Value};

use super::environment::ConfigurationEnvironment;
use super::numbers::out_of_range;
use super::tenant_variables::{Meant, TENANTS_PREFIX, TenantVariables, variable_word};

/// What every variable that overrides a key begins with.
const PREFIX: &str = "DUKOU__";

/// A file's settings with the environment's on top.
pub struct Merged {
    /// The file as the operator named it.
    pub file: String,
    pub table: Map<String, Value>,
    /// The file without the environment.
    plain: Value,
    /// Which keys came from which variable.
    overridden: BTreeMap<String, String>,
}

impl Merged {
    /// The variable that a key came from, or what it is a part of, or, where the file has no such section, a part of
    /// it.
    fn variable(&self, key: &str) -> Option<&String> {
        let part_of =
            |whole: &str| key.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
        let in_file = || key.split('.').try_fold(&self.plain, |here, part| here.get(part)).is_some();
        let within = |part: &str| part.strip_prefix(key).is_some_and(|rest| rest.starts_with('.'));
        let whole = self.overridden.iter().find(|(whole, _)| part_of(whole));
        let found = whole.or_else(|| self.overridden.iter().find(|(part, _)| within(part)).filter(|_| !in_file()));
        found.map(|(_, variable)| variable)
    }

    /// Moves problems of a key that came from the environment to the variable they are about.
    pub fn attribute(&self, problems: Vec<Problem>) -> Vec<Problem> {
        let mut attributed = Vec::with_capacity(problems.len());
        for mut problem in problems {
            if let Some(variable) = self.variable(&problem.key) {
                // A literal in the environment is in no file that could be shared.
                if problem.severity == Severity::Warning && problem.message.contains("in the file itself") {
                    continue;
                }
                problem.file = format!("environment variable {variable}");
            }
            attributed.push(problem);
        }
        attributed
    }
}

/// Where the configuration comes from.
pub struct Sources {
    directory: PathBuf,
    pub environment: ConfigurationEnvironment,
    /// As of the last look into the tenants' folder.
    of_tenants: RefCell<TenantVariables>,
}

impl Sources {
    pub fn new(directory: &Path, variables: BTreeMap<String, String>) -> Self {
        Sources {
            directory: directory.to_owned(),
            environment: ConfigurationEnvironment::new(variables),
            of_tenants: RefCell::default(),
        }
    }

    /// `gateway.toml` over the defaults, under the environment. `None` when its syntax is broken.
    pub fn gateway(&self, defaults: &str, problems: &mut Vec<Problem>) -> Option<Merged> {
        let path = self.directory.join("gateway.toml");
        let file = path.display().to_string();
        let text = match self.environment.read(&path) {
            Ok(bytes) => self.text(&file, bytes, problems)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && self.directory.is_dir() => {
                problems.push(Problem {
                    severity: Severity::Warning,
                    file: file.clone(),
                    key: "gateway.toml".to_owned(),
                    message: "does not exist, so that only defaults and environment are in force".to_owned(),
                    expected: "a file of that name".to_owned(),
                });
                String::new()
            }
            Err(error) => {
                problems.push(unreadable(&file, "gateway.toml", &error));
                return None;
            }
        };
        self.merge(file, &[defaults, &text], PREFIX, |name| !name.starts_with(TENANTS_PREFIX), problems)
    }

    /// A tenant's file under the environment. `None` when its syntax is broken.
    pub fn tenant(&self, path: &Path, problems: &mut Vec<Problem>) -> Option<Merged> {
        let file = path.display().to_string();
        let prefix = format!("{TENANTS_PREFIX}{}__", variable_word(stem(path)));
        let meant = self.meant(path);
        problems.extend(meant.problems());
        let text = match self.environment.read(path) {
            Ok(bytes) => self.text(&file, bytes, problems)?,
            Err(error) => {
                problems.push(unreadable(&file, "file", &error));
                return None;
            }
        };
        self.merge(file, &[&text], &prefix, |name| meant.owns(name), problems)
    }

    /// All tenant files, in the order of their names; `None` where there is no such folder.
    ///
    /// # Errors
    /// When the folder cannot be read: what is in it is then not known.
    pub fn tenant_files(&self) -> Result<Option<Vec<PathBuf>>, Problem> {
        let folder = self.tenants_folder();
        let refused = |error| unreadable(&folder.display().to_string(), "tenants", &error);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.look_for_variables(&[]);
                return Ok(None);
            }
            Err(error) => return Err(refused(error)),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(refused)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.ends_with(".toml") && !name.ends_with(".example.toml") && !name.starts_with('.') {
                files.push(path);
            }
        }
        files.sort();
        self.look_for_variables(&files);
        Ok(Some(files))
    }

    fn look_for_variables(&self, files: &[PathBuf]) {
        let names = self.environment.variables().keys();
        *self.of_tenants.borrow_mut() = TenantVariables::new(names, files.iter().map(|path| stem(path)));
    }

    /// The variables that are meant for the tenant of a file, which may change when other files come and go.
    pub fn meant(&self, file: &Path) -> Meant {
        self.of_tenants.borrow().of(stem(file))
    }

    pub fn tenants_folder(&self) -> PathBuf {
        self.directory.join("tenants")
    }

    /// Overrides for tenants that have no file; none where it is not known which files there are.
    pub fn unused_variables(&self) -> Vec<Problem> {
        self.of_tenants.borrow().unknown()
    }

    fn text(&self, file: &str, bytes: Vec<u8>, problems: &mut Vec<Problem>) -> Option<String> {
        match String::from_utf8(bytes) {
            Ok(text) => Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)),
            Err(error) => {
                let line = line_of(error.as_bytes(), error.utf8_error().valid_up_to());
                problems.push(broken(file, line, "is not UTF-8 text"));
                None
            }
        }
    }

    fn merge(
        &self,
        file: String,
        texts: &[&str],
        prefix: &str,
        mine: impl Fn(&str) -> bool,
        problems: &mut Vec<Problem>,
    ) -> Option<Merged> {
        for text in texts {
            // Parsed once more on its own, because this parser's error has a place and a message
            // without the line's content, which may hold a secret.
            let line = |at| line_of(text.as_bytes(), at);
            let table = match toml::de::DeTable::parse(text) {
                Ok(table) => table,
                Err(error) => {
                    let at = error.span().map_or(0, |span| span.start);
                    problems.push(broken(&file, line(at), error.message()));
                    return None;
                }
            };
            let numbers = out_of_range(table.get_ref());
            if !numbers.is_empty() {
                problems.extend(numbers.into_iter().map(|number| Problem {
                    expected: "at most 9223372036854775807, or a text in quotes".to_owned(),
                    ..broken(&file, line(number.at), &format!("{} is a number out of range", number.key))
                }));
                return None;
            }
        }
        let mut builder = Config::builder();
        for text in texts {
            builder = builder.add_source(File::from_str(text, FileFormat::Toml));
        }
        let plain = builder.clone().build().ok().and_then(|config| config.try_deserialize::<Value>().ok());
        let plain = plain.unwrap_or_default();

        let mut overridden = BTreeMap::new();
        for (name, value) in self.environment.variables() {
            let Some(rest) = name.strip_prefix(prefix).filter(|_| mine(name)) else { continue };
            let key = key_of(rest, &plain);
            let set = match list(value) {
                Some(list) => builder.clone().set_override(&key, list),
                None => builder.clone().set_override(&key, value.as_str()),
            };
            match set {
                Ok(with) => builder = with,
                Err(_) => {
                    problems.push(Problem {
                        severity: Severity::Error,
                        file: format!("environment variable {name}"),
                        key,
                        message: "does not name a key".to_owned(),
                        expected: format!("{PREFIX}<SECTION>__<KEY>"),
                    });
                    continue;
                }
            }
            overridden.insert(key, name.clone());
        }
        let merged = builder.build().and_then(Config::try_deserialize::<Value>);
        match merged {
            Ok(Value::Object(table)) => Some(Merged { file, table, plain, overridden }),
            _ => {
                problems.push(broken(&file, 1, "cannot be merged with the environment"));
                None
            }
        }
    }
}

/// The name of a tenant's file without its ending, which is the tenant's id.
fn stem(file: &Path) -> &str {
    file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default()
}

/// The key that the rest of a variable's name means: each part is the file's own key of that
/// spelling where there is one, else the part in lower case.
fn key_of(rest: &str, table: &Value) -> String {
    let mut here = Some(table);
    let mut parts = Vec::new();
    for part in rest.split("__") {
        let known = here
            .and_then(Value::as_object)
            .and_then(|table| table.keys().find(|key| variable_word(key) == part.to_ascii_uppercase()));
        let key = known.cloned().unwrap_or_else(|| part.to_ascii_lowercase());
        here = here.and_then(|here| here.get(&key));
        parts.push(key);
    }
    parts.join(".")
}

/// A variable may hold a list as TOML writes it, for keys that take one (`api_keys`).
fn list(value: &str) -> Option<config::Value> {
    if !value.starts_with('[') || value.contains('\n') {
        return None;
    }
    let text = format!("list = {value}");
    Config::builder().add_source(File::from_str(&text, FileFormat::Toml)).build().ok()?.get("list").ok()
}

fn line_of(text: &[u8], at: usize) -> usize {
    text.iter().take(at).filter(|byte| **byte == b'\n').count() + 1
}

fn broken(file: &str, line: usize, message: &str) -> Problem {
    Problem {
        severity: Severity::Error,
        file: file.to_owned(),
        key: format!("line {line}"),
        message: message.replace('\n', ", "),
        expected: "a TOML file".to_owned(),
    }
}

fn unreadable(file: &str, key: &str, error: &std::io::Error) -> Problem {
    Problem {
        severity: Severity::Error,
        file: file.to_owned(),
        key: key.to_owned(),
        message: format!("cannot be read: {error}"),
        expected: "a file that can be read".to_owned(),
    }
}

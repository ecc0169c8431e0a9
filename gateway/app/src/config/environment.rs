//! The variables and files that a configuration is read from, and what was read.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use dukou_spi::settings::Environment;

/// A longer file is no configuration file.
const FILE_LIMIT: u64 = 1024 * 1024;

/// The variables of this process that are text.
pub fn process_variables() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// What a file held, as far as it can be compared: SHA-256. `None` for one that could not be read.
pub type Content = Option<[u8; digest::SHA256_OUTPUT_LEN]>;

/// What `env:NAME` and `file:PATH` are resolved against. Keeps account of the files that are read.
pub struct ConfigurationEnvironment {
    variables: BTreeMap<String, String>,
    files: RefCell<BTreeMap<PathBuf, Content>>,
}

impl ConfigurationEnvironment {
    pub fn new(variables: BTreeMap<String, String>) -> Self {
        ConfigurationEnvironment { variables, files: RefCell::default() }
    }

    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// The files that were read since this was last asked, and what they held.
    pub fn files_read(&self) -> BTreeMap<PathBuf, Content> {
        self.files.take()
    }

    /// What a file holds now.
    pub fn content(path: &Path) -> Content {
        read(path).ok().as_deref().and_then(content)
    }
}

impl Environment for ConfigurationEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn read(&self, path: &Path) -> Result<Vec<u8>> {
        let bytes = read(path);
        // The first time counts: what changed since will then be seen.
        self.files.borrow_mut().entry(path.to_owned()).or_insert_with(|| bytes.as_deref().ok().and_then(content));
        bytes
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(Error::from(ErrorKind::IsADirectory));
    }
    if !metadata.is_file() {
        // A pipe could keep a reader waiting for ever, and gives what it holds only once.
        return Err(Error::other("it is not a file"));
    }
    if metadata.len() > FILE_LIMIT {
        return Err(Error::other(format!("it is longer than {FILE_LIMIT} bytes")));
    }
    std::fs::read(path)
}

fn content(bytes: &[u8]) -> Content {
    digest::digest(&digest::SHA256, bytes).as_ref().try_into().ok()
}

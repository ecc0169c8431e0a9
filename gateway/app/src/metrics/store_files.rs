//! How much of the disk the store takes.

use std::path::{Path, PathBuf};

use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};

/// The store's file and its log, looked at when a scrape comes.
pub struct StoreFiles {
    files: [(PathBuf, IntGauge); 2],
}

impl StoreFiles {
    pub fn new(path: &Path, registry: &Registry) -> Result<Self, prometheus::Error> {
        let bytes = IntGaugeVec::new(
            Opts::new("dukou_store_file_bytes", "Size of the store's file, and of the log of what is not in it yet."),
            &["file"],
        )?;
        registry.register(Box::new(bytes.clone()))?;
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let file = |name: &str, path: PathBuf| (path, bytes.with_label_values(&[name]));
        Ok(StoreFiles { files: [file("database", path.to_owned()), file("log", PathBuf::from(log))] })
    }

    /// A file that is not there takes nothing.
    pub fn update(&self) {
        for (path, gauge) in &self.files {
            let bytes = std::fs::metadata(path).map_or(0, |data| data.len());
            gauge.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
    }
}

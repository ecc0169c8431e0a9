//! Numbered schema steps, applied once each, and the check that nobody changed an applied one.

use sha2::{Digest, Sha256};

/// One file of `migrations/`. Steps only go up; an applied one is never edited.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    /// 1 for the first, without gaps.
    pub version: i64,
    pub name: &'static str,
    pub sql: &'static str,
}

impl Step {
    /// SHA-256 of the text, hexadecimal.
    pub fn checksum(&self) -> String {
        hex::encode(Sha256::digest(self.sql.as_bytes()))
    }
}

/// A step that the database says it has.
#[derive(Debug, Clone)]
pub(crate) struct Applied {
    pub version: i64,
    pub name: String,
    pub checksum: String,
}

/// Why the schema and this program do not go together.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Mismatch {
    #[error(
        "the schema is newer than this program: step {version} ({name}) is unknown here, which knows {known} steps; start a newer version"
    )]
    Newer { version: i64, name: String, known: usize },
    #[error("schema step {version} ({name}) was applied with another content than this program carries")]
    Changed { version: i64, name: String },
    #[error("schema step {version} is missing below an applied one")]
    Gap { version: i64 },
}

/// The steps still to be applied, in order. `applied` is ordered by version.
pub(crate) fn outstanding<'s>(steps: &'s [Step], applied: &[Applied]) -> Result<&'s [Step], Mismatch> {
    for (index, was) in applied.iter().enumerate() {
        let Some(step) = steps.get(index) else {
            return Err(Mismatch::Newer { version: was.version, name: was.name.clone(), known: steps.len() });
        };
        if step.version != was.version {
            return Err(Mismatch::Gap { version: step.version });
        }
        if step.checksum() != was.checksum {
            return Err(Mismatch::Changed { version: was.version, name: was.name.clone() });
        }
    }
    Ok(&steps[applied.len()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: [Step; 2] =
        [Step { version: 1, name: "one", sql: "CREATE" }, Step { version: 2, name: "two", sql: "ALTER" }];

    fn applied(step: &Step) -> Applied {
        Applied { version: step.version, name: step.name.to_owned(), checksum: step.checksum() }
    }

    #[test]
    fn only_what_is_missing_is_applied() {
        assert_eq!(outstanding(&STEPS, &[]).unwrap().len(), 2);
        assert_eq!(outstanding(&STEPS, &[applied(&STEPS[0])]).unwrap()[0].version, 2);
        assert!(outstanding(&STEPS, &[applied(&STEPS[0]), applied(&STEPS[1])]).unwrap().is_empty());
    }

    #[test]
    fn a_schema_that_does_not_fit_is_refused() {
        let changed = Applied { checksum: "00".into(), ..applied(&STEPS[0]) };
        assert_eq!(outstanding(&STEPS, &[changed]).unwrap_err(), Mismatch::Changed { version: 1, name: "one".into() });
        let newer = [applied(&STEPS[0]), applied(&STEPS[1])];
        assert!(matches!(outstanding(&STEPS[..1], &newer), Err(Mismatch::Newer { version: 2, .. })));
        assert_eq!(outstanding(&STEPS, &[applied(&STEPS[1])]).unwrap_err(), Mismatch::Gap { version: 1 });
    }
}

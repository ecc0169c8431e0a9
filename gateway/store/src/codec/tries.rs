//! Tries of a delivery, as JSON in a column.

use std::borrow::Cow;

use dukou_domain::Timestamp;
use dukou_engine::delivery::{Try, TryError};
use serde::{Deserialize, Serialize};

use super::{Result, corrupt};

/// Short names: there is one of these for every event.
#[derive(Serialize, Deserialize)]
struct StoredTry<'a> {
    n: u32,
    at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<Cow<'a, str>>,
    ms: u32,
}

pub(crate) fn write(tries: &[Try]) -> Result<String> {
    let stored: Vec<StoredTry<'_>> = tries
        .iter()
        .map(|one| StoredTry {
            n: one.number,
            at: one.at.as_millis(),
            status: one.status,
            error: one.error.map(|error| Cow::Borrowed(error.as_str())),
            ms: one.millis,
        })
        .collect();
    serde_json::to_string(&stored).map_err(|error| corrupt("tries", error))
}

pub(crate) fn read(text: &str) -> Result<Vec<Try>> {
    if text == "[]" {
        return Ok(Vec::new());
    }
    let stored: Vec<StoredTry<'_>> = serde_json::from_str(text).map_err(|error| corrupt("tries", error))?;
    stored
        .into_iter()
        .map(|one| {
            let error = one
                .error
                .map(|word| TryError::parse(&word).ok_or_else(|| corrupt("tries", format_args!("unknown word {word}"))))
                .transpose()?;
            Ok(Try { number: one.n, at: Timestamp::from_millis(one.at), status: one.status, error, millis: one.ms })
        })
        .collect()
}

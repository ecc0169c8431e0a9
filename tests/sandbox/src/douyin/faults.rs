//! Faults set for Douyin's calls: the same kinds as for the other platforms, found by operation and app.

use std::sync::Mutex;

use serde::{Deserialize, Serialize};

use super::api::operations;
use crate::faults::{Fault, check_operation};
use crate::lock;

/// Faults that wait at once.
const MAX_RULES: usize = 1000;

/// A fault and when it strikes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[serde(skip_deserializing)]
    pub id: u64,
    /// An operation's name, or `*` for all.
    pub operation: String,
    pub client_key: Option<String>,
    /// How many calls it strikes; without it, all until the fault is deleted.
    pub times: Option<u64>,
    pub fault: Fault,
}

/// Whether it can happen to an answer that nobody signs.
fn applies(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Delay { .. }
            | Fault::LoseAnswer
            | Fault::Hang { .. }
            | Fault::Drop
            | Fault::ErrCode { .. }
            | Fault::ReturnFail { .. }
            | Fault::Http { .. }
            | Fault::SlowBody { .. }
            | Fault::CutBody
            | Fault::Truncate
            | Fault::DuplicateField
            | Fault::HugeAnswer { .. }
    )
}

/// The faults that are set, in the order they were set; the first that fits strikes.
#[derive(Default)]
pub struct Faults(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    rules: Vec<Rule>,
    last_id: u64,
}

impl Faults {
    /// # Errors
    /// If too many wait already, there is no such operation, or the fault is one of a signed answer, which Douyin's are
    /// not.
    pub fn add(&self, mut rule: Rule) -> Result<u64, String> {
        check_operation(&rule.operation, operations())?;
        if !applies(&rule.fault) {
            return Err(format!("{} does not apply: the platform's answers are not signed", rule.fault.name()));
        }
        let mut inner = lock(&self.0);
        if inner.rules.len() >= MAX_RULES {
            return Err(format!("at most {MAX_RULES} faults are kept"));
        }
        inner.last_id += 1;
        rule.id = inner.last_id;
        inner.rules.push(rule);
        Ok(inner.last_id)
    }

    pub fn all(&self) -> Vec<Rule> {
        lock(&self.0).rules.clone()
    }

    pub fn clear(&self) {
        lock(&self.0).rules.clear();
    }

    /// The fault for this call, counted down.
    pub fn take(&self, operation: &str, client_key: Option<&str>) -> Option<Fault> {
        let mut inner = lock(&self.0);
        let at = inner.rules.iter().position(|rule| {
            (rule.operation == "*" || rule.operation == operation)
                && rule.client_key.as_deref().is_none_or(|wanted| client_key == Some(wanted))
        })?;
        let fault = inner.rules[at].fault.clone();
        match &mut inner.rules[at].times {
            Some(0 | 1) => drop(inner.rules.remove(at)),
            Some(left) => *left -= 1,
            None => {}
        }
        Some(fault)
    }
}

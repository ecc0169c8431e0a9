//! What must hold after everything, read from outside: the platform's journal and orders, the gateway's API and
//! metrics, its log and its file.

mod collect;
mod document;
mod history;
mod rules;
#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

pub use document::Document;
pub use history::{Entry, History, Order, PlatformRefund, TenantHistory};

use crate::eventually::settled;
use crate::world::World;

/// How long what is still under way may take to come out right: longer than two query intervals of a test world.
const SETTLING: Duration = Duration::from_secs(15);

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// 1 nothing acknowledged is lost, 2 one effect, 3 no success without proof, 4 money adds up, 5 unknown is not
    /// failed, 6 no second order, 7 every change has its event, 8 tenants do not touch, 9 no secret left, 10 it is back
    /// by itself.
    pub rule: u8,
    /// What was seen, with the numbers to look for.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}: {}", self.rule, self.what)
    }
}

/// Reads a [`World`] and says which rules were broken.
pub struct Checker<'a> {
    world: &'a World,
    secrets: Vec<String>,
    degraded: bool,
}

impl<'a> Checker<'a> {
    pub fn new(world: &'a World) -> Self {
        Self { world, secrets: Vec::new(), degraded: false }
    }

    /// Another text that must not have left the gateway, besides the tenants' own secrets.
    #[must_use]
    pub fn secret(mut self, text: &str) -> Self {
        self.secrets.push(text.to_owned());
        self
    }

    /// `degraded` is all right: something that the gateway can do without is still away.
    #[must_use]
    pub fn degraded(mut self) -> Self {
        self.degraded = true;
        self
    }

    /// Everything there is to know about what happened.
    ///
    /// # Panics
    /// When the gateway or the sandbox does not answer.
    pub async fn history(&self) -> History {
        collect::history(self.world, &self.secrets, self.degraded).await
    }

    /// Which rules are broken at this moment.
    pub async fn violations(&self) -> Vec<Violation> {
        if let Err(error) = self.world.gateway.readiness().await {
            return vec![Violation { rule: 10, what: format!("the gateway does not answer: {error}") }];
        }
        self.history().await.violations()
    }

    /// Waits until no rule is broken.
    ///
    /// # Panics
    /// When one still is after a while: with every violation.
    pub async fn verify(&self) {
        let mut last = Vec::new();
        let fine = settled(SETTLING, async || {
            last = self.violations().await;
            last.is_empty().then_some(())
        })
        .await;
        if fine.is_none() {
            let lines: Vec<String> = last.iter().map(ToString::to_string).collect();
            panic!("{} violations:\n{}", lines.len(), lines.join("\n"));
        }
    }
}

//! How long is kept what is kept for a while.

use std::time::Duration;

use dukou_engine::ports::Old;

/// By what is kept.
#[derive(Debug, Clone, Copy)]
pub struct RetentionSettings {
    pub idempotency_keys: Duration,
    pub deliveries: Duration,
    pub platform_calls: Duration,
    pub notifications: Duration,
}

impl RetentionSettings {
    pub const fn kept(&self, what: Old) -> Duration {
        match what {
            Old::Calls => self.idempotency_keys,
            Old::Deliveries => self.deliveries,
            Old::PlatformCalls => self.platform_calls,
            Old::Notifications => self.notifications,
        }
    }
}

//! This machine's clock beside the platforms'.

// Seconds are floats in Prometheus; no money is near.
#![allow(clippy::float_arithmetic)]

use std::sync::Arc;

use dukou_transport::PlatformClocks;
use prometheus::{GaugeVec, Opts, Registry};

/// How far this machine's clock is off at a scrape. The hosts are those of the configuration.
pub struct ClockGauges {
    clocks: Arc<PlatformClocks>,
    skew: GaugeVec,
}

impl ClockGauges {
    pub fn new(clocks: Arc<PlatformClocks>, registry: &Registry) -> Result<Self, prometheus::Error> {
        let skew = GaugeVec::new(
            Opts::new(
                "dukou_clock_skew_seconds",
                "How far this machine's clock is ahead of a platform's, by the Date of its answers.",
            ),
            &["host"],
        )?;
        registry.register(Box::new(skew.clone()))?;
        Ok(ClockGauges { clocks, skew })
    }

    pub fn update(&self) {
        for skew in self.clocks.skews() {
            self.skew.with_label_values(&[&skew.host]).set(skew.millis as f64 / 1000.0);
        }
    }
}

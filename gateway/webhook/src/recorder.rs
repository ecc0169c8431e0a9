//! Enters what became of tries, many in one write.

use std::sync::Arc;
use std::time::Duration;

use dukou_domain::DeliveryState;
use dukou_engine::{Engine, LastingTrouble, Made};
use tokio::sync::{mpsc, watch};

use crate::worker::WebhookTelemetry;

/// Tries entered in one transaction, so that no payment waits long behind it.
const BATCH: usize = 256;
/// Between two attempts to write to a store that is away.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs until every sender is gone and what they sent is entered.
pub(crate) async fn run(
    engine: Arc<Engine>,
    telemetry: Arc<dyn WebhookTelemetry>,
    mut tries: mpsc::UnboundedReceiver<Made>,
    mut stopping: watch::Receiver<bool>,
) {
    let trouble = LastingTrouble::default();
    let mut batch = Vec::with_capacity(BATCH);
    while tries.recv_many(&mut batch, BATCH).await > 0 {
        while !enter(&engine, telemetry.as_ref(), &batch, &trouble).await {
            if *stopping.borrow() {
                tracing::error!(
                    count = batch.len(),
                    "deliveries that were tried could not be entered; they are repeated"
                );
                return;
            }
            let _ = tokio::time::timeout(PAUSE, stopping.wait_for(|stop| *stop)).await;
        }
        batch.clear();
    }
}

async fn enter(engine: &Engine, telemetry: &dyn WebhookTelemetry, batch: &[Made], trouble: &LastingTrouble) -> bool {
    let states = match engine.record_deliveries(batch).await {
        Ok(states) => {
            if trouble.ends() {
                tracing::info!("what became of deliveries is entered again");
            }
            states
        }
        Err(error) => {
            if trouble.begins() {
                tracing::warn!(%error, "cannot enter what became of deliveries");
            }
            return false;
        }
    };
    for (made, state) in batch.iter().zip(states) {
        let (tenant, delivery) = (&made.delivery.tenant, &made.delivery.id);
        match state {
            DeliveryState::Delivered => tracing::debug!(%tenant, %delivery, "delivered"),
            DeliveryState::Pending => {
                tracing::info!(%tenant, %delivery, error = word(made), status = made.attempt.status, "not delivered");
            }
            DeliveryState::Exhausted => {
                tracing::warn!(%tenant, %delivery, error = word(made), status = made.attempt.status, "given up");
            }
        }
        telemetry.delivery(tenant, state);
    }
    true
}

fn word(made: &Made) -> &'static str {
    made.attempt.error.map_or("", |error| error.as_str())
}

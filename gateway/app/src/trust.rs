//! Keeps the tenants' trust material and access tokens young: they are fetched before they are needed.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use dukou_spi::Provider;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::tenants::ServedTenants;

/// Between two looks at what trust material is due; a provider decides what is. What could not be fetched is
/// fetched again so soon.
const PERIOD: Duration = Duration::from_secs(5);
/// Access tokens are looked at every so many times.
const TOKENS: u32 = 12;
/// How many platforms are asked at the same time.
const AT_ONCE: usize = 8;

/// Looks now, and then every few seconds.
pub async fn renew(tenants: Arc<ServedTenants>, mut stopping: watch::Receiver<bool>) {
    for look in 0_u32.. {
        let round = async {
            stream::iter(tenants.providers())
                .for_each_concurrent(AT_ONCE, |(tenant, name, provider)| async move {
                    renew_one(&tenant, &name, &*provider).await;
                    if look % TOKENS == 0 {
                        renew_token(&tenant, &name, &*provider).await;
                    }
                })
                .await;
        };
        tokio::select! {
            // An error means that the sender is gone, which is a stop as well.
            _ = stopping.wait_for(|stop| *stop) => return,
            () = round => {}
        }
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => return,
            () = sleep(PERIOD) => {}
        }
    }
}

async fn renew_one(tenant: &str, name: &str, provider: &dyn Provider) {
    match AssertUnwindSafe(provider.renew_trust()).catch_unwind().await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::warn!(tenant, provider = name, %error, "trust material cannot be renewed; what is there stays in use");
        }
        Err(_) => tracing::error!(tenant, provider = name, "a provider panicked over its trust material"),
    }
}

async fn renew_token(tenant: &str, name: &str, provider: &dyn Provider) {
    let Some(tokens) = provider.access_tokens() else { return };
    if AssertUnwindSafe(tokens.renew()).catch_unwind().await.is_err() {
        tracing::error!(tenant, provider = name, "a provider panicked over its access token");
    }
}

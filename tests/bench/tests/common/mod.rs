//! What one paid notify records.

use std::time::Duration;

use dukou_domain::{PaymentState, ProviderName, TenantId};
use dukou_engine::ports::{IdempotencyOutcome, NotifyOutcome, Telemetry};
use dukou_engine::records::EventKind;
use dukou_http::HttpTelemetry;
use dukou_spi::NotifyKind;

const ROUTE: &str = "/notify/{tenant}/{provider}/payment";
const TOOK: Duration = Duration::from_micros(700);

/// Where it is recorded, and for whom.
pub struct Recorder<'a> {
    pub engine: &'a dyn Telemetry,
    pub http: &'a dyn HttpTelemetry,
    tenant: TenantId,
    provider: ProviderName,
}

impl<'a> Recorder<'a> {
    /// # Panics
    /// Never: the names are names.
    pub fn new(engine: &'a dyn Telemetry, http: &'a dyn HttpTelemetry) -> Self {
        let tenant = TenantId::new("bookshop").expect("a tenant");
        Recorder { engine, http, tenant, provider: ProviderName::new("wechat").expect("a provider") }
    }

    pub fn notify(&self) {
        self.engine.idempotency("process", IdempotencyOutcome::New);
        self.engine.event(&self.tenant, EventKind::PaymentSucceeded);
        self.engine.payment(&self.tenant, &self.provider, PaymentState::Succeeded);
        self.engine.notify(&self.tenant, &self.provider, NotifyKind::Payment, NotifyOutcome::Applied, TOOK);
        self.http.request(ROUTE, "POST", 200, TOOK);
    }

    /// A call to a platform, which a create and a refund make besides.
    pub fn call(&self) {
        self.engine.provider_call(&self.provider, "pay", "ok", TOOK);
    }
}

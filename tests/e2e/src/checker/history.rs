use std::collections::BTreeSet;

use serde_json::Value;

use crate::metrics::Metrics;
use crate::tenant::Tenant;
use crate::xml;

/// What happened in a world, from both sides. Plain data: the rules are functions of it.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub tenants: Vec<TenantHistory>,
    /// What crossed the wire, oldest first.
    pub journal: Vec<Entry>,
    /// Whether the journal goes back to the beginning.
    pub journal_is_whole: bool,
    /// What the platform knows.
    pub orders: Vec<Order>,
    pub metrics: Metrics,
    /// Status and word of `/readyz`; `None` when nothing answered.
    pub readiness: Option<(u16, String)>,
    /// `degraded` counts as ready.
    pub degraded: bool,
    /// Texts that must not be seen anywhere.
    pub secrets: BTreeSet<String>,
    /// What left the gateway, by where it was seen.
    pub seen: Vec<(String, String)>,
}

/// One tenant's side, as its backend reads it.
#[derive(Clone, Debug)]
pub struct TenantHistory {
    pub tenant: Tenant,
    pub payments: Vec<Value>,
    pub refunds: Vec<Value>,
    /// Oldest first.
    pub events: Vec<Value>,
}

/// One exchange in the platform's journal.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// A notify, as opposed to a call of the gateway's.
    pub outgoing: bool,
    pub operation: String,
    pub url: String,
    pub mch_id: String,
    pub trade_no: String,
    pub out_refund_no: String,
    pub request: String,
    pub response: String,
    /// What the platform did out of the ordinary.
    pub note: String,
    /// The document that counts as proof has a valid signature.
    pub genuine: bool,
}

/// One order as the platform knows it.
#[derive(Clone, Debug, Default)]
pub struct Order {
    pub mch_id: String,
    pub app_id: String,
    pub trade_no: String,
    /// `NOTPAY`, `SUCCESS`, `REFUND`, `CLOSED` or `PAYERROR`.
    pub state: String,
    pub total: i64,
    pub transaction_id: Option<String>,
    pub refunds: Vec<PlatformRefund>,
}

/// One refund as the platform knows it.
#[derive(Clone, Debug, Default)]
pub struct PlatformRefund {
    pub out_refund_no: String,
    pub amount: i64,
    /// `PROCESSING`, `SUCCESS`, `CHANGE` or `REFUNDCLOSE`.
    pub state: String,
}

impl Order {
    pub fn is_paid(&self) -> bool {
        matches!(self.state.as_str(), "SUCCESS" | "REFUND")
    }
}

impl Entry {
    /// Whether a notify was answered in the platform's form with success.
    pub fn is_accepted(&self) -> bool {
        self.outgoing && xml::field(&self.response, "return_code").as_deref() == Some("SUCCESS")
    }

    /// The tenant that a notify's address names.
    pub fn addressee(&self) -> Option<&str> {
        self.url.split_once("/notify/")?.1.split('/').next()
    }

    pub fn asked(&self, name: &str) -> Option<String> {
        xml::field(&self.request, name)
    }

    pub fn answered(&self, name: &str) -> Option<String> {
        xml::field(&self.response, name)
    }
}

/// A payment's numbers at the platform.
pub fn trade_nos(payment: &Value) -> impl Iterator<Item = &str> {
    payment["attempts"].as_array().into_iter().flatten().filter_map(|attempt| attempt["trade_no"].as_str())
}

/// Whether a payment's status says that it was paid.
pub fn is_paid(payment: &Value) -> bool {
    matches!(payment["status"].as_str(), Some("succeeded" | "partially_refunded" | "refunded"))
}

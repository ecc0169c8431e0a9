use std::collections::BTreeSet;

use serde_json::Value;

use super::document::Document;
use crate::metrics::Metrics;
use crate::tenant::Tenant;

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
    /// Of an APIv3 notify, what is encrypted in it.
    pub request: Document,
    /// The HTTP status, when an answer came.
    pub status: Option<u16>,
    pub response: Document,
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
    /// Whether a notify was answered in the platform's form with success: by its status in APIv3.
    pub fn is_accepted(&self) -> bool {
        self.outgoing
            && match self.request {
                Document::V2(_) => self.response.field("return_code").as_deref() == Some("SUCCESS"),
                Document::V3(_) => matches!(self.status, Some(200 | 204)),
            }
    }

    /// Whether the gateway asked about an order.
    pub fn is_query(&self) -> bool {
        matches!(self.operation.as_str(), "orderquery" | "v3_query")
    }

    /// What the platform said: in a notify, or in its answer.
    pub fn told(&self) -> &Document {
        if self.outgoing { &self.request } else { &self.response }
    }

    /// Whether the platform said that the order is paid.
    pub fn says_paid(&self) -> bool {
        match (self.told(), self.outgoing) {
            (told @ Document::V2(_), true) => told.field("result_code").as_deref() == Some("SUCCESS"),
            (told, _) => matches!(told.field("trade_state").as_deref(), Some("SUCCESS" | "REFUND")),
        }
    }

    /// The tenant that a notify's address names.
    pub fn addressee(&self) -> Option<&str> {
        self.url.split_once("/notify/")?.1.split('/').next()
    }

    pub fn asked(&self, name: &str) -> Option<String> {
        self.request.field(name)
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

//! The ten rules. Each returns what is wrong, in words.

mod money;
mod once;
mod outside;
mod told;

use std::collections::HashMap;
use std::ops::Deref;

use serde_json::Value;

use super::Violation;
use super::history::{Entry, History, Order, TenantHistory, trade_nos};

impl History {
    /// Every rule that was broken, in the rules' order.
    pub fn violations(&self) -> Vec<Violation> {
        let view = View::new(self);
        let rules: [fn(&View<'_>) -> Vec<String>; 10] = [
            told::nothing_acknowledged_is_lost,
            once::one_effect,
            told::no_success_without_proof,
            money::money_adds_up,
            money::unknown_is_not_failed,
            once::no_second_order,
            told::every_change_has_its_event,
            outside::tenants_do_not_touch,
            outside::no_secret_left,
            outside::it_is_back,
        ];
        let numbered = (1_u8..).zip(rules);
        numbered.flat_map(|(rule, check)| check(&view).into_iter().map(move |what| Violation { rule, what })).collect()
    }
}

/// A history that is looked up by number, so that a long one is judged in a moment.
struct View<'a> {
    history: &'a History,
    tenants: Vec<TenantView<'a>>,
    by_number: HashMap<(&'a str, &'a str), &'a Order>,
    /// Notifies and answers to queries, by the number at the platform.
    words: HashMap<&'a str, Vec<&'a Entry>>,
}

struct TenantView<'a> {
    history: &'a TenantHistory,
    by_trade_no: HashMap<&'a str, &'a Value>,
    by_refund_no: HashMap<&'a str, &'a Value>,
    by_payment: HashMap<&'a str, Vec<&'a Value>>,
    counts: HashMap<(&'a str, &'a str), usize>,
}

impl Deref for View<'_> {
    type Target = History;

    fn deref(&self) -> &History {
        self.history
    }
}

impl Deref for TenantView<'_> {
    type Target = TenantHistory;

    fn deref(&self) -> &TenantHistory {
        self.history
    }
}

impl<'a> View<'a> {
    fn new(history: &'a History) -> Self {
        let orders = history.orders.iter().map(|order| ((order.mch_id.as_str(), order.trade_no.as_str()), order));
        let mut words: HashMap<&str, Vec<&Entry>> = HashMap::new();
        let telling = |entry: &&Entry| entry.operation == "notify_payment" || entry.is_query();
        for entry in history.journal.iter().filter(telling) {
            words.entry(&entry.trade_no).or_default().push(entry);
        }
        Self {
            history,
            tenants: history.tenants.iter().map(TenantView::new).collect(),
            by_number: orders.collect(),
            words,
        }
    }

    fn order(&self, mch_id: &str, trade_no: &str) -> Option<&'a Order> {
        self.by_number.get(&(mch_id, trade_no)).copied()
    }
}

impl<'a> TenantView<'a> {
    fn new(history: &'a TenantHistory) -> Self {
        let mut view = Self {
            history,
            by_trade_no: HashMap::new(),
            by_refund_no: HashMap::new(),
            by_payment: HashMap::new(),
            counts: HashMap::new(),
        };
        for payment in &history.payments {
            view.by_trade_no.extend(trade_nos(payment).map(|number| (number, payment)));
        }
        for refund in &history.refunds {
            view.by_refund_no.insert(text(&refund["out_refund_no"]), refund);
            view.by_payment.entry(text(&refund["out_trade_no"])).or_default().push(refund);
        }
        for event in &history.events {
            *view.counts.entry((text(&event["type"]), text(&event["data"]["id"]))).or_default() += 1;
        }
        view
    }

    /// The payment that an order at the platform belongs to.
    fn payment_of(&self, trade_no: &str) -> Option<&'a Value> {
        self.by_trade_no.get(trade_no).copied()
    }

    /// The refund that the platform knows by this number, the tenant's prefix before its own.
    fn refund(&self, platform_refund_no: &str) -> Option<&'a Value> {
        let own = platform_refund_no.strip_prefix(self.tenant.trade_no_prefix.as_str())?;
        self.by_refund_no.get(own).copied()
    }

    fn refunds_of(&self, payment: &Value) -> &[&'a Value] {
        self.by_payment.get(text(&payment["out_trade_no"])).map_or(&[], Vec::as_slice)
    }

    /// Events of that type about the object with that id.
    fn count(&self, kind: &str, id: &Value) -> usize {
        self.counts.get(&(kind, text(id))).copied().unwrap_or_default()
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

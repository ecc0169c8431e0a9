//! Walks through the real binary, named after what a user does.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod access_tokens;
mod admin;
mod backup;
mod behind_nginx;
mod checker_sees_it;
mod command_line;
mod console;
mod doctor;
mod event_stream;
mod events_log;
mod idempotency_key;
mod invoke;
mod landing_page;
mod metrics;
mod openapi;
mod payments_close;
mod payments_create;
mod payments_lost_answer;
mod payments_notify;
mod payments_notify_refused;
mod payments_read_and_list;
mod questions_in_turn;
mod refund_requests;
mod refunds;
mod refunds_outcome;
mod sessions;
mod shares_douyin;
mod shop_page;
mod shop_page_missed;
mod sign_type;
mod tenants;
mod trace;
mod traces;
mod watching;
mod with_redis;

use std::time::Duration;

use dukou_e2e::{Merchant, World, eventually};
use serde_json::Value;

/// How long something that happens by itself may take on a busy machine.
const SOON: Duration = Duration::from_secs(15);

/// Waits until the payment has that status, and gives it.
async fn becomes(merchant: &Merchant, out_trade_no: &str, status: &str) -> Value {
    eventually(&format!("{out_trade_no} {status}"), SOON, async || {
        let payment = merchant.payment(out_trade_no).await.expect(200);
        (payment["status"] == *status).then_some(payment)
    })
    .await
}

/// Waits until the refund has that status, and gives it.
async fn refund_becomes(merchant: &Merchant, out_refund_no: &str, status: &str) -> Value {
    eventually(&format!("refund {out_refund_no} {status}"), SOON, async || {
        let refund = merchant.refund_by_number(out_refund_no).await.expect(200);
        (refund["status"] == *status).then_some(refund)
    })
    .await
}

/// A payment of the bookshop that was paid and told.
async fn paid(world: &World, out_trade_no: &str, amount: i64) -> Value {
    let (tenant, merchant) = world.bookshop();
    merchant.pending(out_trade_no, amount).await;
    world.control.pay(&tenant, out_trade_no).await;
    becomes(&merchant, out_trade_no, "succeeded").await
}

/// The fields that a problem document names.
fn wrong_fields(problem: &Value) -> Vec<&str> {
    problem["errors"].as_array().into_iter().flatten().filter_map(|error| error["field"].as_str()).collect()
}

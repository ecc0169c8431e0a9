//! What the scenarios share.

use std::time::Duration;

use dukou_e2e::{Answer, Gateway, Merchant, Tenant, World, dukou, eventually};
use serde_json::{Value, json};

/// How long something may take that comes by itself.
pub const SOON: Duration = Duration::from_secs(15);

/// A gateway that crashes or stops at the fail points of this environment can only be the binary built for tests.
///
/// # Panics
/// When the binary has no fail points: every scenario that sets one would pass without it.
pub async fn need_fail_points() {
    let version = dukou(&["--version"], &[]).await.stdout;
    assert!(
        version.contains("+failpoints"),
        "{version:?} has no fail points: build it by `cargo build -p dukou --features failpoints`"
    );
}

/// Restarts the gateway with these fail points (`name=action;name=action`).
pub async fn restart_at(gateway: &Gateway, fail_points: &str) {
    need_fail_points().await;
    gateway.restart_with(&[("FAILPOINTS", fail_points)]).await;
}

/// Waits until the gateway has crashed by itself.
pub async fn crashed(gateway: &Gateway) {
    let status = eventually("the gateway crashes", SOON, async || gateway.exited()).await;
    assert!(!status.success(), "it ended in order: {status}");
}

/// Waits until a payment has this status.
pub async fn becomes(merchant: &Merchant, out_trade_no: &str, status: &str) {
    let what = format!("{out_trade_no} becomes {status}");
    eventually(&what, SOON, async || (merchant.status(out_trade_no).await == status).then_some(())).await;
}

/// Waits until a refund has this status.
pub async fn refund_becomes(merchant: &Merchant, out_refund_no: &str, status: &str) {
    let what = format!("{out_refund_no} becomes {status}");
    eventually(&what, SOON, async || {
        let refund = merchant.refund_by_number(out_refund_no).await;
        (refund.json["status"] == *status).then_some(())
    })
    .await;
}

/// Waits until the platform has the order's refund: one that is only recorded reads as `processing` too.
pub async fn refund_arrives(world: &World, tenant: &Tenant, out_trade_no: &str) {
    eventually("the platform has the refund", SOON, async || {
        let order = world.control.order(tenant, out_trade_no).await.expect(200);
        (order["refunds"].as_array().map(Vec::len) == Some(1)).then_some(())
    })
    .await;
}

/// A payment that is created, paid and known to be.
pub async fn succeeded(world: &World, merchant: &Merchant, out_trade_no: &str, amount: i64) {
    merchant.pending(out_trade_no, amount).await;
    world.control.pay(&merchant.tenant, out_trade_no).await;
    becomes(merchant, out_trade_no, "succeeded").await;
}

/// A payment that the platform has the money for and the gateway was not told about.
pub async fn paid_silently(world: &World, merchant: &Merchant, out_trade_no: &str, amount: i64) {
    merchant.pending(out_trade_no, amount).await;
    world.control.pay_silently(&merchant.tenant, out_trade_no).await;
}

/// The platform sends one notify of the payment; whether it was answered with success.
pub async fn notify_once(world: &World, tenant: &Tenant, out_trade_no: &str) -> bool {
    let deliveries = world.control.notify(tenant, out_trade_no, &json!({})).await;
    deliveries[0]["success"] == true
}

/// The platform's genuine word about a paid order of 101 fen, `set` apart, comes twice: taken and raised once, and the
/// payment stays as it was.
pub async fn contradiction_is_kept(world: &World, merchant: &Merchant, out_trade_no: &str, set: &Value) {
    paid_silently(world, merchant, out_trade_no, 101).await;
    for _ in 0..2 {
        let deliveries = world.control.notify(&merchant.tenant, out_trade_no, &json!({ "set": set })).await;
        assert_eq!(deliveries[0]["success"], true, "{out_trade_no}: {deliveries:?}");
    }
    assert_eq!(merchant.status(out_trade_no).await, "pending", "{out_trade_no}");
    assert_eq!(events_of(merchant, out_trade_no, "payment.mismatch").await, 1, "{out_trade_no}");
}

/// How many of these deliveries were answered with success.
pub fn successes(deliveries: &[Value]) -> usize {
    deliveries.iter().filter(|delivery| delivery["success"] == true).count()
}

/// How many events of a type one payment has.
pub async fn events_of(merchant: &Merchant, out_trade_no: &str, kind: &str) -> usize {
    merchant.event_types(out_trade_no).await.iter().filter(|found| *found == kind).count()
}

/// A genuine document about a paid order, as bytes that a test may spoil before it sends them.
pub async fn notify_document(world: &World, tenant: &Tenant, out_trade_no: &str) -> String {
    let order = world.control.order(tenant, out_trade_no).await.expect(200);
    let fields = json!({
        "return_code": "SUCCESS", "result_code": "SUCCESS", "appid": tenant.app_id, "mch_id": tenant.mch_id,
        "openid": tenant.openid(1), "trade_type": "JSAPI", "bank_type": "CMB_DEBIT", "total_fee": order["total_fee"],
        "cash_fee": order["total_fee"], "fee_type": "CNY", "transaction_id": order["transaction_id"],
        "out_trade_no": tenant.trade_no(out_trade_no), "time_end": "20261123100000",
    });
    world.control.sign(&tenant.mch_id, &tenant.sign_type, &fields).await
}

/// Sends bytes to a notify address; the answer, if one came.
pub async fn post_notify(world: &World, url: &str, body: impl Into<Vec<u8>>) -> Option<Answer> {
    let request = world.client().post(url).header("Content-Type", "text/xml").body(body.into());
    let response = request.timeout(SOON).send().await.ok()?;
    Answer::read(response).await.ok()
}

/// Whether the platform would take this answer for a success.
pub fn acknowledges(answer: &Answer) -> bool {
    answer.text.contains("<return_code><![CDATA[SUCCESS]]></return_code>")
}

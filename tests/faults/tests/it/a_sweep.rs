//! A crash at every fail point there is.

use dukou_e2e::{Gateway, Merchant, World};

use crate::support::{becomes, crashed, need_fail_points, notify_once, refund_arrives, refund_becomes};

const AMOUNT: i64 = 500;

/// One payment's way through all use cases, with a gateway that crashes at one point. After each crash the gateway
/// starts without the fail point and whoever had no answer asks again, as merchants and platforms do.
struct Walk<'a> {
    world: &'a World,
    merchant: &'a Merchant,
    point: &'a str,
    crashes: usize,
}

impl Walk<'_> {
    fn gateway(&self) -> &Gateway {
        &self.world.gateway
    }

    async fn arm(&self) {
        let fail_point = format!("{}=return", self.point);
        self.gateway().restart_with(&[("FAILPOINTS", &fail_point)]).await;
    }

    /// Whether the gateway went down in the step before; then it runs again.
    async fn recovered(&mut self, answered: bool) -> bool {
        if answered && self.gateway().exited().is_none() {
            return false;
        }
        crashed(self.gateway()).await;
        self.gateway().restart().await;
        self.crashes += 1;
        true
    }

    async fn run(&mut self) {
        let number = self.point.replace('.', "-");
        let tenant = &self.merchant.tenant;

        self.arm().await;
        let order = self.merchant.order(&number, AMOUNT);
        let create = || self.merchant.send(self.merchant.request(reqwest::Method::POST, "/payments").json(&order));
        let first = create().await;
        if self.recovered(first.is_ok()).await {
            let again = create().await.unwrap();
            assert!([200, 201].contains(&again.status), "{}: {}", self.point, again.text);
            // The gateway may be asking about it by itself.
            becomes(self.merchant, &number, "pending").await;
            self.arm().await;
        }
        becomes(self.merchant, &number, "pending").await;

        self.world.control.pay_silently(tenant, &number).await;
        let acknowledged = notify_once(self.world, tenant, &number).await;
        if self.recovered(acknowledged).await {
            assert!(notify_once(self.world, tenant, &number).await, "{}: not acknowledged after it", self.point);
            self.arm().await;
        }
        assert_eq!(self.merchant.status(&number).await, "succeeded", "{}", self.point);

        let refund_no = format!("R-{number}");
        let path = format!("/payments/{number}/refunds");
        let body = serde_json::json!({ "out_refund_no": refund_no, "amount": AMOUNT, "reason": "买多了" });
        let refund = || self.merchant.send(self.merchant.request(reqwest::Method::POST, &path).json(&body));
        let first = refund().await;
        if self.recovered(first.is_ok()).await {
            let again = refund().await.unwrap();
            assert!([200, 201].contains(&again.status), "{}: {}", self.point, again.text);
            // The gateway may be sending it by itself: then whoever asks again does not send it a second time.
            refund_arrives(self.world, tenant, &number).await;
            self.arm().await;
        }
        let settle = format!("/orders/{}/{number}/refunds/{refund_no}/settle", tenant.mch_id);
        self.world.control.must(&settle, &serde_json::json!({ "status": "SUCCESS", "notify": false })).await;
        let deliveries = serde_json::json!({ "kind": "refund", "out_refund_no": refund_no });
        let delivered = self.world.control.notify(tenant, &number, &deliveries).await;
        if self.recovered(delivered[0]["success"] == true).await {
            let again = self.world.control.notify(tenant, &number, &deliveries).await;
            assert_eq!(again[0]["success"], true, "{}: {again:?}", self.point);
        }
        refund_becomes(self.merchant, &refund_no, "succeeded").await;
        assert_eq!(self.merchant.status(&number).await, "refunded", "{}", self.point);
        if self.crashes == 0 {
            self.close_another().await;
        }
    }

    /// For the points that a payment which is paid never comes to.
    async fn close_another(&mut self) {
        let number = format!("{}-2", self.point.replace('.', "-"));
        self.merchant.pending(&number, AMOUNT).await;
        let path = format!("/payments/{number}/close");
        let close = || self.merchant.send(self.merchant.request(reqwest::Method::POST, &path));
        let first = close().await;
        if self.recovered(first.is_ok()).await {
            close().await.unwrap().expect(200);
        }
        assert_eq!(self.merchant.status(&number).await, "closed", "{}", self.point);
    }
}

/// Watches: what is written before each step and read after it. A step whose intent is not durable, a claim that
/// outlives its owner, or an effect apart from its event shows at the point behind it. The list of points is the code's
/// own, so a new one is swept too, and one that no use case reaches is an error.
#[tokio::test]
async fn f03_killed_at_every_fail_point() {
    need_fail_points().await;
    let world = World::start().await;
    let (_, merchant) = world.bookshop();
    world.control.policy(&serde_json::json!({ "auto_settle": false })).await;
    let points: Vec<&str> = dukou_engine::FAIL_POINTS.iter().chain(dukou_store::FAIL_POINTS).copied().collect();
    for point in points {
        let mut walk = Walk { world: &world, merchant: &merchant, point, crashes: 0 };
        walk.run().await;
        assert!(walk.crashes > 0, "no use case reaches {point}");
    }
    world.gateway.restart().await;
    world.control.deliver_all().await;
    world.verify().await;
}

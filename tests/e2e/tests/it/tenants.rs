//! Many businesses on one gateway.

use dukou_e2e::{Merchant, Tenant, World};
use serde_json::json;

use crate::becomes;

async fn two() -> (World, Merchant, Merchant) {
    let world = World::builder().tenant(Tenant::bookshop()).tenant(Tenant::teahouse()).start().await;
    let (bookshop, teahouse) = (world.merchant("bookshop"), world.merchant("teahouse"));
    (world, bookshop, teahouse)
}

#[tokio::test]
async fn the_same_number_lives_side_by_side() {
    let (world, bookshop, teahouse) = two().await;
    bookshop.pending("BOTH-01", 101).await;
    teahouse.pending("BOTH-01", 202).await;
    world.control.pay(&teahouse.tenant, "BOTH-01").await;
    becomes(&teahouse, "BOTH-01", "succeeded").await;
    let ours = bookshop.payment("BOTH-01").await.expect(200);
    assert_eq!((&ours["status"], &ours["amount"]), (&json!("pending"), &json!(101)));
    world.control.pay(&bookshop.tenant, "BOTH-01").await;
    becomes(&bookshop, "BOTH-01", "succeeded").await;
    for merchant in [&bookshop, &teahouse] {
        merchant.refund("BOTH-01", "R-1", 10).await.expect(201);
        becomes(merchant, "BOTH-01", "partially_refunded").await;
        assert_eq!(merchant.all_payments().await.len(), 1);
    }
    world.control.deliver_all().await;
    world.verify().await;
}

#[tokio::test]
async fn what_is_anothers_is_not_there() {
    let (world, bookshop, teahouse) = two().await;
    teahouse.pending("THEIRS1", 100).await;
    world.control.pay(&teahouse.tenant, "THEIRS1").await;
    becomes(&teahouse, "THEIRS1", "succeeded").await;
    teahouse.refund("THEIRS1", "R-9", 10).await.expect(201);
    for path in ["/payments/THEIRS1", "/payments/THEIRS1/refunds", "/refunds/R-9"] {
        bookshop.get(path).await.problem(404, "not_found");
    }
    bookshop.close("THEIRS1").await.problem(404, "not_found");
    bookshop.refund("THEIRS1", "R-1", 1).await.problem(404, "not_found");
    assert!(bookshop.all_payments().await.is_empty() && bookshop.all_events().await.is_empty());
}

#[tokio::test]
async fn who_may_not_enter_learns_nothing() {
    let (world, bookshop, teahouse) = two().await;
    let url = |tenant: &str| format!("{}/v1/{tenant}/payments", world.gateway.url());
    let theirs = format!("Bearer {}", teahouse.tenant.api_key);
    let ours = format!("Bearer {}", bookshop.tenant.api_key);
    let mut answers = Vec::new();
    for (tenant, authorization) in [
        ("bookshop", None),
        ("bookshop", Some("Bearer wrong")),
        ("bookshop", Some("Basic Ym9vazpzaG9w")),
        ("bookshop", Some("Bearer ")),
        ("bookshop", Some(theirs.as_str())),
        ("nobody", Some(ours.as_str())),
        ("nobody", None),
        ("BOOKSHOP", Some(ours.as_str())),
        ("..%2fbookshop", Some(ours.as_str())),
        ("book%20shop", Some(ours.as_str())),
    ] {
        let mut request = world.client().get(url(tenant));
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let answer = bookshop.send(request).await.unwrap();
        assert!(answer.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")), "{tenant}");
        let mut problem = answer.problem(401, "unauthorized");
        problem["request_id"] = json!("");
        answers.push(problem);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "all alike: {answers:?}");
    for key in ["bearer", "BEARER"] {
        let request = world.client().get(url("bookshop"));
        let request = request.header("authorization", format!("{key} {}", bookshop.tenant.api_key));
        bookshop.send(request).await.unwrap().expect(200);
    }
}

#[tokio::test]
async fn two_may_share_a_merchant_account_under_prefixes() {
    let owner = Tenant::bookshop().prefix("BK");
    let mut guest = Tenant::bookshop().prefix("TE");
    guest.id = "teahouse".to_owned();
    guest.api_key = "backend-key-of-the-guest-7Yw2".to_owned();
    let world = World::builder().tenant(owner).tenant(guest).start().await;
    let (owner, guest) = (world.merchant("bookshop"), world.merchant("teahouse"));
    for (merchant, prefix) in [(&owner, "BK"), (&guest, "TE")] {
        let payment = merchant.pending("SHARED1", 101).await;
        assert_eq!(payment["attempts"][0]["trade_no"], format!("{prefix}SHARED1"));
    }
    world.control.pay(&guest.tenant, "SHARED1").await;
    becomes(&guest, "SHARED1", "succeeded").await;
    assert_eq!(owner.status("SHARED1").await, "pending");
    world.control.pay(&owner.tenant, "SHARED1").await;
    becomes(&owner, "SHARED1", "succeeded").await;
    for merchant in [&owner, &guest] {
        merchant.refund("SHARED1", "R-1", 101).await.expect(201);
        becomes(merchant, "SHARED1", "refunded").await;
    }
    world.control.deliver_all().await;
    world.verify().await;
}

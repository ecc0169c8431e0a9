//! Deliveries where instances know different tenants, as they do while files are being rolled out.

use std::sync::Arc;
use std::time::Duration;

use dukou_domain::{Secret, TenantId};
use dukou_engine::tenant::{Tenant, Webhook};
use dukou_engine::{Engine, Place};

use crate::support::{House, order};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The house's tenant with a webhook.
fn with_webhook(house: &House) -> Arc<Tenant> {
    let secret = Secret::new("whsec_c2VjcmV0");
    let webhook = Webhook { url: "https://shop.example.com/".to_owned(), secrets: vec![secret] };
    Arc::new(Tenant { webhook: Some(webhook), ..Tenant::clone(&house.tenant) })
}

/// Another tenant with a webhook, for an instance that has to read the log.
fn other(house: &House) -> Arc<Tenant> {
    Arc::new(Tenant { id: TenantId::new("other").unwrap(), ..Tenant::clone(&with_webhook(house)) })
}

/// An instance that read these tenants' files.
fn instance(house: &House, tenants: &[&Arc<Tenant>]) -> Arc<Engine> {
    house.engine_of(tenants, tenants)
}

async fn enter(engine: &Engine, place: &mut Place) -> usize {
    engine.enter_deliveries(place).await.unwrap().deliveries
}

async fn taken(engine: &Arc<Engine>) -> usize {
    let own = Arc::clone(engine);
    let room = move |tenant: &TenantId| if own.has_webhook(tenant) == Some(true) { 10 } else { 0 };
    engine.lease_deliveries(10, Box::new(room)).await.unwrap().taken.len()
}

/// Watches: the place in the log, which all share. With a look at its own files alone the first instance moved it past
/// events that the second would have delivered.
#[tokio::test]
async fn an_event_of_a_tenant_that_is_unknown_here_is_delivered_by_who_knows_it() {
    let house = House::new();
    let (other, place) = (other(&house), &mut Place::default());
    let stranger = instance(&house, &[&other]);
    house.create("N-1").await;
    let unknown = house.events().await.len();
    stranger.create_payment(&other, order("O-1")).await.unwrap();
    let known = stranger.events(&other, None, 10).await.unwrap().len();
    assert_eq!(enter(&stranger, place).await, unknown + known);
    assert_eq!(taken(&stranger).await, known, "only what is its own");
    let knowing = instance(&house, &[&with_webhook(&house)]);
    enter(&knowing, &mut Place::default()).await;
    assert_eq!(taken(&knowing).await, unknown);
}

/// Watches: the note in the store. An instance whose file has no webhook yet, or not any more by mistake, would pass
/// over what the other delivers.
#[tokio::test]
async fn a_webhook_that_one_instance_has_counts_for_all_until_nobody_has_had_it_for_a_day() {
    let house = House::new();
    let (knowing, place) = (instance(&house, &[&with_webhook(&house)]), &mut Place::default());
    assert_eq!(enter(&knowing, place).await, 0);
    house.create("N-1").await;
    let first = house.events().await.len();
    // The one reads the log for another tenant, the other for none.
    let without = instance(&house, &[&house.tenant, &other(&house)]);
    assert_eq!(enter(&without, &mut Place::default()).await, first);
    house.create("N-2").await;
    assert_eq!(enter(&house.engine, &mut Place::default()).await, house.events().await.len() - first);
    assert_eq!(taken(&knowing).await, house.events().await.len());

    house.wait(DAY + Duration::from_secs(1));
    let before = house.events().await.len();
    house.create("N-3").await;
    assert!(house.events().await.len() > before);
    assert_eq!(enter(&without, &mut Place::default()).await, 0, "the webhook is gone, and nothing gathers");
}

/// Watches: the incarnation beside the place. The log of another life of the store may be shorter than what was read.
#[tokio::test]
async fn a_place_in_the_log_of_another_life_of_the_store_counts_no_more() {
    let (before, after, place) = (House::new(), House::new(), &mut Place::default());
    for number in ["N-1", "N-2", "N-3"] {
        before.create(number).await;
    }
    let all = before.events().await.len();
    assert_eq!(enter(&instance(&before, &[&with_webhook(&before)]), place).await, all);
    after.create("N-4").await;
    let fewer = after.events().await.len();
    assert!(fewer < all);
    assert_eq!(enter(&instance(&after, &[&with_webhook(&after)]), place).await, fewer);
}

/// A try takes a quarter of a minute at most; what a dead instance had taken waits three times as long.
#[tokio::test]
async fn what_a_dead_instance_had_in_hand_is_taken_by_another_after_three_quarters_of_a_minute() {
    let house = House::new();
    let (dead, other) = (instance(&house, &[&with_webhook(&house)]), instance(&house, &[&with_webhook(&house)]));
    house.create("N-1").await;
    let all = enter(&dead, &mut Place::default()).await;
    assert_eq!(taken(&dead).await, all);
    house.wait(Duration::from_secs(44));
    assert_eq!(taken(&other).await, 0, "it may be being tried");
    house.wait(Duration::from_secs(1));
    assert_eq!(taken(&other).await, all);
}

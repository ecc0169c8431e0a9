//! Several providers of one account: tenants of one merchant, or of one partner, in one process and in several.

use std::sync::Arc;

use dukou_spi::Provider;
use serde_json::{Value, json};

use super::tests::{ROTATING, believed, fetches, lists, unavailable};
use crate::v3::testing::{NEW_SERIAL, OLD_SERIAL, World, certificate_mode, new_certificate, old_certificate};

const TENANTS: usize = 10;
const UNKNOWN: &str = "00000000000000000000000000000000000000AA";

fn world() -> World {
    let world = World::default();
    world.set_seconds(ROTATING);
    world
}

/// Sub-merchants of one partner.
fn tenants(world: &World) -> Vec<Arc<dyn Provider>> {
    let tenant = |number: usize| {
        let mut mode = certificate_mode();
        mode["sub_mch_id"] = json!(format!("19000001{number:02}"));
        world.provider(mode)
    };
    (0..TENANTS).map(tenant).collect()
}

/// With an APIv3 key that is not the account's.
fn mistaken() -> Value {
    let mut mode = certificate_mode();
    mode["api_v3_key"] = json!("3f7c9d0ab1e24c6f8a5d7e9012b3c4d5");
    mode
}

/// A message with that serial to each at once; how many find its key.
async fn believe(world: &World, tenants: &[Arc<dyn Provider>], serial: &'static str) -> usize {
    let messages = tenants.iter().map(|provider| {
        let (world, provider) = (world.clone(), Arc::clone(provider));
        tokio::spawn(async move {
            let notify = super::tests::notify(&world, serial);
            // A partner's message names its merchant, and this one does not: that comes after its signature.
            !matches!(provider.notify(&notify).await, Err(dukou_spi::NotifyError::UnknownKey { .. }))
        })
    });
    let mut count = 0;
    for message in messages.collect::<Vec<_>>() {
        count += usize::from(message.await.unwrap());
    }
    count
}

/// How many of all that renew at once are told of a failure.
async fn renew(tenants: &[Arc<dyn Provider>]) -> usize {
    let renewals = tenants.iter().map(|provider| {
        let provider = Arc::clone(provider);
        tokio::spawn(async move { provider.renew_trust().await.is_err() })
    });
    let mut failed = 0;
    for renewal in renewals.collect::<Vec<_>>() {
        failed += usize::from(renewal.await.unwrap());
    }
    failed
}

#[tokio::test]
async fn an_unknown_serial_is_fetched_once_for_all_tenants_of_an_account() {
    let world = world();
    let tenants = tenants(&world);
    lists(&world, OLD_SERIAL, &[old_certificate()]);
    assert_eq!(believe(&world, &tenants, OLD_SERIAL).await, TENANTS);
    assert_eq!(fetches(&world), 1);
    // Within the minute none of them fetches, whichever is asked; then one does for all.
    for (after, expected) in [(1, 1), (59, 1), (60, 2), (61, 2), (119, 2)] {
        world.set_seconds(ROTATING + after);
        if fetches(&world) < expected {
            lists(&world, OLD_SERIAL, &[old_certificate()]);
        }
        assert_eq!(believe(&world, &tenants, UNKNOWN).await, 0);
        assert_eq!(fetches(&world), expected, "after {after} s");
    }
}

#[tokio::test]
async fn what_is_due_for_all_tenants_of_an_account_is_fetched_once() {
    let world = world();
    let tenants = tenants(&world);
    const HALF_DAY: i64 = 12 * 60 * 60;
    for (after, expected) in [(-HALF_DAY, 1), (60 - HALF_DAY, 1), (0, 2), (1, 2)] {
        world.set_seconds(ROTATING + after);
        if fetches(&world) < expected {
            lists(&world, OLD_SERIAL, &[old_certificate()]);
        }
        assert_eq!(renew(&tenants).await, 0);
        assert_eq!(fetches(&world), expected, "after {after} s");
    }
    // A list that came by plan does not stand in the way of a serial that is not in it.
    lists(&world, OLD_SERIAL, &[old_certificate(), new_certificate()]);
    assert_eq!(believe(&world, &tenants, NEW_SERIAL).await, TENANTS);
    assert_eq!(fetches(&world), 3);
}

/// WeChat is asked as often as for one of them, and nobody waits for ten time-outs.
#[tokio::test]
async fn while_wechat_is_away_one_fetches_for_all_tenants_of_an_account() {
    let world = world();
    let tenants = tenants(&world);
    unavailable(&world);
    assert_eq!(renew(&tenants).await, TENANTS);
    assert_eq!(fetches(&world), 2, "at both hosts");
    world.set_seconds(ROTATING + 5);
    lists(&world, OLD_SERIAL, &[old_certificate()]);
    assert_eq!(renew(&tenants).await, 0);
    assert_eq!(fetches(&world), 3);
    assert_eq!(believe(&world, &tenants, OLD_SERIAL).await, TENANTS);

    // One that fetched in vain for a message brings the list a moment later, for those too whose messages it failed.
    world.set_seconds(ROTATING + 100);
    unavailable(&world);
    assert_eq!(believe(&world, &tenants, NEW_SERIAL).await, 0);
    assert_eq!(fetches(&world), 5);
    world.set_seconds(ROTATING + 105);
    lists(&world, OLD_SERIAL, &[old_certificate(), new_certificate()]);
    assert_eq!(renew(&tenants).await, 0);
    assert_eq!(believe(&world, &tenants, NEW_SERIAL).await, TENANTS);
    assert_eq!(fetches(&world), 6);
}

#[tokio::test]
async fn a_tenant_with_a_wrong_key_takes_nothing_from_one_with_the_right_key() {
    let world = world();
    let (wrong, right) = (world.provider(mistaken()), world.provider(certificate_mode()));
    for _ in 0..2 {
        lists(&world, OLD_SERIAL, &[old_certificate()]);
    }
    assert!(!believed(&world, &wrong, OLD_SERIAL).await);
    assert!(believed(&world, &right, OLD_SERIAL).await, "in the same moment");
    assert_eq!(fetches(&world), 2);
    // Nor does the right list make up for the wrong key.
    world.set_seconds(ROTATING + 10);
    lists(&world, OLD_SERIAL, &[old_certificate()]);
    wrong.renew_trust().await.unwrap_err();
    assert!(!believed(&world, &wrong, OLD_SERIAL).await);
    assert!(believed(&world, &right, OLD_SERIAL).await);
}

/// Nor does one that does not reach WeChat by what its own section says, and always comes first.
#[tokio::test]
async fn a_tenant_that_never_reaches_wechat_is_followed_once_and_not_for_ever() {
    let world = world();
    let (wrong, right) = (world.provider(certificate_mode()), world.provider(certificate_mode()));
    unavailable(&world);
    wrong.renew_trust().await.unwrap_err();
    right.renew_trust().await.unwrap_err();
    assert_eq!(fetches(&world), 2, "at both hosts, by one of them");
    world.set_seconds(ROTATING + 5);
    unavailable(&world);
    wrong.renew_trust().await.unwrap_err();
    lists(&world, OLD_SERIAL, &[old_certificate()]);
    right.renew_trust().await.unwrap();
    assert!(believed(&world, &right, OLD_SERIAL).await);
}

/// A stranger's serial just before does not hide from a tenant what another one fetched.
#[tokio::test]
async fn what_one_tenant_fetched_another_finds_at_once() {
    let world = world();
    let tenants = tenants(&world);
    lists(&world, OLD_SERIAL, &[old_certificate()]);
    assert_eq!(believe(&world, &tenants, UNKNOWN).await, 0);
    // The first of them looks at the shelf in vain, and may not fetch yet.
    world.set_seconds(ROTATING + 58);
    assert_eq!(believe(&world, &tenants[..1], UNKNOWN).await, 0);
    world.set_seconds(ROTATING + 60);
    lists(&world, OLD_SERIAL, &[old_certificate(), new_certificate()]);
    assert_eq!(believe(&world, &tenants[1..], UNKNOWN).await, 0);
    assert_eq!(believe(&world, &tenants[..1], NEW_SERIAL).await, 1);
    assert_eq!(believe(&world, &tenants, NEW_SERIAL).await, TENANTS);
    assert_eq!(fetches(&world), 2);
}

#[tokio::test]
async fn what_one_instance_fetched_for_a_serial_another_does_not_fetch_within_the_minute() {
    for (by_plan, after, expected) in [(false, 1, 0), (false, 59, 0), (false, 60, 1), (true, 1, 1)] {
        let first = world();
        let second = World { shelf: first.shelf.elsewhere(), ..world() };
        let provider = first.provider(certificate_mode());
        lists(&first, OLD_SERIAL, &[old_certificate()]);
        if by_plan {
            provider.renew_trust().await.unwrap();
        } else {
            assert!(!believed(&first, &provider, UNKNOWN).await);
        }
        second.set_seconds(ROTATING + after);
        lists(&second, OLD_SERIAL, &[old_certificate(), new_certificate()]);
        let found = believed(&second, &second.provider(certificate_mode()), NEW_SERIAL).await;
        assert_eq!((fetches(&second), found), (expected, expected == 1), "{by_plan}, after {after} s");
    }
}

//! What is shown of certificates at and after their end: a metric that vanishes tells nobody.

use std::sync::Arc;

use dukou_spi::{Provider, TrustKey};
use serde_json::json;

use super::Timestamp;
use super::tests::{ROTATING, lists, unavailable};
use crate::v3::testing::{
    NEW_SERIAL, OLD_SERIAL, PUBLIC_KEY_ID, World, certificate_mode, new_certificate, old_certificate,
};

/// The old certificate's end, 2031-01-01.
const END: i64 = 1_924_992_000;
const DAY: i64 = 24 * 60 * 60;

fn serials(provider: &Arc<dyn Provider>) -> Vec<String> {
    provider.trust().into_iter().map(|key| key.serial).collect()
}

#[tokio::test]
async fn a_certificate_that_nothing_succeeds_stays_visible_until_something_does() {
    let world = World::default();
    world.set_seconds(END - DAY);
    let provider = world.provider(certificate_mode());
    lists(&world, OLD_SERIAL, &[old_certificate()]);
    provider.renew_trust().await.unwrap();
    let ended = TrustKey { serial: OLD_SERIAL.to_owned(), expires_at: Some(Timestamp::from_millis(END * 1000)) };
    for after in [-60, 0, 60, DAY - 60, DAY, 2 * DAY, 30 * DAY] {
        world.set_seconds(END + after);
        // Nothing comes of looking for another.
        unavailable(&world);
        provider.renew_trust().await.unwrap_err();
        assert_eq!(provider.trust(), std::slice::from_ref(&ended), "{after} s after its end");
    }
    // Nor does a start hide it: the list on the shelf tells.
    let started = World { shelf: world.shelf.elsewhere(), ..World::default() };
    started.set_seconds(END + 30 * DAY);
    let other = started.provider(certificate_mode());
    unavailable(&started);
    other.renew_trust().await.unwrap_err();
    assert_eq!(other.trust(), [ended]);

    world.set_seconds(END + 31 * DAY);
    lists(&world, NEW_SERIAL, &[new_certificate()]);
    provider.renew_trust().await.unwrap();
    assert_eq!(serials(&provider), [NEW_SERIAL]);
}

/// The ring knows the ended one for a day still; nobody has to see to it.
#[tokio::test]
async fn after_a_rotation_and_beside_a_public_key_an_ended_certificate_is_not_shown() {
    let public = json!({ "platform_certificates": true });
    for (mode, listed, expected) in [
        (certificate_mode(), vec![old_certificate(), new_certificate()], vec![NEW_SERIAL]),
        (public.clone(), vec![old_certificate()], vec![PUBLIC_KEY_ID]),
        (public, vec![old_certificate(), new_certificate()], vec![PUBLIC_KEY_ID, NEW_SERIAL]),
    ] {
        let world = World::default();
        world.set_seconds(ROTATING);
        let provider = world.provider(mode);
        lists(&world, OLD_SERIAL, &listed);
        provider.renew_trust().await.unwrap();
        assert!(serials(&provider).iter().any(|serial| serial == OLD_SERIAL));
        for after in [0, 60, 2 * DAY] {
            world.set_seconds(END + after);
            assert_eq!(serials(&provider), expected, "{after} s after its end");
        }
    }
}

//! The APIv2 key in the place of the APIv3 key.

use dukou_domain::Secret;
use dukou_spi::Grade;
use serde_json::json;

use super::tests::{MISSING, NO_CERTIFICATES, about, live, takes_orders, without_logins};
use crate::v2::sign::{SignType, Signer};
use crate::v2::testing::ok;
use crate::v2::xml;
use crate::v3::testing::{API_V3_KEY, APP_ID, MCH_ID, PUBLIC_KEY_ID, World, partner_mode};

/// What APIv2 says of an order that nobody made, signed with the key.
fn unknown_order(key: &str) -> String {
    let fields = [
        ("return_code", "SUCCESS"),
        ("appid", APP_ID),
        ("mch_id", MCH_ID),
        ("nonce_str", "n1"),
        ("result_code", "FAIL"),
        ("err_code", "ORDERNOTEXIST"),
    ];
    let sign = Signer::new(SignType::Md5, Secret::new(key)).sign(&fields);
    xml::write(fields.into_iter().chain([("sign", sign.as_str())]))
}

#[tokio::test]
async fn in_public_key_mode_the_key_of_apiv2_in_the_place_of_that_of_apiv3_is_found_by_asking_apiv2() {
    let refused = "<xml><return_code>FAIL</return_code><return_msg>签名错误</return_msg></xml>";
    for (mode, answer, grade) in [
        (json!({}), unknown_order(API_V3_KEY), Grade::Error),
        (partner_mode(), unknown_order(API_V3_KEY), Grade::Error),
        // Nothing is proved by what was signed with another key, or by nobody.
        (json!({}), unknown_order("another-key-of-32-bytes-0123456789"), Grade::Warning),
        (json!({}), refused.to_owned(), Grade::Warning),
        (json!({}), "<html>".to_owned(), Grade::Warning),
    ] {
        let world = World::default();
        let provider = world.provider(without_logins(mode.clone()));
        world.answers(404, MISSING);
        world.answers(404, NO_CERTIFICATES);
        world.replay.push(ok(answer.clone()));
        takes_orders(&world, PUBLIC_KEY_ID);
        let found = live(&*provider, None).await;
        let told = about(&found, "api_v3_key");
        assert!(matches!(told[..], [told] if told.grade == grade), "{answer}: {found:#?}");
        assert_eq!(told[0].message.contains("APIv2 key"), grade == Grade::Error, "{found:#?}");
        assert!(told[0].fix.contains("APIv3 key"), "{found:#?}");
        let asked = world.replay.sent().into_iter().find(|request| request.url.ends_with("/pay/orderquery")).unwrap();
        let fields = xml::parse(&asked.body, "xml").unwrap();
        assert_eq!(fields.get("sub_mch_id"), mode["sub_mch_id"].as_str());
        assert!(Signer::new(SignType::Md5, Secret::new(API_V3_KEY)).verify(&fields).is_some());
        assert!(!String::from_utf8_lossy(&asked.body).contains(API_V3_KEY));
    }
}

use dukou_domain::{Method, Timestamp};

use super::*;
use crate::v2::testing::{self, Fixed};

/// Golden files: what crosses the wire, a field a line.
#[test]
fn requests_are_as_they_were() {
    let md5 = testing::settings("MD5");
    let hmac = testing::settings("HMAC-SHA256");
    let lines = |request: Request<'_>| {
        request.into_xml().replace("><", ">\n<").replace(">\n<![CDATA", "><![CDATA").replace("]]>\n</", "]]></")
    };
    for method in Method::ALL {
        let request = lines(unified_order(&md5, &Fixed, &testing::order(method)));
        insta::assert_snapshot!(format!("order_{method}"), request);
    }
    insta::assert_snapshot!("order_hmac", lines(unified_order(&hmac, &Fixed, &testing::order(Method::Jsapi))));
    insta::assert_snapshot!("about_order", lines(about_order(&md5, &Fixed, &testing::order(Method::Jsapi))));
    insta::assert_snapshot!("refund", lines(refund(&hmac, &Fixed, &testing::refund())));
}

struct Counting(std::sync::atomic::AtomicU8);

impl Random for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
    }
}

/// WeChat takes a repeated number for the same order only when nothing else differs.
#[test]
fn a_repeated_order_differs_in_nonce_and_signature_alone() {
    let settings = testing::settings("HMAC-SHA256");
    let random = Counting(0.into());
    for method in Method::ALL {
        let order = testing::order(method);
        let once = unified_order(&settings, &random, &order).into_xml();
        let again = unified_order(&settings, &random, &order).into_xml();
        let read = |document: &str| -> Vec<(String, String)> {
            let fields = xml::parse(document.as_bytes(), "xml").unwrap();
            fields.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        let differing: Vec<String> =
            read(&once).into_iter().zip(read(&again)).filter(|(a, b)| a != b).map(|(a, _)| a.0).collect();
        assert_eq!(differing, ["nonce_str", "sign"]);
    }
}

#[test]
fn an_h5_page_comes_from_the_configuration_or_the_notify_address() {
    let mut settings = testing::settings("MD5");
    let notify = "https://pay.example.com/notify/a/b/payment";
    assert_eq!(
        scene_info(&settings, notify),
        r#"{"h5_info":{"type":"Wap","wap_url":"https://pay.example.com","wap_name":"pay.example.com"}}"#
    );
    settings.account.h5_url = Some("https://shop.example.com".to_owned());
    settings.account.h5_name = Some("书店".to_owned());
    assert_eq!(
        scene_info(&settings, notify),
        r#"{"h5_info":{"type":"Wap","wap_url":"https://shop.example.com","wap_name":"书店"}}"#
    );
    for odd in ["", "://", "https://", "pay"] {
        scene_info(&settings, odd);
    }
}

#[test]
fn texts_are_cut_between_characters() {
    let settings = testing::settings("MD5");
    let mut order = testing::order(Method::App);
    order.description = "书".repeat(127);
    order.expires_at = Timestamp::from_millis(i64::MAX);
    let document = unified_order(&settings, &Fixed, &order).into_xml();
    let fields = xml::parse(document.as_bytes(), "xml").unwrap();
    assert_eq!(fields.get("body"), Some("书".repeat(42).as_str()));
    assert_eq!(fields.get("time_expire"), None);
}

use dukou_spi::Grade;

use super::*;
use crate::v2::testing;

#[test]
fn an_address_that_leads_nowhere_outside_is_told() {
    let account = testing::settings("MD5").account;
    for (host, reachable) in [
        ("pay.example.com", true),
        ("pay.shop", true),
        ("8.8.8.8", true),
        ("[2400:3200::1]", true),
        ("localhost", false),
        ("gateway", false),
        ("pay.localhost", false),
        ("pay.local", false),
        ("shop.internal", false),
        ("SHOP.Internal.", false),
        ("shop.lan", false),
        ("shop.home.arpa", false),
        ("10.0.0.1", false),
        ("100.64.0.1", false),
        ("192.0.2.1", false),
        ("198.18.0.1", false),
        ("203.0.113.9", false),
        ("[::1]", false),
        ("[fd00::1]", false),
        ("[2001:db8::1]", false),
        ("[::ffff:10.0.0.1]", false),
    ] {
        let notify_url = format!("https://{host}/notify/shop/wechat/payment");
        let found = notify_address(&account, &Checkup { notify_url, live: false, openid: None });
        let grade = if reachable { Grade::Good } else { Grade::Error };
        assert_eq!((found.grade, found.key), (grade, "server.public_url"), "{host}: {}", found.message);
    }
}

use dukou_spi::Grade;

use super::*;
use crate::v2::testing;

#[test]
fn an_address_that_leads_nowhere_outside_is_told() {
    let account = testing::settings("MD5").account;
    for (host, reachable) in [
        ("pay.bookshop.cn", true),
        ("myexample.com", true),
        ("example.com", false),
        ("pay.example.com", false),
        ("pay.example.org.", false),
        ("Pay.Example.NET", false),
        ("pay.bookshop.cn:8443", false),
        ("[2400:3200::1]:8443", false),
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
        let found =
            notify_address(&account, &Checkup { notify_url, live: false, openid: None, certificates: Vec::new() });
        let grade = if reachable { Grade::Good } else { Grade::Error };
        assert_eq!((found.grade, found.key), (grade, "server.public_url"), "{host}: {}", found.message);
    }
}

/// What the gateway's own configuration lets through on a machine for trials is refused by WeChat all the same.
#[test]
fn at_every_name_of_wechats_the_address_is_judged_as_in_production() {
    for (base_url, grade) in [
        ("https://api.mch.weixin.qq.com", Grade::Error),
        ("https://API.mch.weixin.qq.com:443/", Grade::Error),
        ("https://api2.mch.weixin.qq.com", Grade::Error),
        ("https://api.wechatpay.cn", Grade::Error),
        ("https://api2.wechatpay.cn", Grade::Error),
        ("https://apihk.mch.weixin.qq.com", Grade::Error),
        ("https://127.0.0.1:8443", Grade::Warning),
    ] {
        let mut account = testing::settings("MD5").account;
        base_url.trim_end_matches('/').clone_into(&mut account.base_url);
        let notify_url = "https://pay.bookshop.cn:8443/notify/shop/wechat/payment".to_owned();
        let found =
            notify_address(&account, &Checkup { notify_url, live: false, openid: None, certificates: Vec::new() });
        assert_eq!(found.grade, grade, "{base_url}");
        assert!(found.message.contains("port"), "{}", found.message);
    }
}

/// APIv2 refuses an order that ends within five minutes.
#[test]
fn the_trial_order_lives_well_over_five_minutes() {
    let order = trial(&testing::Fixed, testing::NOW, None, "https://pay.bookshop.cn/notify/shop/wechat/payment");
    assert_eq!(order.expires_at.since(testing::NOW), Duration::from_secs(600));
    let error = ProviderError::new(ErrorKind::NotSent, Reason::Transport, "no connection");
    assert!(not_closed("app_id", "good", &order, &error).fix.contains("ten minutes"));
}

//! What is found with each answer of WeChat's.

use dukou_spi::transport::TransportError;
use dukou_spi::{Checkup, Finding, Grade, Provider};
use serde_json::{Value, json};

use crate::v2::testing::ok;
use crate::v3::testing::{
    API_V3_KEY, OLD_SERIAL, PUBLIC_KEY_ID, World, certificate_list, certificate_mode, old_certificate, partner_mode,
    signed,
};

const OTHER_KEY: &str = "3f7c9d0ab1e24c6f8a5d7e9012b3c4d5";
pub const MISSING: &str = r#"{"code":"ORDER_NOT_EXIST","message":"订单不存在"}"#;
const NOT_THE_V2_KEY: &str = "<xml><return_code>FAIL</return_code><return_msg>签名错误</return_msg></xml>";
pub const NO_CERTIFICATES: &str = r#"{"code":"RESOURCE_NOT_EXISTS","message":"无可用的平台证书"}"#;

pub async fn live(provider: &dyn Provider, openid: Option<&str>) -> Vec<Finding> {
    let notify_url = "https://pay.bookshop.cn/notify/shop/wechat/payment".to_owned();
    let openid = openid.map(str::to_owned);
    provider.diagnose(&Checkup { notify_url, live: true, openid, certificates: Vec::new() }).await
}

/// A section without logins and without a backup host, so that one host of WeChat Pay's alone is asked.
pub fn without_logins(mut changes: Value) -> Value {
    changes["app_secret"] = Value::Null;
    at_one_host(changes)
}

fn at_one_host(mut changes: Value) -> Value {
    changes["base_url"] = json!("https://pay.example.com");
    changes
}

/// Nor does what is asked of APIv2 show what the APIv3 key is.
fn no_certificates(world: &World) {
    world.answers(404, NO_CERTIFICATES);
    world.replay.push(ok(NOT_THE_V2_KEY));
}

/// The trial order at the end of what is right: made and closed.
pub fn takes_orders(world: &World, serial: &str) {
    world.replay.push(world.signed_by(serial, 200, r#"{"code_url":"weixin://wxpay/bizpayurl?pr=1"}"#));
    world.replay.push(world.signed_by(serial, 204, ""));
}

pub fn about<'f>(found: &'f [Finding], key: &str) -> Vec<&'f Finding> {
    found.iter().filter(|finding| finding.key == key).collect()
}

pub fn errors(found: &[Finding]) -> Vec<&str> {
    found.iter().filter(|finding| finding.grade == Grade::Error).map(|finding| finding.key).collect()
}

#[tokio::test]
async fn in_public_key_mode_the_api_v3_key_is_judged_where_wechat_gives_something_to_open() {
    let list = |key: &str| certificate_list(key, &[old_certificate()]);
    for (status, body, grade, words) in [
        (200, list(API_V3_KEY), Grade::Good, "decrypts"),
        (200, list(OTHER_KEY), Grade::Error, "the APIv2 key is another"),
        (200, certificate_list(API_V3_KEY, &[]), Grade::Warning, "could not be checked"),
        (404, NO_CERTIFICATES.to_owned(), Grade::Warning, "could not be checked"),
        (500, "{}".to_owned(), Grade::Warning, "could not be checked"),
    ] {
        let world = World::default();
        let provider = world.provider(without_logins(json!({})));
        world.answers(404, MISSING);
        world.answers(status, &body);
        if grade == Grade::Warning {
            world.replay.push(ok(NOT_THE_V2_KEY));
        }
        takes_orders(&world, PUBLIC_KEY_ID);
        let found = live(&*provider, None).await;
        let keys = about(&found, "api_v3_key");
        assert!(matches!(keys[..], [key] if key.grade == grade && key.message.contains(words)), "{body}: {found:#?}");
        assert!(grade == Grade::Good || keys[0].fix.contains("APIv3 key"), "{found:#?}");
        assert!(world.replay.sent()[1].url.ends_with("/v3/certificates"));
    }
}

#[tokio::test]
async fn in_certificate_mode_no_finding_names_a_key_that_is_not_configured() {
    let world = World::default();
    let provider = world.provider(without_logins(certificate_mode()));
    let list = certificate_list(API_V3_KEY, &[old_certificate()]);
    world.replay.push(world.signed_by(OLD_SERIAL, 200, &list));
    world.replay.push(world.signed_by(OLD_SERIAL, 404, MISSING));
    takes_orders(&world, OLD_SERIAL);
    let found = live(&*provider, None).await;
    assert!(about(&found, "platform_public_key").is_empty(), "{found:#?}");
    assert!(
        about(&found, "platform_certificates").iter().any(|finding| finding.message.contains("signature holds")),
        "{found:#?}"
    );
    assert!(errors(&found).is_empty(), "{found:#?}");

    let world = World::default();
    let provider = world.provider(without_logins(certificate_mode()));
    world.replay.push(world.signed_by(OLD_SERIAL, 200, &list));
    world.answers(404, MISSING);
    let found = live(&*provider, None).await;
    let unknown = about(&found, "platform_public_key_id");
    assert_eq!(errors(&found), ["platform_public_key_id"], "signed by a key that is not configured: {found:#?}");
    assert!(unknown[0].message.contains(PUBLIC_KEY_ID) && unknown[0].fix.contains("platform_public_key"), "{found:#?}");
}

#[tokio::test]
async fn a_clock_that_is_off_is_all_that_is_said() {
    let refused = r#"{"code":"SIGN_ERROR","message":"Http头Authorization中的timestamp与发起请求的时间不得超过5分钟"}"#;
    let forged = r#"{"code":"SIGN_ERROR","message":"错误的签名，验签失败"}"#;
    for mode in [json!({}), certificate_mode()] {
        for (message, key) in [(refused, "clock"), (forged, "serial_no")] {
            let world = World::default();
            let provider = world.provider(without_logins(mode.clone()));
            world.replay.push(crate::v2::testing::status(401, message));
            let found = live(&*provider, None).await;
            assert_eq!(errors(&found), [key], "{found:#?}");
        }
        // What WeChat signed is too far from our time.
        let world = World::default();
        let provider = world.provider(without_logins(mode));
        let list = certificate_list(API_V3_KEY, &[old_certificate()]);
        let headers = signed(PUBLIC_KEY_ID, world.now() + 3600, list.as_bytes());
        world.replay.push(ok(list).map(|answer| dukou_spi::transport::HttpAnswer { headers, ..answer }));
        let found = live(&*provider, None).await;
        assert_eq!(errors(&found), ["clock"], "{found:#?}");
    }
}

#[tokio::test]
async fn in_partner_mode_findings_about_users_name_the_app_that_pays_and_its_key() {
    const SUB_APP: &str = "wx7777777777777777";
    let world = World::default();
    let provider = world.provider(at_one_host(partner_mode()));
    world.answers(404, MISSING);
    no_certificates(&world);
    world.replay.push(ok(r#"{"errcode":40013,"errmsg":"invalid appid"}"#));
    world.replay.push(ok(r#"{"errcode":40013,"errmsg":"invalid appid"}"#));
    world.answers(400, r#"{"code":"PARAM_ERROR","message":"appid和openid不匹配"}"#);
    let found = live(&*provider, Some("oForeign")).await;
    assert_eq!(errors(&found), ["sub_app_id"; 3], "{found:#?}");
    for finding in about(&found, "sub_app_id") {
        assert!(finding.message.contains(SUB_APP), "{finding:#?}");
    }

    let provider = world.provider(at_one_host(partner_mode()));
    world.answers(404, MISSING);
    no_certificates(&world);
    world.replay.push(ok(r#"{"errcode":40029,"errmsg":"invalid code"}"#));
    world.replay.push(ok(r#"{"errcode":40125,"errmsg":"invalid appsecret"}"#));
    takes_orders(&world, PUBLIC_KEY_ID);
    let found = live(&*provider, None).await;
    assert!(about(&found, "app_secret").iter().all(|finding| finding.message.contains(SUB_APP)), "{found:#?}");
    assert_eq!(about(&found, "app_secret").len(), 2);
}

/// A call that the backup host answers says nothing about the first: each is asked by itself.
#[tokio::test]
async fn each_host_is_asked_by_itself() {
    let dead = || Err(TransportError::NotSent { host: "h".into(), reason: "no connection".into() });
    let silent = || Err(TransportError::Timeout { host: "h".into() });
    let good = World::default();
    let good = || good.signed_by(PUBLIC_KEY_ID, 404, MISSING);
    let no = |status, body| crate::v2::testing::status(status, body);
    for (hosts, keys, warned) in [
        ([good(), good()], vec![], false),
        ([dead(), good()], vec!["base_url"], false),
        ([silent(), good()], vec!["base_url"], false),
        ([no(502, "<html>"), good()], vec!["base_url"], false),
        ([good(), dead()], vec![], true),
        ([good(), no(401, r#"{"code":"SIGN_ERROR"}"#)], vec![], true),
        ([dead(), silent()], vec!["base_url"], true),
    ] {
        let shown = format!("{hosts:?}");
        let world = World::default();
        let provider = world.provider(json!({ "app_secret": null }));
        let answered = hosts.iter().flatten().any(|answer| answer.status == 404);
        hosts.into_iter().for_each(|answer| world.replay.push(answer));
        if answered {
            no_certificates(&world);
            takes_orders(&world, PUBLIC_KEY_ID);
        }
        let found = live(&*provider, None).await;
        assert_eq!(errors(&found), keys, "{shown}: {found:#?}");
        let backup = about(&found, "backup_url");
        assert_eq!(backup.iter().any(|finding| finding.grade == Grade::Warning), warned, "{shown}: {found:#?}");
        let sent = world.replay.sent();
        for (request, host) in sent.iter().zip(["https://api.mch.weixin.qq.com/", "https://api2.mch.weixin.qq.com/"]) {
            assert!(request.url.starts_with(&format!("{host}v3/pay")), "{shown}: {}", request.url);
        }
    }
}

#[tokio::test]
async fn while_a_merchant_is_moved_to_the_public_key_the_certificates_are_asked_for() {
    // The answers are signed with the public key, some notifies still with a certificate.
    let world = World::default();
    let provider = world.provider(without_logins(json!({})));
    world.answers(404, MISSING);
    world.answers(200, &certificate_list(API_V3_KEY, &[old_certificate()]));
    takes_orders(&world, PUBLIC_KEY_ID);
    let found = live(&*provider, None).await;
    let told = about(&found, "platform_certificates");
    assert!(
        matches!(told[..], [told] if told.grade == Grade::Warning && told.fix.contains("set it true")),
        "{found:#?}"
    );
    assert!(errors(&found).is_empty(), "{found:#?}");

    // The public key is set too early, or belongs to another merchant.
    for (serial, key, fix) in [
        (OLD_SERIAL, "platform_certificates", "platform_certificates = true"),
        ("PUB_KEY_ID_7", "platform_public_key_id", "set platform_public_key_id"),
    ] {
        let world = World::default();
        let provider = world.provider(without_logins(json!({})));
        world.replay.push(world.signed_by(serial, 404, MISSING));
        let found = live(&*provider, None).await;
        assert_eq!(errors(&found), [key], "{found:#?}");
        let told = about(&found, key);
        assert!(told[0].message.contains(serial) && told[0].fix.contains(fix), "{found:#?}");
    }
}

/// The merchant was moved, and the section still asks for what there is no more.
#[tokio::test]
async fn after_the_move_to_the_public_key_the_setting_to_take_out_is_named() {
    let world = World::default();
    let provider = world.provider(without_logins(json!({ "platform_certificates": true })));
    world.answers(404, NO_CERTIFICATES);
    world.answers(404, MISSING);
    takes_orders(&world, PUBLIC_KEY_ID);
    let found = live(&*provider, None).await;
    assert!(errors(&found).is_empty(), "{found:#?}");
    let told = about(&found, "platform_certificates");
    assert!(
        matches!(told[..], [told] if told.grade == Grade::Warning && told.fix.contains("take it out")),
        "{found:#?}"
    );
}

/// The serial number of another merchant's certificate is answered so, among other things.
#[tokio::test]
async fn a_system_error_is_no_trouble_that_passes_by_itself() {
    let busy = r#"{"code":"SYSTEM_ERROR","message":"系统繁忙，请稍后重试"}"#;
    for mode in [json!({}), certificate_mode()] {
        let world = World::default();
        let provider = world.provider(without_logins(mode));
        world.replay.push(crate::v2::testing::status(500, busy));
        let found = live(&*provider, None).await;
        assert_eq!(errors(&found), ["serial_no"], "{found:#?}");
        let told = about(&found, "serial_no")[0];
        assert!(told.message.contains("系统繁忙") && told.fix.contains("compare serial_no and mch_id"), "{told:#?}");
    }
}

/// A question after an order shows neither app nor sub-merchant: somebody has to order something.
#[tokio::test]
async fn a_set_up_in_which_no_order_can_be_made_is_not_right() {
    let partner = partner_mode;
    for (mode, status, code, words, key, grade) in [
        (json!({}), 400, "APPID_MCHID_NOT_MATCH", "appid与mchid不匹配", "app_id", Grade::Error),
        (partner(), 400, "APPID_MCHID_NOT_MATCH", "appid与mchid不匹配", "app_id", Grade::Error),
        (partner(), 400, "APPID_MCHID_NOT_MATCH", "sub_appid与sub_mchid不匹配", "sub_app_id", Grade::Error),
        (partner(), 400, "MCH_NOT_EXISTS", "sub_mchid不存在", "sub_mch_id", Grade::Error),
        (partner(), 403, "NO_AUTH", "受理关系不存在", "sub_mch_id", Grade::Error),
        (json!({}), 403, "NO_AUTH", "商户未开通Native支付", "mch_id", Grade::Warning),
        (json!({}), 400, "PARAM_ERROR", "参数错误", "mch_id", Grade::Error),
        (json!({}), 400, "PARAM_ERROR", "参数错误：/notify_url 格式有误", "server.public_url", Grade::Error),
        (json!({}), 500, "SYSTEM_ERROR", "系统繁忙", "mch_id", Grade::Warning),
    ] {
        let world = World::default();
        let provider = world.provider(without_logins(mode));
        world.answers(404, MISSING);
        no_certificates(&world);
        world.answers(status, &json!({ "code": code, "message": words }).to_string());
        let found = live(&*provider, None).await;
        let told = about(&found, key);
        let is_told = told.iter().any(|finding| finding.grade == grade && finding.message.contains(words));
        assert!(is_told, "{words}: {found:#?}");
        assert_eq!(errors(&found).len(), usize::from(grade == Grade::Error), "{found:#?}");
    }
    let world = World::default();
    let provider = world.provider(without_logins(json!({})));
    world.answers(404, MISSING);
    no_certificates(&world);
    takes_orders(&world, PUBLIC_KEY_ID);
    let found = live(&*provider, None).await;
    assert!(about(&found, "app_id").iter().any(|finding| finding.message.contains("takes orders")), "{found:#?}");
    let urls: Vec<_> = world.replay.sent().into_iter().map(|request| request.url).collect();
    assert!(urls[3].ends_with("/native") && urls[4].ends_with("/close"), "{urls:?}");
}

//! What is found with each answer of WeChat's.

use dukou_spi::transport::{HttpAnswer, TransportError};
use dukou_spi::{Grade, Provider};
use serde_json::json;

use super::*;
use crate::v2::sign::SignType::Md5;
use crate::v2::testing::{ok, provider, signed, status};

type Answer = Result<HttpAnswer, TransportError>;

fn missing() -> Answer {
    ok(signed(Md5, &[("result_code", "FAIL"), ("err_code", "ORDERNOTEXIST"), ("err_code_des", "?")]))
}

async fn live(provider: &dyn Provider) -> Vec<Finding> {
    let notify_url = "https://pay.bookshop.cn/notify/shop/wechat/payment".to_owned();
    provider.diagnose(&Checkup { notify_url, live: true, openid: None, certificates: Vec::new() }).await
}

fn keys(found: &[Finding], grade: Grade) -> Vec<&str> {
    found.iter().filter(|finding| finding.grade == grade).map(|finding| finding.key).collect()
}

/// A call that the backup host answers says nothing about the first: each is asked by itself.
#[tokio::test]
async fn each_host_is_asked_by_itself() {
    let dead = || -> Answer { Err(TransportError::NotSent { host: "h".into(), reason: "no connection".into() }) };
    let silent = || -> Answer { Err(TransportError::Timeout { host: "h".into() }) };
    for (hosts, wrong, backup) in [
        ([missing(), missing()], vec![], false),
        ([dead(), missing()], vec!["base_url"], false),
        ([silent(), missing()], vec!["base_url"], false),
        ([status(502, "<html>"), missing()], vec!["base_url"], false),
        ([missing(), dead()], vec![], true),
        ([missing(), status(502, "<html>")], vec![], true),
        ([dead(), silent()], vec!["base_url"], true),
    ] {
        let shown = format!("{hosts:?}");
        let (provider, replay) = provider(json!({ "app_secret": null }));
        hosts.into_iter().for_each(|answer| replay.push(answer));
        let found = live(&*provider).await;
        assert_eq!(keys(&found, Grade::Error), wrong, "{shown}: {found:#?}");
        assert_eq!(keys(&found, Grade::Warning).contains(&"backup_url"), backup, "{shown}: {found:#?}");
        let urls: Vec<_> = replay.sent().into_iter().map(|request| request.url).collect();
        let both = ["https://api.mch.weixin.qq.com/pay/orderquery", "https://api2.mch.weixin.qq.com/pay/orderquery"];
        assert_eq!(urls, both, "{shown}");
    }
}

/// What is wrong at the shop does not pass by itself.
#[tokio::test]
async fn what_wechat_refuses_is_an_error_in_its_own_words() {
    let failed =
        |words: &str| ok(format!("<xml><return_code>FAIL</return_code><return_msg>{words}</return_msg></xml>"));
    let busy = ok(signed(Md5, &[("result_code", "FAIL"), ("err_code", "SYSTEMERROR"), ("err_code_des", "系统超时")]));
    for (answer, key, words) in [
        (failed("商户无权限"), "mch_id", "商户无权限"),
        (failed("此商家的收款功能已被限制"), "mch_id", "收款功能已被限制"),
        (failed("system error"), "mch_id", "system error"),
        (failed("签名错误"), "api_key", "签名错误"),
        (busy, "mch_id", "系统超时"),
    ] {
        let (provider, replay) = provider(json!({ "app_secret": null }));
        replay.push(answer);
        let found = live(&*provider).await;
        assert_eq!(keys(&found, Grade::Error), [key], "{found:#?}");
        assert!(found.iter().any(|finding| finding.message.contains(words)), "{found:#?}");
    }
}

/// In its usual form nobody signs it.
#[tokio::test]
async fn why_no_order_can_be_made_for_a_user_is_told_apart() {
    let failed =
        |words: &str| ok(format!("<xml><return_code>FAIL</return_code><return_msg>{words}</return_msg></xml>"));
    for (words, key, message) in [
        ("appid and openid not match", "app_id", "o1 belongs to another app than wx8888888888888888"),
        ("商户号与appid不匹配", "app_id", "an order for o1 was refused"),
        ("notify_url参数格式有误", "server.public_url", "WeChat Pay refuses the notify address"),
    ] {
        let (provider, replay) = provider(json!({ "app_secret": null }));
        [missing(), missing(), failed(words)].into_iter().for_each(|answer| replay.push(answer));
        let notify_url = "https://pay.bookshop.cn/notify/shop/wechat/payment".to_owned();
        let found = provider
            .diagnose(&Checkup { notify_url, live: true, openid: Some("o1".to_owned()), certificates: Vec::new() })
            .await;
        let told = found.iter().find(|finding| finding.grade == Grade::Error).unwrap();
        assert!(told.key == key && told.message.starts_with(message), "{found:#?}");
    }
}

//! The landing page: what each visitor gets, and what nobody does.

use std::time::Duration;

use dukou_spi::plugin::PluginReply;
use serde_json::json;

use crate::support::{Scripted, World, book, create_video, params};

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Version/17.5 Mobile/15E148 Safari/604.1";
const WECHAT: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Mobile/15E148 MicroMessenger/8.0.49";
const DOUYIN: &str = "Mozilla/5.0 (Linux; Android 14) Mobile aweme_30.5.0 BytedanceWebview/d8a21c6";
const DESKTOP: &str = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126 Safari/537.36";

fn text(reply: &PluginReply) -> String {
    String::from_utf8(reply.body.to_vec()).unwrap()
}

fn header<'a>(reply: &'a PluginReply, name: &str) -> &'a str {
    reply.headers.iter().find(|(key, _)| *key == name).map_or("", |(_, value)| value)
}

/// The link behind the button, as a browser reads it.
fn link(page: &str) -> Option<String> {
    let (_, rest) = page.split_once("<a id=\"open\" class=\"go\" href=\"")?;
    let (link, _) = rest.split_once('"')?;
    Some(link.replace("&#38;", "&").replace("&#39;", "'").replace("&#x27;", "'"))
}

#[tokio::test]
async fn each_visitor_gets_what_works_there() {
    let world = World::new();
    let share = world.share(book()).await.unwrap();
    let id = share["id"].as_str().unwrap();
    for (agent, opens, marks) in [
        (IPHONE, true, &["打开抖音发布"][..]),
        (DOUYIN, true, &["打开抖音发布"]),
        (WECHAT, false, &["在浏览器打开", "复制链接"]),
        (DESKTOP, false, &["扫一扫"]),
        ("", false, &["扫一扫"]),
    ] {
        let reply = world.page("bookshop", id, agent).await;
        let page = text(&reply);
        assert_eq!(reply.status, 200, "{agent}");
        assert_eq!(page.contains("snssdk1128://openplatform"), opens, "{agent}");
        assert!(page.contains("<svg"), "{agent}: the code");
        for mark in marks {
            assert!(page.contains(mark), "{agent}: {mark}");
        }
        assert_eq!(header(&reply, "cache-control"), "no-store");
        let policy = header(&reply, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let nonce = policy.split("script-src 'nonce-").nth(1).unwrap().split('\'').next().unwrap();
        assert!(page.contains(&format!("<script nonce=\"{nonce}\"")));
        assert!(!page.contains(" style=") && !page.contains(" onclick="), "inline code is not let through");
        assert!(
            !page.contains("http://") || page.matches("http://").count() == page.matches("http://www.w3.org/").count()
        );
    }
}

#[tokio::test]
async fn a_link_is_signed_when_the_page_is_opened() {
    let world = World::new();
    let share = world.share(book()).await.unwrap();
    let id = share["id"].as_str().unwrap();
    let first = params(&link(&text(&world.page("bookshop", id, IPHONE).await)).unwrap());
    world.wait(Duration::from_secs(3 * 60 * 60));
    // The ticket that the share was made with has ended meanwhile; one new one is fetched.
    let before = world.douyin.count("/open/getticket/");
    let second = params(&link(&text(&world.page("bookshop", id, IPHONE).await)).unwrap());
    assert_eq!(world.douyin.count("/open/getticket/"), before + 1);
    assert_ne!((&first["nonce_str"], &first["timestamp"]), (&second["nonce_str"], &second["timestamp"]));
    assert_eq!(second["timestamp"], world.now().as_seconds().to_string());
    assert_eq!(second["state"], share["share_id"].as_str().unwrap());
    let signed = |ticket: &str, params: &std::collections::BTreeMap<String, String>| {
        let text = format!("nonce_str={}&ticket={ticket}&timestamp={}", params["nonce_str"], params["timestamp"]);
        use md5::{Digest, Md5};
        hex::encode(Md5::digest(text.as_bytes()))
    };
    assert_eq!(first["signature"], signed("@ticket/1+==", &first));
    assert_eq!(second["signature"], signed("@ticket/2+==", &second));
}

/// For how long the page believes in its link.
fn life(page: &str) -> u64 {
    page.split_once("data-life=\"").unwrap().1.split_once('"').unwrap().0.parse().unwrap()
}

#[tokio::test]
async fn no_page_offers_a_link_for_longer_than_its_ticket_lasts() {
    const MINUTE: u64 = 60;
    let world = World::new();
    let share = world.share(book()).await.unwrap();
    let id = share["id"].as_str().unwrap();
    let mut passed = 0;
    // A ticket lasts two hours; five minutes before its end there is another one.
    for (minute, minutes) in [(0, 50), (60, 50), (80, 40), (114, 6), (116, 50)] {
        world.wait(Duration::from_secs((minute - passed) * MINUTE));
        passed = minute;
        let page = text(&world.page("bookshop", id, IPHONE).await);
        assert_eq!(life(&page), minutes * MINUTE * 1000, "after {minute} minutes");
    }
}

#[tokio::test]
async fn words_of_users_are_shown_as_words() {
    let world = World::new();
    let mut body = book();
    body["title"] = json!("</title><script>alert(1)</script>\" onload=\"x &amp; {{7*7}}");
    body["hashtags"] = json!(["<img/src=x>"]);
    let share = world.share(body).await.unwrap();
    for agent in [IPHONE, WECHAT, DESKTOP] {
        let page = text(&world.page("bookshop", share["id"].as_str().unwrap(), agent).await);
        assert!(!page.contains("<script>") && !page.contains("<img"), "{page}");
        assert!(!page.contains("\" onload=\""), "{page}");
        assert_eq!(page.matches("<script ").count(), 1);
        assert!(page.contains("{{7*7}}"));
    }
}

#[tokio::test]
async fn what_is_over_or_was_never_there_is_said_in_words() {
    let world = World::new();
    let share = world.share(book()).await.unwrap();
    let id = share["id"].as_str().unwrap();
    for (tenant, id) in [("bookshop", "nothing"), ("teahouse", id), ("bookshop", "../x"), ("bookshop", "")] {
        let reply = world.page(tenant, id, IPHONE).await;
        assert_eq!(reply.status, 404, "{tenant} {id}");
        assert!(text(&reply).contains("没有找到"));
    }
    world.message(Some("1"), &create_video(share["share_id"].as_str().unwrap())).await;
    assert!(text(&world.page("bookshop", id, IPHONE).await).contains("已经发布到抖音"));
    let other = world.share(book()).await.unwrap();
    world.wait(Duration::from_secs(24 * 60 * 60));
    let reply = world.page("bookshop", other["id"].as_str().unwrap(), IPHONE).await;
    assert_eq!(reply.status, 410);
    assert!(text(&reply).contains("已过期"));
}

#[tokio::test]
async fn a_page_that_cannot_be_signed_says_so() {
    let world = World::new();
    let share = world.share(book()).await.unwrap();
    let id = share["id"].as_str().unwrap();
    world.wait(Duration::from_secs(3 * 60 * 60));
    world.douyin.next("/open/getticket/", Scripted::Silence);
    let reply = world.page("bookshop", id, IPHONE).await;
    assert_eq!(reply.status, 503);
    assert!(text(&reply).contains("暂时打不开抖音"));
    assert_eq!(world.page("bookshop", id, IPHONE).await.status, 200);
}

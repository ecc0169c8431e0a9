//! The landing page of a share in a real browser, as each kind of visitor sees it. Pictures are left in
//! `target/screenshots`.

use dukou_e2e::{Browser, Tenant, World};
use serde_json::json;

use crate::shop_page::picture;

const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                      Version/17.5 Mobile/15E148 Safari/604.1";
const WECHAT: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                      Mobile/15E148 MicroMessenger/8.0.49(0x18003137) NetType/WIFI Language/zh_CN";
const DOUYIN: &str = "Mozilla/5.0 (Linux; Android 14; PJZ110) AppleWebKit/537.36 Chrome/126.0 Mobile Safari/537.36 \
                      aweme_30.5.0 JsSdk/2.0 BytedanceWebview/d8a21c6";
const DESKTOP: &str =
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0 Safari/537.36";

/// Pictures of phones beside each other, as one.
async fn side_by_side(browser: &Browser, names: &[&str], into: &str) {
    let phones = names.iter().map(|name| format!("<img src=\"{name}.png\">")).collect::<String>();
    let page = format!(
        "<!DOCTYPE html><style>body{{margin:0;padding:24px;display:flex;gap:24px;background:#dfe6ea}}\
         img{{width:360px;height:779px;border-radius:34px;box-shadow:0 10px 30px #0003}}</style>{phones}"
    );
    let file = picture(into).with_extension("html");
    std::fs::write(&file, page).unwrap();
    browser.resize(1176, 827, 1).await;
    browser.open(&format!("file://{}", file.canonicalize().unwrap().display())).await;
    browser.screenshot(&picture(into)).await;
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn each_visitor_finds_the_way_to_douyin() {
    let world = World::builder().tenant(Tenant::bookshop().with_douyin().set("name", "渡口书店")).start().await;
    let (tenant, merchant) = world.bookshop();
    let body = json!({
        "app_id": tenant.app_id, "title": "《边城》沈从文：由四川过湖南去，靠东有一条官路。这官路将近湘西边境，到了一个地方名为“茶峒”的小山城",
        "video_url": "https://cdn.example.com/ferry.mp4", "hashtags": ["读书", "边城", "沈从文"],
    });
    let share = merchant.post("/shares/douyin", &body).await.expect(201);
    let url = share["landing_url"].as_str().unwrap();
    let browser = Browser::start(430, 932).await;
    for (name, agent, width, height, scale) in [
        ("landing-phone", IPHONE, 390, 844, 2),
        ("landing-wechat", WECHAT, 390, 844, 2),
        ("landing-douyin", DOUYIN, 390, 844, 2),
        ("landing-desktop", DESKTOP, 1240, 900, 1),
    ] {
        browser.resize(width, height, scale).await;
        browser.user_agent(agent).await;
        browser.open(url).await;
        browser.shows("h1", "《边城》沈从文").await;
        browser.screenshot(&picture(name)).await;
        let wide = browser.run("return document.documentElement.scrollWidth > innerWidth;").await;
        assert_eq!(wide, false, "{name}: nobody must have to scroll sideways");
        let link = browser.run("const a = document.querySelector('#open'); return a && a.href;").await;
        match agent {
            IPHONE | DOUYIN => {
                // What the button opens is what the app takes.
                let opened = world.control.must("/douyin/open", &json!({ "schema": link })).await;
                assert_eq!(opened["share_id"], share["share_id"]);
            }
            _ => assert!(link.is_null(), "{name}: no app can be opened from there"),
        }
        let requests = browser.requests().await;
        let elsewhere: Vec<&String> =
            requests.iter().filter(|asked| !asked.starts_with(&world.gateway.url())).collect();
        assert!(elsewhere.is_empty(), "{name} asked elsewhere: {elsewhere:?}");
        let console: Vec<String> = browser.console().await;
        let console: Vec<&String> = console.iter().filter(|line| !line.contains("favicon")).collect();
        assert!(console.is_empty(), "{name}: {console:#?}");
    }
    // What Douyin opens, for the picture beside the others.
    let schema =
        percent_encoding::utf8_percent_encode(share["schema"].as_str().unwrap(), percent_encoding::NON_ALPHANUMERIC);
    browser.resize(390, 844, 2).await;
    browser.open(&format!("{}/_sandbox/douyin/open?schema={schema}", world.sandbox.http_url())).await;
    browser.shows("#editor-title", "发布页").await;
    browser.screenshot(&picture("landing-opened")).await;
    side_by_side(&browser, &["landing-phone", "landing-wechat", "landing-opened"], "douyin-share").await;
    // In WeChat the link can be copied; on a phone without the app there is a word of help.
    browser.resize(390, 844, 2).await;
    browser.user_agent(WECHAT).await;
    browser.open(url).await;
    browser.press("#copy").await;
    browser.shows("#copy", "已复制").await;
    browser.user_agent(IPHONE).await;
    browser.open(url).await;
    assert_eq!(browser.run("return document.getElementById('help').hidden;").await, true);
    browser.press("#open").await;
    browser.shows("#help", "没有打开").await;
    browser.screenshot(&picture("landing-no-app")).await;
    // Words of a user stay words.
    let hostile = json!({
        "app_id": tenant.app_id, "title": "</h1><script>document.title='x'</script><b onclick=alert(1)>边城",
        "image_url": "https://img.example.com/1.png", "hashtags": ["<i>读书</i>"],
    });
    let hostile = merchant.post("/shares/douyin", &hostile).await.expect(201);
    browser.open(hostile["landing_url"].as_str().unwrap()).await;
    browser.shows("h1", "<b onclick=alert(1)>边城").await;
    browser.shows(".tags", "#<i>读书</i>").await;
    assert_eq!(browser.run("return document.scripts.length;").await, 1);
    browser.user_agent(DESKTOP).await;
    browser.open(&format!("{}/s/bookshop.nothing", world.gateway.url())).await;
    browser.shows("h2", "没有找到这个分享").await;
    browser.screenshot(&picture("landing-nothing")).await;
}

#[tokio::test]
async fn a_long_name_of_the_shop_cuts_nothing_off_on_a_phone() {
    let name = "阿飞书店与朋友们的海边小小旧书与新书与文具与咖啡专营旗舰店北京分店";
    let world = World::builder().tenant(Tenant::bookshop().with_douyin().set("name", name)).start().await;
    let (tenant, merchant) = world.bookshop();
    let body = json!({ "app_id": tenant.app_id, "title": "边城", "video_url": "https://cdn.example.com/ferry.mp4" });
    let share = merchant.post("/shares/douyin", &body).await.expect(201);
    let browser = Browser::start(430, 932).await;
    browser.resize(375, 740, 2).await;
    browser.user_agent(IPHONE).await;
    browser.open(share["landing_url"].as_str().unwrap()).await;
    browser.shows(".medium", "视频").await;
    let inside = "const card = document.querySelector('.card').getBoundingClientRect(); \
                  return [...document.querySelectorAll('.card h1, .card .medium, .card .name')] \
                  .every((part) => part.getBoundingClientRect().right <= card.right);";
    assert_eq!(browser.run(inside).await, true, "title, badge and name stand within the card");
    browser.screenshot(&picture("landing-long-name")).await;
}

//! An operator's day in the console, in a real browser. Pictures of every page are left in `target/screenshots`.

use dukou_e2e::{Behaviour, Browser, Buyer, Sink, Tenant, World, eventually};
use serde_json::json;

use crate::shop_page::picture;
use crate::{SOON, becomes, paid};

const TOKEN: &str = "an-operators-token-0123456789";

async fn world(sink: &Sink) -> World {
    let bookshop = Tenant::bookshop()
        .set("webhook.url", sink.url())
        .set("webhook.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        .set("providers.wechat.timeout", "2s");
    let world = World::builder().tenant(bookshop).tenant(Tenant::teahouse());
    world.set("webhooks.allow_private_networks", true).env("DUKOU__ADMIN__TOKEN", TOKEN).start().await
}

async fn log_in(browser: &Browser, world: &World) {
    browser.open(&format!("{}/console", world.gateway.admin_url())).await;
    browser.run(&format!("document.querySelector('#token').value = '{TOKEN}';")).await;
    browser.press(".door .main").await;
    browser.shows("h1", "概览").await;
}

/// Shows the page as a phone does, and holds that nothing has to be scrolled sideways.
async fn on_a_phone(browser: &Browser, name: &str) {
    browser.resize(360, 760, 2).await;
    browser.run("scrollTo(0, 0);").await;
    let wide = browser.run("return document.documentElement.scrollWidth > innerWidth;").await;
    assert_eq!(wide, false, "{name}: a phone must not have to scroll sideways");
    browser.screenshot(&picture(name)).await;
    // The smallest that is still sold: cards and columns stay within the margins.
    browser.resize(320, 640, 2).await;
    let out = "const main = document.querySelector('main'), style = getComputedStyle(main); \
               const end = main.getBoundingClientRect().right - parseFloat(style.paddingRight) + 1; \
               return [...main.querySelectorAll('.card, .columns > *')].some((one) => one.getBoundingClientRect().right > end);";
    assert_eq!(browser.run(out).await, false, "{name}: something stands in the margin");
    let brand = "return document.querySelector('.brand').getBoundingClientRect().height < 40;";
    assert_eq!(browser.run(brand).await, true, "{name}: the name takes one line");
    browser.resize(1240, 860, 1).await;
}

#[tokio::test]
async fn an_operators_day() {
    let sink = Sink::start(Behaviour::Status(503)).await;
    let world = world(&sink).await;
    let (tenant, merchant) = world.bookshop();
    for (number, amount) in [("B20261123-0001", 12_800), ("B20261123-0002", 3_650), ("B20261123-0003", 102_400)] {
        paid(&world, number, amount).await;
    }
    merchant.refund("B20261123-0001", "R-20261123-1", 2_800).await.expect(201);
    becomes(&merchant, "B20261123-0001", "partially_refunded").await;
    let lose = json!({ "operation": "unifiedorder", "times": 1, "fault": { "type": "lose_answer" } });
    world.control.fault(&lose).await;
    merchant.create(&merchant.order("B20261123-0004", 4_500)).await.problem(504, "provider_timeout");

    let browser = Browser::start(1240, 860).await;
    browser.resize(1240, 860, 1).await;
    // Nobody is let in with another token.
    let console = format!("{}/console", world.gateway.admin_url());
    browser.open(&console).await;
    browser.screenshot(&picture("console-login")).await;
    browser.run("document.querySelector('#token').value = 'wrong';").await;
    browser.press(".door .main").await;
    browser.shows(".problem", "令牌不对").await;
    log_in(&browser, &world).await;
    browser.shows(".shop", "¥1,188.50").await;
    browser.shows("#live", "实时更新").await;

    // A payment arrives without the page being loaded anew.
    browser.run("window.sameDocument = true;").await;
    merchant.pending("B20261123-0005", 990).await;
    world.control.pay(&tenant, "B20261123-0005").await;
    becomes(&merchant, "B20261123-0005", "succeeded").await;
    browser.shows(".shop", "¥1,198.40").await;
    assert_eq!(browser.run("return window.sameDocument;").await, true, "the page was loaded anew");

    // A buyer asks for money; the operator sees it, is asked again, and approves.
    let buyer = Buyer::log_in(&world, &tenant).await;
    let mut order = merchant.order("B20261123-0006", 6_600);
    order["payer"] = json!({ "openid": buyer.openid });
    merchant.create(&order).await.expect(201);
    world.control.pay(&tenant, "B20261123-0006").await;
    becomes(&merchant, "B20261123-0006", "succeeded").await;
    buyer.ask_refund("B20261123-0006", 6_600).await.expect(201);
    browser.shows(".needs", "个退款申请等待决定").await;
    browser.screenshot(&picture("console-overview")).await;
    on_a_phone(&browser, "console-overview-phone").await;
    browser.press(".needs a[href*='/console/requests']").await;
    browser.shows("td .state", "待处理").await;
    browser.screenshot(&picture("console-requests")).await;
    browser.press("td a.go").await;
    browser.shows(".asking", "确定吗").await;
    assert_eq!(merchant.status("B20261123-0006").await, "succeeded", "nothing moves before the second word");
    browser.screenshot(&picture("console-approve")).await;
    browser.press(".asking .money").await;
    becomes(&merchant, "B20261123-0006", "refunded").await;
    browser.shows("td .state.approved", "已同意").await;

    // Where is that payment? By its number, with the keyboard alone.
    browser.press("nav a[href='/console/payments']").await;
    browser.shows("tbody", "B20261123-0004").await;
    browser.screenshot(&picture("console-payments")).await;
    on_a_phone(&browser, "console-payments-phone").await;
    browser.run("document.querySelector('input[name=number]').focus();").await;
    browser.keys("B20261123-0001\u{e007}").await;
    browser.shows(".head", "部分退款").await;
    browser.shows(".timeline", "退款成功").await;
    browser.run("document.querySelector('.timeline .notify summary').click();").await;
    browser.shows(".timeline .notify details[open]", "transaction_id").await;
    let page = browser.text("main").await;
    let openid = merchant.payment("B20261123-0001").await.expect(200)["openid"].as_str().unwrap().to_owned();
    assert!(!page.contains(&openid), "who paid is not shown");
    browser.screenshot(&picture("console-payment")).await;
    on_a_phone(&browser, "console-payment-phone").await;

    // Or by the number that the buyer sees in WeChat.
    let paid = merchant.payment("B20261123-0003").await.expect(200);
    let transaction = paid["provider_transaction_id"].as_str().unwrap();
    browser.press("nav a[href='/console/payments']").await;
    browser.shows("tbody", "B20261123-0004").await;
    browser.run("document.querySelector('input[name=number]').focus();").await;
    browser.keys(&format!("{transaction}\u{e007}")).await;
    browser.shows(".head", "B20261123-0003").await;

    // A delivery that failed is tried again, once the merchant's endpoint is well.
    sink.behave(Behaviour::Status(204));
    browser.press("nav a[href='/console/deliveries']").await;
    browser.shows("tbody", "payment.").await;
    browser.screenshot(&picture("console-deliveries")).await;
    let before = sink.count();
    browser.press("tbody tr form button").await;
    eventually("the delivery was tried again", SOON, async || (sink.count() > before).then_some(())).await;

    browser.press("nav a[href='/console/health']").await;
    browser.shows(".checks", "store").await;
    // A call whose answer was lost is among them.
    browser.shows(".calls .bad", "unknown").await;
    browser.screenshot(&picture("console-health")).await;
    browser.press("nav a[href='/console/tenants']").await;
    browser.shows("main", "wechat-v2").await;
    browser.screenshot(&picture("console-tenants")).await;

    // In English, and in the dark.
    browser.press(".tools button[value='en']").await;
    browser.shows("h1", "Tenants").await;
    browser.press("nav a[href='/console']").await;
    browser.shows("h1", "Overview").await;
    browser.dark().await;
    browser.screenshot(&picture("console-overview-dark")).await;

    let said = browser.console().await;
    let said: Vec<&String> = said.iter().filter(|line| !line.contains("401")).collect();
    assert!(said.is_empty(), "{said:#?}");
    let requests = browser.requests().await;
    // The browser draws its own date field.
    let elsewhere = requests.iter().filter(|url| !url.starts_with("data:image/svg+xml"));
    let elsewhere: Vec<&String> = elsewhere.filter(|url| !url.starts_with(&world.gateway.admin_url())).collect();
    assert!(requests.len() > 20 && elsewhere.is_empty(), "asked elsewhere: {elsewhere:?}");

    browser.press(".tools form[action='/console/logout'] button").await;
    browser.shows(".door", "Log in").await;
    browser.open(&format!("{console}/payments")).await;
    browser.shows(".door", "Log in").await;
    world.verify().await;
}

#[tokio::test]
async fn a_page_stays_current_beside_what_is_open_and_waits_for_what_is_filled_in() {
    let world = World::builder().env("DUKOU__ADMIN__TOKEN", TOKEN).start().await;
    let merchant = world.merchant("bookshop");
    paid(&world, "LIVE-1", 300).await;
    let browser = Browser::start(1240, 860).await;
    log_in(&browser, &world).await;
    browser.open(&format!("{}/console/payments/bookshop/LIVE-1", world.gateway.admin_url())).await;
    browser.run("window.sameDocument = true;").await;
    // Who has read the details and left the focus there sees what comes, with the details still open.
    browser.press(".timeline .notify summary").await;
    browser.shows(".timeline .notify details[open]", "transaction_id").await;
    for (refund, state) in [("R-1", "部分退款"), ("R-2", "已退款")] {
        merchant.refund("LIVE-1", refund, 150).await.expect(201);
        browser.shows(".head", state).await;
        let kept = "const at = document.activeElement; \
                    return at.matches('.timeline .notify summary') && at.parentElement.open && window.sameDocument;";
        assert_eq!(browser.run(kept).await, true, "{refund}");
        browser.shows("#live", "实时更新").await;
    }

    // What somebody chose and has not sent is not taken away, and the page is not called live meanwhile.
    browser.press("nav a[href='/console/payments']").await;
    browser.shows("tbody", "LIVE-1").await;
    browser.run("document.querySelector('input[name=number]').focus();").await;
    browser.keys("LIVE").await;
    browser.run("document.querySelector('nav a').focus();").await;
    merchant.pending("LIVE-2", 100).await;
    let hidden = async || browser.run("return document.querySelector('#live').hidden;").await.as_bool();
    eventually("the page says that it is behind", SOON, async || hidden().await.filter(|hidden| *hidden)).await;
    assert_eq!(browser.run("return document.querySelector('input[name=number]').value;").await, "LIVE");
    assert!(!browser.text("tbody").await.contains("LIVE-2"));
    browser.run("document.querySelector('input[name=number]').value = '';").await;
    browser.shows("tbody", "LIVE-2").await;
    browser.shows("#live", "实时更新").await;
}

#[tokio::test]
async fn nobody_gets_in_by_another_way() {
    let world = World::builder().env("DUKOU__ADMIN__TOKEN", TOKEN).start().await;
    let (tenant, merchant) = world.bookshop();
    let buyer = Buyer::log_in(&world, &tenant).await;
    let mut order = merchant.order("GUARD-1", 100);
    order["payer"] = json!({ "openid": buyer.openid });
    merchant.create(&order).await.expect(201);
    world.control.pay(&tenant, "GUARD-1").await;
    becomes(&merchant, "GUARD-1", "succeeded").await;
    let asked = buyer.ask_refund("GUARD-1", 100).await.expect(201);
    let id = asked["id"].as_str().unwrap();

    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let admin = world.gateway.admin_url();
    let url = |path: &str| format!("{admin}/console{path}");
    let approve = format!("/requests/bookshop/{id}/approve");
    for path in
        ["", "/payments", "/payments/bookshop/GUARD-1", "/requests", &approve, "/deliveries", "/health", "/tenants"]
    {
        for request in [client.get(url(path)), client.get(url(path)).header("cookie", "dukou_console=9999999999999.00")]
        {
            let answer = request.send().await.unwrap();
            assert_eq!(
                answer.headers().get("location").and_then(|to| to.to_str().ok()),
                Some("/console/login"),
                "{path}"
            );
        }
    }
    assert_eq!(client.get(url("/live")).send().await.unwrap().status(), 204);

    let entered = client.post(url("/login")).form(&[("token", TOKEN)]).send().await.unwrap();
    assert_eq!(entered.status(), 303);
    let set = entered.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict"), "{set}");
    let cookie = set.split(';').next().unwrap().to_owned();
    let page = client.get(url(&approve)).header("cookie", &cookie).send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(page.headers()["cache-control"], "no-store");
    let page = page.text().await.unwrap();
    let token = page.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();

    // Another site's form has the cookie at most, and not the form's token; and says where it comes from.
    let post = |token: &str| client.post(url(&approve)).header("cookie", &cookie).form(&[("token", token)]);
    assert_eq!(post("").send().await.unwrap().status(), 403);
    assert_eq!(post("00").send().await.unwrap().status(), 403);
    assert_eq!(post(&token).header("sec-fetch-site", "cross-site").send().await.unwrap().status(), 403);
    assert_eq!(merchant.status("GUARD-1").await, "succeeded");
    assert_eq!(post(&token).header("sec-fetch-site", "same-origin").send().await.unwrap().status(), 303);
    becomes(&merchant, "GUARD-1", "refunded").await;

    // What a merchant or a buyer wrote is text and nothing else.
    let mut order = merchant.order("GUARD-2", 100);
    order["description"] = json!("<script>alert(1)</script>\"'&");
    merchant.create(&order).await.expect(201);
    for path in ["/payments", "/payments/bookshop/GUARD-2", "/payments?number=%3Cscript%3E&since=%22%3E"] {
        let page = client.get(url(path)).header("cookie", &cookie).send().await.unwrap().text().await.unwrap();
        assert!(!page.contains("<script>"), "{path}");
    }
    for path in [
        "/payments/bookshop/NOBODYS",
        "/payments/nobody/X-1",
        "/requests/bookshop/x/approve",
        "/requests/bookshop/x/dance",
    ] {
        assert_eq!(client.get(url(path)).header("cookie", &cookie).send().await.unwrap().status(), 404, "{path}");
    }

    // Where no token is configured nothing opens; and in public there is no console at all.
    let without = World::start().await;
    let closed = format!("{}/console/login", without.gateway.admin_url());
    assert!(client.get(&closed).send().await.unwrap().text().await.unwrap().contains("admin.token"));
    assert_eq!(client.post(&closed).form(&[("token", "")]).send().await.unwrap().status(), 403);
    assert_eq!(client.get(format!("{}/console", world.gateway.url())).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn what_cannot_be_done_any_more_is_said_in_the_readers_language() {
    let sink = Sink::start(Behaviour::Status(500)).await;
    let world = world(&sink).await;
    let (tenant, merchant) = world.bookshop();
    let buyer = Buyer::log_in(&world, &tenant).await;
    let mut order = merchant.order("SAID-1", 100);
    order["payer"] = json!({ "openid": buyer.openid });
    merchant.create(&order).await.expect(201);
    world.control.pay(&tenant, "SAID-1").await;
    becomes(&merchant, "SAID-1", "succeeded").await;
    let id = buyer.ask_refund("SAID-1", 100).await.expect(201)["id"].as_str().unwrap().to_owned();

    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let console = format!("{}/console", world.gateway.admin_url());
    let cookie = cookie_of(&client, &world.gateway.admin_url()).await;
    let get = async |path: &str, language: &str| {
        let cookie = format!("{cookie}; dukou_language={language}");
        client.get(format!("{console}{path}")).header("cookie", cookie).send().await.unwrap().text().await.unwrap()
    };
    // A page that asks, opened before somebody else decided.
    let reject = format!("/requests/bookshop/{id}/reject");
    let asking = get(&reject, "zh").await;
    let token = asking.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    merchant.post(&format!("/refund-requests/{id}/approve"), &json!({})).await.expect(200);
    for (language, decided, asks) in [("zh", "已同意", "确定吗"), ("en", "approved", "Are you sure")] {
        let late = format!("{cookie}; dukou_language={language}");
        let sent = client.post(format!("{console}{reject}")).header("cookie", late).form(&[("token", &token)]);
        let sent = sent.send().await.unwrap();
        assert_eq!(sent.status(), 409);
        let again = get(&format!("/requests/bookshop/{id}/approve"), language).await;
        for page in [sent.text().await.unwrap(), again] {
            assert!(page.contains(decided) && !page.contains(asks), "{page}");
            assert!(language == "en" || !page.contains("the request is"), "{page}");
        }
    }
    for (language, why) in [("zh", "应答 HTTP 500"), ("en", "answered HTTP 500")] {
        eventually("the failed try is listed", SOON, async || {
            get("/deliveries?tenant=bookshop", language).await.contains(why).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_went_wrong_of_late_stands_in_the_overview() {
    let world = World::builder().env("DUKOU__ADMIN__TOKEN", TOKEN).start().await;
    let (tenant, merchant) = world.bookshop();
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let admin = world.gateway.admin_url();
    let cookie = cookie_of(&client, &admin).await;
    let overview = async |language: &str| {
        let cookie = format!("{cookie}; dukou_language={language}");
        let page = client.get(format!("{admin}/console")).header("cookie", cookie).send().await.unwrap();
        page.text().await.unwrap()
    };
    assert!(!overview("zh").await.contains("（24 小时内）"));

    world.control.policy(&json!({ "auto_settle": false })).await;
    for (number, outcome, zh, en) in [
        (
            "WRONG-1",
            "CHANGE",
            "1 个退款异常，需在商户平台处理（24 小时内）",
            "1 refunds to handle on the merchant platform",
        ),
        ("WRONG-2", "REFUNDCLOSE", "1 个退款失败（24 小时内）", "1 refunds failed (last 24 hours)"),
    ] {
        paid(&world, number, 100).await;
        merchant.refund(number, &format!("R-{number}"), 40).await.expect(201);
        world.control.settle(&tenant, number, &format!("R-{number}"), outcome).await;
        for (language, words) in [("zh", zh), ("en", en)] {
            eventually("it stands in the overview", SOON, async || {
                overview(language).await.contains(words).then_some(())
            })
            .await;
        }
        assert!(overview("zh").await.contains(&format!("href=\"/console/payments/bookshop/{number}\"")), "{number}");
    }
    std::fs::write(world.gateway.config().join("tenants/broken.toml"), "id = 1").unwrap();
    eventually("the file that is wrong stands in the overview", SOON, async || {
        overview("zh").await.contains("1 个租户文件有错").then_some(())
    })
    .await;
    assert!(!overview("zh").await.contains("没有要处理的事"));
}

#[tokio::test]
async fn who_logged_out_is_out_everywhere_and_nobody_else_is() {
    let world = World::builder().env("DUKOU__ADMIN__TOKEN", TOKEN).start().await;
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let admin = world.gateway.admin_url();
    let get = async |cookie: &str| {
        client.get(format!("{admin}/console/tenants")).header("cookie", cookie).send().await.unwrap()
    };
    let [leaving, staying] = [cookie_of(&client, &admin).await, cookie_of(&client, &admin).await];
    assert_ne!(leaving, staying);
    let page = get(&leaving).await.text().await.unwrap();
    let token = page.split("name=\"token\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let leave = client.post(format!("{admin}/console/logout")).header("cookie", &leaving).form(&[("token", &token)]);
    assert_eq!(leave.send().await.unwrap().status(), 303);
    let (session, mark) = leaving.split_once('.').unwrap();
    for kept in [leaving.clone(), format!("{session}.{}", mark.to_uppercase())] {
        assert_eq!(get(&kept).await.status(), 303, "{kept}");
    }
    assert_eq!(get(&staying).await.status(), 200);
}

/// Somebody who was let in, as a browser without scripts.
async fn cookie_of(client: &reqwest::Client, admin: &str) -> String {
    let entered = client.post(format!("{admin}/console/login")).form(&[("token", TOKEN)]).send().await.unwrap();
    entered.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn what_is_not_known_is_named_and_nothing_else_is_shown_for_it() {
    let world = World::builder().env("DUKOU__ADMIN__TOKEN", TOKEN).start().await;
    let merchant = world.merchant("bookshop");
    merchant.pending("KNOWN-1", 100).await;
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let admin = world.gateway.admin_url();
    let cookie = cookie_of(&client, &admin).await;
    for (language, words) in [("zh", "没有这样的筛选"), ("en", "There is no such filter")] {
        let cookie = format!("{cookie}; dukou_language={language}");
        let page = async |path: &str| {
            let answer = client.get(format!("{admin}/console{path}")).header("cookie", &cookie).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            answer.text().await.unwrap()
        };
        for list in ["payments", "requests", "deliveries"] {
            for filter in ["tenant=nobody", "status=dancing", "since=yesterday", "cursor=first"] {
                let shown = page(&format!("/{list}?{filter}")).await;
                assert!(shown.contains(words) && shown.contains(filter), "{list} {filter}: {shown}");
                assert!(!shown.contains("KNOWN-1"), "{list} {filter}");
            }
        }
        let shown = page("/payments?tenant=bookshop&status=pending").await;
        assert!(!shown.contains(words) && shown.contains("KNOWN-1"), "{shown}");
    }
    // Back to an address, and to nothing that is none.
    for (back, expected) in [
        ("/console/payments?status=pending", "/console/payments?status=pending"),
        ("/console/\r\nset-cookie: a=b", "/console"),
        ("/console/支付", "/console"),
        ("https://elsewhere.example.com/console", "/console"),
    ] {
        let form = [("language", "en"), ("back", back)];
        let answer = client.post(format!("{admin}/console/language")).form(&form).send().await.unwrap();
        assert_eq!(answer.status(), 303, "{back:?}");
        assert_eq!(answer.headers()["location"], expected, "{back:?}");
    }
}

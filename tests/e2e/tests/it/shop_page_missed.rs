//! The demo's shop when its page did not hear everything: answers that come late or never, a decision made while
//! it was away, and orders beyond the newest.

use dukou_e2e::Browser;
use serde_json::Value;

use crate::shop_page::{NEWEST, asks_for_its_money, buys, demo};

/// From now on a payment is sent when `window.send()` is called, its answer is lost, or it goes as ever: as
/// `window.fate` says.
const HOLD: &str = "const real = window.fetch; window.fate = 'hold'; window.fetch = (url, options) => { \
    if (url !== '/wx/pay' || window.fate === 'tell') return real(url, options); \
    if (window.fate === 'lose') return real(url, options).then(() => { throw new TypeError('lost'); }); \
    return new Promise((tell) => { window.send = () => { const answer = real(url, options); tell(answer); \
        answer.then(() => setTimeout(() => { const heard = document.createElement('p'); \
            heard.id = heard.textContent = 'heard'; document.body.append(heard); })); }; }); };";

/// The shop's own server, as its page asks it.
struct Server {
    http: reqwest::Client,
    shop: String,
}

impl Server {
    fn new(shop: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        Server { http, shop: shop.trim_end_matches('/').to_owned() }
    }

    async fn desk(&self) -> Value {
        let answer = self.http.get(format!("{}/merchant/desk", self.shop)).send().await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    async fn post(&self, path: &str) {
        let request = self.http.post(format!("{}{path}", self.shop)).header("x-shop", "1");
        assert!(request.send().await.unwrap().status().is_success(), "{path}");
    }
}

async fn opened(shop: &str) -> Browser {
    let browser = Browser::start(1240, 900).await;
    browser.open(shop).await;
    browser.shows("#live.on", "实时").await;
    browser
}

#[tokio::test]
async fn an_answer_about_one_book_leaves_the_cashier_of_another_as_it_is() {
    let (_demo, shop) = demo().await;
    let browser = opened(&shop).await;
    browser.run(HOLD).await;
    buys(&browser, "ferry").await;
    browser.press("#cashier-pay").await;
    browser.press("#cashier-close").await;
    buys(&browser, "tea").await;
    browser.run("window.send();").await;
    browser.shows("#heard", "heard").await;
    browser.shows("#orders li:nth-child(2).succeeded .state", "已付款").await;
    assert_eq!(browser.run("return document.querySelector('#cashier-note').textContent;").await, "");
    assert_eq!(browser.text("#cashier-for").await, "渡口书店-《茶馆》");
    browser.run("window.fate = 'tell';").await;
    browser.press("#cashier-pay").await;
    browser.shows(&format!("{NEWEST}.succeeded .state"), "已付款").await;
}

#[tokio::test]
async fn a_book_whose_answer_was_lost_is_paid_all_the_same() {
    let (_demo, shop) = demo().await;
    let browser = opened(&shop).await;
    browser.run(HOLD).await;
    browser.run("window.fate = 'lose';").await;
    buys(&browser, "tea").await;
    browser.press("#cashier-pay").await;
    browser.shows("#notice", "支付成功").await;
    browser.shows(&format!("{NEWEST}.succeeded .state"), "已付款").await;
    assert_eq!(browser.run("return document.querySelector('#cashier').hidden;").await, true);
}

#[tokio::test]
async fn a_request_that_was_refused_while_the_page_was_away_can_be_made_again() {
    let (_demo, shop) = demo().await;
    let (browser, server) = (opened(&shop).await, Server::new(&shop));
    buys(&browser, "city").await;
    browser.press("#cashier-pay").await;
    browser.shows(&format!("{NEWEST}.succeeded .state"), "已付款").await;
    asks_for_its_money(&browser).await;
    browser.open("about:blank").await;
    let asked = server.desk().await["requests"][0]["id"].as_str().unwrap().to_owned();
    server.post(&format!("/merchant/refund-requests/{asked}/reject")).await;
    browser.open(&shop).await;
    browser.shows(&format!("{NEWEST} .state"), "商家未同意退款").await;
    browser.shows(&format!("{NEWEST} button"), "申请退款").await;
}

/// More than a page of the gateway's list.
#[tokio::test]
async fn the_desk_counts_every_order() {
    let (_demo, shop) = demo().await;
    let server = Server::new(&shop);
    let before = server.desk().await["orders"].as_array().unwrap().len();
    for _ in 0..110 {
        server.post("/orders/ferry").await;
    }
    assert_eq!(server.desk().await["orders"].as_array().unwrap().len(), before + 110);
}

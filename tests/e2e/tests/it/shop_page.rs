//! The demo's shop in a real browser, from the shelf to the money given back. Pictures of every step are left in
//! `target/screenshots`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dukou_e2e::{Browser, start_dukou};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

/// How long the demo may take to start and to walk.
const START: Duration = Duration::from_secs(60);

/// A running demo. It is killed when dropped, and what it then leaves goes with its folder.
pub struct Demo {
    _process: Child,
    _folder: TempDir,
}

/// The running demo and the address of its shop.
pub async fn demo() -> (Demo, String) {
    let folder = tempfile::tempdir().unwrap();
    let mut process = start_dukou(&["demo"], &[("TMPDIR", folder.path().to_str().unwrap())]);
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let address = timeout(START, async {
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some((_, address)) = line.split_once("shop").filter(|(before, _)| before.contains("商店")) {
                return address.trim().to_owned();
            }
        }
        panic!("the demo ended before it named its shop");
    });
    let address = address.await.expect("the demo names its shop in time");
    // What it says later is read too, so that it never waits for a reader.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (Demo { _process: process, _folder: folder }, address)
}

pub fn picture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/screenshots").join(format!("{name}.png"))
}

/// `¥28.50` in fen.
fn fen(yuan: &str) -> u64 {
    yuan.trim_start_matches('¥').replace('.', "").parse().unwrap()
}

fn yuan(fen: u64) -> String {
    format!("¥{}.{:02}", fen / 100, fen % 100)
}

/// The newest order's line on the phone.
pub const NEWEST: &str = "#orders li:first-child";

pub async fn buys(browser: &Browser, book: &str) {
    browser.press(&format!(".book.{book} .green")).await;
    browser.shows("#cashier .wechat", "微信支付").await;
}

pub async fn asks_for_its_money(browser: &Browser) {
    browser.press(&format!("{NEWEST} button")).await;
    browser.shows("#asking .heading", "申请退款").await;
    browser.press("#asking .orange").await;
    browser.shows(&format!("{NEWEST} .state"), "退款申请中").await;
}

/// What a friend does with the link: opens the page on a phone, goes to Douyin by its button, publishes.
async fn published_on_douyin(landing: &str, douyin: &str) {
    let phone = Browser::start(430, 932).await;
    phone.resize(390, 844, 2).await;
    phone.user_agent("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) Mobile/15E148 Safari/604.1").await;
    phone.open(landing).await;
    phone.shows("h1", "长河").await;
    let schema = phone.run("return document.querySelector('#open').href;").await;
    let (opener, _) = douyin.split_once("schema=").unwrap();
    let schema = percent_encoding::utf8_percent_encode(schema.as_str().unwrap(), percent_encoding::NON_ALPHANUMERIC);
    phone.open(&format!("{opener}schema={schema}")).await;
    phone.shows("#editor-title", "剪辑页").await;
    phone.screenshot(&picture("douyin-editor")).await;
    phone.press("#publish").await;
    phone.shows("#webhook", "已安排回调").await;
}

#[tokio::test]
async fn a_book_is_bought_paid_and_given_back() {
    let (_demo, shop) = demo().await;
    let browser = Browser::start(1240, 900).await;
    browser.resize(1240, 900, 1).await;
    browser.open(&shop).await;
    browser.run("window.sameDocument = true;").await;
    browser.shows("#live.on", "实时").await;
    browser.shows("#who", "微信用户").await;
    browser.shows("#sales", "部分退款").await;
    // What the demo's own walk sold before.
    let (taken, returned) = (fen(&browser.text("#taken").await), fen(&browser.text("#returned").await));
    browser.screenshot(&picture("1-shop")).await;

    buys(&browser, "ferry").await;
    assert_eq!(browser.text("#cashier-amount").await, "¥28.00");
    browser.screenshot(&picture("2-cashier")).await;
    browser.press("#cashier-pay").await;
    browser.shows(&format!("{NEWEST}.succeeded .state"), "已付款").await;
    browser.shows("#taken", &yuan(taken + 2800)).await;
    browser.shows("#events", "payment.succeeded").await;
    browser.screenshot(&picture("3-paid")).await;

    asks_for_its_money(&browser).await;
    browser.shows("#requests .request", "边城》 ¥28.00").await;
    browser.screenshot(&picture("4-asked")).await;
    browser.press("#requests .green").await;
    browser.shows(&format!("{NEWEST}.refunded .state"), "已退款").await;
    browser.shows("#returned", &yuan(returned + 2800)).await;
    browser.shows("#events", "refund.succeeded").await;
    browser.screenshot(&picture("5-refunded")).await;

    // Given up at the cashier, it can still be paid; and not every request is approved.
    buys(&browser, "tea").await;
    browser.press("#cashier-close").await;
    browser.shows(&format!("{NEWEST} .state"), "待付款").await;
    browser.press(&format!("{NEWEST} button")).await;
    browser.press("#cashier-pay").await;
    browser.shows(&format!("{NEWEST}.succeeded .state"), "已付款").await;
    asks_for_its_money(&browser).await;
    browser.press("#requests .plain").await;
    browser.shows(&format!("{NEWEST} .state"), "商家未同意退款").await;
    browser.shows("#returned", &yuan(returned + 2800)).await;

    // A book is shared, opened in Douyin by its landing page, published there, and the shop hears of it.
    browser.press(".book.river .share").await;
    browser.shows("#sharing-for", "长河").await;
    browser.screenshot(&picture("8-shared")).await;
    let landing = browser.run("return document.querySelector('#sharing-page').href;").await;
    let douyin = browser.run("return document.querySelector('#sharing-douyin').href;").await;
    published_on_douyin(landing.as_str().unwrap(), douyin.as_str().unwrap()).await;
    browser.shows("#sharing-note", "已发布到抖音").await;
    browser.shows("#events", "share.published").await;
    browser.screenshot(&picture("9-published")).await;
    browser.press("#sharing-close").await;

    // One more of each, for a picture with everything on it.
    buys(&browser, "city").await;
    browser.press("#cashier-pay").await;
    browser.shows(&format!("{NEWEST}.succeeded .state"), "已付款").await;
    asks_for_its_money(&browser).await;
    browser.shows("#requests .request", "呼兰河传").await;
    browser.screenshot(&picture("demo")).await;
    browser.press("#requests .green").await;
    browser.shows(&format!("{NEWEST}.refunded .state"), "已退款").await;
    browser.resize(390, 844, 2).await;
    browser.run("scrollTo(0, 0);").await;
    browser.screenshot(&picture("6-on-a-phone")).await;
    browser.run("document.querySelector('.desk').scrollIntoView();").await;
    browser.screenshot(&picture("7-desk-on-a-phone")).await;
    let wide = browser.run("return document.documentElement.scrollWidth > innerWidth;").await;
    assert_eq!(wide, false, "a phone must not have to scroll sideways");

    assert_eq!(browser.run("return window.sameDocument;").await, true, "the page was loaded anew");
    let console = browser.console().await;
    assert!(console.is_empty(), "{console:#?}");
    let requests = browser.requests().await;
    assert!(requests.len() > 20, "the log of requests was not read: {requests:?}");
    let elsewhere: Vec<&String> = requests.iter().filter(|url| !url.starts_with(&shop)).collect();
    assert!(elsewhere.is_empty(), "asked elsewhere: {elsewhere:?}");

    // Opened anew in the same window, it knows its orders and its user.
    browser.open(&shop).await;
    browser.shows(&format!("{NEWEST} .state"), "已退款").await;
}

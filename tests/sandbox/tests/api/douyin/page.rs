//! The page that plays the app.

use crate::support::Bench;

#[tokio::test]
async fn the_page_and_its_parts() {
    let bench = Bench::start();
    for (path, kind, part) in [
        ("/_sandbox/douyin", "text/html", "粘贴分享链接"),
        ("/_sandbox/douyin/open?schema=x", "text/html", "粘贴分享链接"),
        ("/_sandbox/douyin/style.css", "text/css", ".tile"),
        ("/_sandbox/douyin/script.js", "text/javascript", "发布"),
    ] {
        let response = bench.client.get(format!("{}{path}", bench.sandbox.http_url())).send().await.unwrap();
        let headers = response.headers().clone();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert!(headers["content-type"].to_str().unwrap().starts_with(kind), "{path}");
        assert!(response.text().await.unwrap().contains(part), "{path}");
    }
}

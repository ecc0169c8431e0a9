//! What the vectors leave open: each rule at its edges.

use super::*;
use proptest::prelude::*;

const APP: &str = "wx1a2b3c4d5e6f7081";

fn share() -> Share {
    Share { app_id: APP.to_owned(), image_url: Some("https://img.example.com/a.png".to_owned()), ..Share::default() }
}

fn code(share: &Share) -> &'static str {
    convert(share, &BTreeMap::new(), &Probes::new()).map_or_else(Refusal::code, |_| "")
}

fn converted(share: &Share) -> Converted {
    convert(share, &BTreeMap::new(), &Probes::new()).unwrap()
}

#[test]
fn media_are_public_https_or_named_in_the_refusal() {
    for (url, expected) in [
        ("https://img.example.com/a.png", ""),
        ("HTTPS://IMG.EXAMPLE.COM/a.png#part", ""),
        ("https://8.8.8.8/a.png", ""),
        ("https://[2606:4700:4700::1111]/a.png", ""),
        ("wxfile://tmp_1.png", "E_MEDIA_NOT_PUBLIC"),
        ("/img/x.png", "E_MEDIA_NOT_PUBLIC"),
        ("data:image/png;base64,iVBORw0KGgo=", "E_MEDIA_NOT_PUBLIC"),
        ("javascript:alert(1)", "E_MEDIA_NOT_PUBLIC"),
        ("file:///etc/passwd", "E_MEDIA_NOT_PUBLIC"),
        ("https://localhost/a.png", "E_MEDIA_NOT_PUBLIC"),
        ("https://cdn.localhost/a.png", "E_MEDIA_NOT_PUBLIC"),
        ("https://intranet/a.png", "E_MEDIA_NOT_PUBLIC"),
        ("https://intranet./a.png", "E_MEDIA_NOT_PUBLIC"),
        ("http://tmp/a.png", "E_MEDIA_NOT_PUBLIC"),
        ("https://127.0.0.1/a.png", "E_MEDIA_NOT_PUBLIC"),
        ("https://2130706433/a.png", "E_MEDIA_NOT_PUBLIC"),
        ("https://0x7f.1/a.png", "E_MEDIA_NOT_PUBLIC"),
        ("https://10.1.2.3/a.png", "E_MEDIA_NOT_PUBLIC"),
        ("https://169.254.169.254/latest/meta-data/", "E_MEDIA_NOT_PUBLIC"),
        ("https://[::1]/a.png", "E_MEDIA_NOT_PUBLIC"),
        ("https://[::ffff:10.0.0.1]/a.png", "E_MEDIA_NOT_PUBLIC"),
        ("https://user@img.example.com/a.png", "E_MEDIA_URL"),
        ("https://u:p@127.0.0.1/a.png", "E_MEDIA_URL"),
        ("http://img.example.com/a.png", "E_MEDIA_NOT_HTTPS"),
        ("", "E_NO_MEDIA"),
    ] {
        let image = Share { image_url: Some(url.to_owned()), ..share() };
        assert_eq!(code(&image), expected, "{url}");
        if !expected.is_empty() && expected != "E_NO_MEDIA" {
            let video = Share { video_url: Some(url.to_owned()), ..share() };
            let refused = convert(&video, &BTreeMap::new(), &Probes::new()).unwrap_err();
            assert_eq!(refused.problem().field, "video_url", "{url}");
            let album = Share { image_urls: vec!["https://a.example/1.png".into(), url.to_owned()], ..share() };
            let refused = convert(&album, &BTreeMap::new(), &Probes::new()).unwrap_err().problem();
            assert_eq!(refused.field, "image_urls");
            assert!(refused.message.contains("image 2"), "{}", refused.message);
        }
    }
}

#[test]
fn albums_have_twelve_images_and_one_is_no_album() {
    let album = |count: usize| Share {
        image_urls: (0..count).map(|n| format!("https://a.example/{n}.png")).collect(),
        ..share()
    };
    assert_eq!(converted(&album(1)).params["image_path"], "https://a.example/0.png");
    assert_eq!(
        converted(&album(2)).params["image_list_path"],
        r#"["https://a.example/0.png","https://a.example/1.png"]"#
    );
    assert_eq!(code(&album(12)), "");
    assert_eq!(code(&album(13)), "E_TOO_MANY_IMAGES");
}

#[test]
fn what_the_servers_say_counts() {
    let said = |kind: &str, length| Probed { content_type: Some(kind.to_owned()), length: Some(length) };
    let one = |probed| Probes::from([("https://img.example.com/a.png".to_owned(), probed)]);
    for (probed, expected) in [
        (said("image/gif", 20_971_520), ""),
        (said("IMAGE/PNG; charset=binary", 1), ""),
        (said("image/gif", 20_971_521), "E_MEDIA_TOO_LARGE"),
        (said("text/html", 1), "E_MEDIA_TYPE"),
        (said("image/svg+xml", 1), "E_MEDIA_TYPE"),
        (Probed::default(), ""),
    ] {
        let result = convert(&share(), &BTreeMap::new(), &one(probed.clone()));
        assert_eq!(result.map_or_else(Refusal::code, |_| ""), expected, "{probed:?}");
    }
    // An album takes no moving images.
    let album =
        Share { image_urls: vec!["https://img.example.com/a.png".into(), "https://a.example/b.png".into()], ..share() };
    let refused = convert(&album, &BTreeMap::new(), &one(said("image/gif", 1)));
    assert_eq!(refused.map_err(Refusal::code), Err("E_MEDIA_TYPE"));
}

#[test]
fn titles_are_cleaned_and_cut_in_plain_sight() {
    for (title, expected, warnings) in [
        ("\u{0}边\u{1b}[31m城\r\n", "边 [31m城", &[][..]),
        ("<b>边城</b> & \"茶馆\"", "<b>边城</b> & \"茶馆\"", &[]),
        ("看 HTTPS://wxaurl.cn/x 这里", "看 这里", &["links_stripped"]),
        ("#小程序://书店/abc 边城", "边城", &["links_stripped"]),
        ("weixin://dl/business/?t=1", "", &["links_stripped"]),
        ("snssdk1128://openplatform/share?x=1 好", "好", &["links_stripped"]),
        ("   ", "", &[]),
    ] {
        let converted = converted(&Share { title: Some(title.to_owned()), ..share() });
        assert_eq!(converted.params.get("title").map_or("", String::as_str), expected, "{title:?}");
        assert_eq!(converted.warnings, warnings, "{title:?}");
    }
    let long = |length: usize| converted(&Share { title: Some("长".repeat(length)), ..share() });
    assert_eq!(long(1000).params["title"].chars().count(), 1000);
    let cut = long(1001);
    assert_eq!((cut.params["title"].chars().count(), cut.warnings), (1000, vec!["title_truncated"]));
    assert!(cut.params["title"].ends_with("长…"));
}

#[test]
fn hashtags_are_five_without_their_marks() {
    let tags =
        |tags: &[&str]| converted(&Share { hashtags: tags.iter().map(|tag| (*tag).to_owned()).collect(), ..share() });
    assert_eq!(tags(&["＃读书#", "读 书", "#", " "]).params["hashtag_list"], r#"["读书"]"#);
    let many = tags(&["1", "2", "3", "4", "5", "6"]);
    assert_eq!(
        (many.params["hashtag_list"].as_str(), many.warnings),
        (r#"["1","2","3","4","5"]"#, vec!["hashtags_truncated"])
    );
    assert!(!tags(&[]).params.contains_key("hashtag_list"));
}

#[test]
fn pages_are_those_of_the_douyin_mini_program() {
    let app = |pages: &[(&str, &str)]| App {
        app_id: "tt226e54d3bd581bf8".to_owned(),
        title: "小店\"".to_owned(),
        description: String::new(),
        pages: pages.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect(),
    };
    let url = |app: App, path: &str, query: Option<&str>| {
        let share = Share { path: Some(path.to_owned()), query: query.map(str::to_owned), ..share() };
        let converted = convert(&share, &BTreeMap::from([(APP.to_owned(), app)]), &Probes::new())?;
        let info = converted.params.get("micro_app_info").cloned().unwrap_or_default();
        Ok::<_, Refusal>((
            serde_json::from_str::<serde_json::Value>(&info)
                .map_or(String::new(), |info| info["appUrl"].as_str().unwrap().to_owned()),
            converted.warnings,
        ))
    };
    let plain = |text: &str| Ok((text.to_owned(), vec![]));
    assert_eq!(url(app(&[]), "/pages/a.html?id=1", Some("b=2")), plain("pages/a?id=1&b=2"));
    assert_eq!(url(app(&[]), "", Some("b=2")), plain(""));
    assert_eq!(url(app(&[("pages/a", "x/y")]), "pages/a", None), plain("x/y"));
    assert_eq!(url(app(&[("default", "home")]), "pages/zzz?q=1", None), plain("home?q=1"));
    assert_eq!(url(app(&[("pages/a", "x")]), "pages/b", None), Ok((String::new(), vec!["path_unmapped"])));
    assert_eq!(url(app(&[]), "pages/../../etc", None), Err(Refusal::Path));
    assert_eq!(url(app(&[]), "pages/书", None), Err(Refusal::Path));
    assert_eq!(url(app(&[]), &format!("p?{}", "q".repeat(1022)), None).map(|_| ()), Ok(()));
    assert_eq!(url(app(&[]), &format!("p?{}", "q".repeat(1023)), None), Err(Refusal::PathTooLong));
    let bad = App { app_id: "tt1".to_owned(), ..app(&[]) };
    assert_eq!(url(bad, "pages/a", None), Err(Refusal::DouyinAppId));
}

#[test]
fn nothing_of_wechats_reaches_douyin() {
    let converted = converted(&Share {
        scene: Some("1044".into()),
        path: Some("pages/a?token=1".into()),
        query: Some("b=2".into()),
        ..share()
    });
    let all = format!("{converted:?}");
    assert!(!all.contains("wx1a2b") && !all.contains("1044") && !all.contains("token"), "{all}");
}

proptest! {
    #[test]
    fn whatever_comes_is_converted_or_refused(
        title in ".{0,40}", path in ".{0,30}", url in ".{0,30}", tag in ".{0,10}",
    ) {
        let app = App { app_id: "tt226e54d3bd581bf8".to_owned(), ..App::default() };
        let share = Share {
            title: Some(title), path: Some(path), image_url: Some(format!("https://a.example/{url}")),
            hashtags: vec![tag], ..share()
        };
        let apps = BTreeMap::from([(APP.to_owned(), app)]);
        if let Ok(converted) = convert(&share, &apps, &Probes::new()) {
            let title = converted.params.get("title").cloned().unwrap_or_default();
            prop_assert!(!title.chars().any(char::is_control));
            prop_assert!(converted.params["image_path"].is_ascii());
        }
    }
}

//! The project's vectors of sharing and webhooks, against this crate's reading of the protocol.

use std::collections::BTreeMap;

use serde_json::Value;

use super::content::{Content, MediaKind};
use super::schema::{self, given};
use super::sign;

fn vectors(kind: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../../testdata/douyin.json")).unwrap();
    let all = file["vectors"].as_array().unwrap();
    let found: Vec<Value> = all.iter().filter(|vector| vector["kind"] == kind).cloned().collect();
    assert!(!found.is_empty(), "no vectors of kind {kind}");
    found
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("{name} is missing in {value}"))
}

#[test]
fn share_signatures() {
    for vector in vectors("share_signature") {
        let input = &vector["input"];
        let got = sign::share(text(input, "ticket"), text(input, "nonce_str"), text(input, "timestamp"));
        assert_eq!(got, text(&vector["expected"], "signature"), "{}", vector["id"]);
    }
}

#[test]
fn schemas_are_read_back_and_their_signature_is_right() {
    for vector in vectors("share_schema_url") {
        let (input, expected) = (&vector["input"], &vector["expected"]);
        let mut got = schema::read(text(expected, "url")).unwrap();
        let signature = got.remove("signature").unwrap();
        assert_eq!(signature, text(expected, "signature"), "{}", vector["id"]);
        assert_eq!(signature, sign::share(text(input, "ticket"), &got["nonce_str"], &got["timestamp"]));
        assert_eq!(got.remove("share_type").as_deref(), Some("h5"), "{}", vector["id"]);
        let sent: BTreeMap<String, String> = serde_json::from_value(input["params"].clone()).unwrap();
        let sent: BTreeMap<_, _> = sent.into_iter().filter(|(_, value)| !value.is_empty()).collect();
        assert_eq!(got, sent, "{}", vector["id"]);
    }
}

#[test]
fn schemas_say_what_is_published() {
    let contents: Vec<Content> = vectors("share_schema_url")
        .iter()
        .map(|vector| Content::read(&schema::read(text(&vector["expected"], "url")).unwrap()).unwrap())
        .collect();
    assert_eq!(contents[0].media.kind, MediaKind::Video);
    assert_eq!(contents[0].media.urls, ["https://cdn.example.com/v/a%20b.mp4?sign=x%2By&e=1"]);
    assert_eq!(
        (contents[0].title.as_str(), contents[0].hashtags.as_slice()),
        ("新品 上架! 50% off & 包邮", ["好物".to_owned(), "开箱".to_owned()].as_slice())
    );
    assert_eq!(contents[1].media.kind, MediaKind::Images);
    assert!(contents[1].note && contents[1].media.urls.len() == 2 && contents[1].title == "it's (ok)~*");
}

#[test]
fn webhook_signatures() {
    for vector in vectors("webhook_signature") {
        let input = &vector["input"];
        let got = sign::webhook(text(input, "client_secret"), text(input, "raw_body").as_bytes());
        assert_eq!(got, text(&vector["expected"], "x_douyin_signature"), "{}", vector["id"]);
    }
    for vector in vectors("webhook_verify") {
        let input = &vector["input"];
        let got = sign::webhook(text(input, "client_secret"), text(input, "raw_body").as_bytes());
        let valid = sign::equal(&got, text(input, "x_douyin_signature"));
        assert_eq!(valid, vector["expected"]["valid"], "{}", vector["id"]);
    }
}

#[test]
fn refused_schemas() {
    let cases = [
        ("https://example.com/share?share_type=h5", "must begin with"),
        ("snssdk1128://openplatform/share?title=%E4%B8", "title: must be percent-encoded"),
        ("snssdk1128://openplatform/share?title=a%2", "title: must be percent-encoded"),
        ("snssdk1128://openplatform/share?title=%zz", "title: must be percent-encoded"),
        ("snssdk1128://openplatform/share?title=书", "title: must be percent-encoded"),
        ("snssdk1128://openplatform/share?title=a b", "title: must be percent-encoded"),
        ("snssdk1128://openplatform/share?title=a&title=a", "title: is there twice"),
        ("snssdk1128://openplatform/share?title", "= is missing"),
    ];
    for (url, expected) in cases {
        let refused = schema::read(url).unwrap_err();
        assert!(refused.reason == "parameter" && refused.detail.contains(expected), "{url}: {refused:?}");
    }
    let long = format!("snssdk1128://openplatform/share?title={}", "a".repeat(17_000));
    assert!(schema::read(&long).unwrap_err().detail.contains("at most"));
    let plus = schema::read("snssdk1128://openplatform/share?title=a+b%20c&poi_id=").unwrap();
    assert_eq!((plus["title"].as_str(), given(&plus, "poi_id")), ("a+b c", None));
}

/// Parameters, the reason of the refusal, and a part of its detail.
type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);

#[test]
fn refused_contents() {
    let video = ("video_path", "https://cdn.example.com/v.mp4");
    let cases: [Case<'_>; 13] = [
        (&[], "media", "one of video_path"),
        (&[("video_path", "http://cdn.example.com/v.mp4")], "media", "must be an https URL"),
        (&[("image_path", "/img/x.png")], "media", "image_path"),
        (&[("image_path", "https://cdn.example.com/书.png")], "media", "percent-encoded"),
        (&[("image_list_path", "[]")], "media", "has 0 URLs"),
        (&[("image_list_path", "https://cdn.example.com/a.png")], "parameter", "image_list_path: must be a JSON array"),
        (&[video, ("hashtag_list", "读书")], "parameter", "hashtag_list: must be a JSON array"),
        (
            &[video, ("micro_app_info", "{\"appId\":\"wx8888888888888888\"}")],
            "parameter",
            "appId is wx8888888888888888",
        ),
        (
            &[video, ("title", "a"), ("title_hashtag_list", "[{\"name\":\"b\",\"start\":2}]")],
            "parameter",
            "starts at 2",
        ),
        (&[video, ("share_to_publish", "true")], "parameter", "share_to_publish: is true; it must be 0 or 1"),
        (&[video, ("share_to_type", "2")], "parameter", "share_to_type"),
        (&[video, ("download_type", "0")], "parameter", "download_type: is 0; it must be 1 or 2"),
        (&[video, ("private_status", "3")], "parameter", "private_status"),
    ];
    for (parameters, reason, detail) in cases {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let refused = Content::read(&parameters).unwrap_err();
        assert!(refused.reason == reason && refused.detail.contains(detail), "{parameters:?}: {refused:?}");
    }
}

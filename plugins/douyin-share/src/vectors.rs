//! The protocol's test vectors.

use std::collections::BTreeMap;

use dukou_domain::Secret;
use serde_json::{Value, json};

use crate::convert::{App, Probed, Probes, Share, Target, convert};
use crate::message::Message;
use crate::sign;

fn vectors(kind: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../testdata/douyin-share.json")).unwrap();
    let all = file["vectors"].as_array().unwrap();
    let chosen: Vec<Value> = all.iter().filter(|vector| vector["kind"] == kind).cloned().collect();
    assert!(!chosen.is_empty(), "no vector of {kind}");
    chosen
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn secret(value: &Value) -> Secret {
    Secret::new(text(value))
}

#[test]
fn share_signatures() {
    for vector in vectors("share_signature") {
        let input = &vector["input"];
        let signature =
            sign::share_signature(&secret(&input["ticket"]), &text(&input["nonce_str"]), &text(&input["timestamp"]));
        assert_eq!(signature, text(&vector["expected"]["signature"]), "{}", vector["id"]);
    }
}

#[test]
fn share_schemas() {
    for vector in vectors("share_schema_url") {
        let params = vector["input"]["params"].as_object().unwrap();
        let params: BTreeMap<String, String> = params.iter().map(|(name, value)| (name.clone(), text(value))).collect();
        let schema = sign::schema(&secret(&vector["input"]["ticket"]), params);
        assert_eq!(schema, text(&vector["expected"]["url"]), "{}", vector["id"]);
    }
}

#[test]
fn webhook_signatures() {
    for vector in vectors("webhook_signature") {
        let (key, body) = (secret(&vector["input"]["client_secret"]), text(&vector["input"]["raw_body"]));
        let expected = text(&vector["expected"]["x_douyin_signature"]);
        assert_eq!(sign::webhook_signature(&key, body.as_bytes()), expected, "{}", vector["id"]);
        assert!(sign::verify_webhook(&key, body.as_bytes(), &expected).is_some());
        assert!(sign::verify_webhook(&Secret::new("another"), body.as_bytes(), &expected).is_none());
        assert!(sign::verify_webhook(&key, format!("{body} ").as_bytes(), &expected).is_none());
    }
    for vector in vectors("webhook_verify") {
        let input = &vector["input"];
        let body = text(&input["raw_body"]);
        let valid = sign::verify_webhook(
            &secret(&input["client_secret"]),
            body.as_bytes(),
            &text(&input["x_douyin_signature"]),
        );
        assert_eq!(valid.is_some(), vector["expected"]["valid"] == true, "{}", vector["id"]);
    }
}

#[test]
fn challenges() {
    for vector in vectors("webhook_challenge_reply") {
        let message = Message::read(text(&vector["input"]["raw_body"]).as_bytes()).unwrap();
        assert_eq!(message.event, "verify_webhook");
        let reply = json!({ "challenge": message.content["challenge"] });
        assert_eq!(reply, vector["expected"]["body_json"], "{}", vector["id"]);
    }
}

fn share(value: &Value) -> Share {
    let optional = |name: &str| value[name].as_str().map(str::to_owned);
    let list = |name: &str| value[name].as_array().into_iter().flatten().map(text).collect();
    Share {
        app_id: text(&value["app_id"]),
        title: optional("title"),
        path: optional("path"),
        query: optional("query"),
        image_url: optional("image_url"),
        image_urls: list("image_urls"),
        video_url: optional("video_url"),
        hashtags: list("hashtags"),
        poi_id: optional("poi_id"),
        scene: optional("scene"),
        target: match value["target"].as_str() {
            Some("publish") => Some(Target::Publish),
            Some("edit") => Some(Target::Edit),
            Some("daily") => Some(Target::Daily),
            _ => None,
        },
    }
}

#[test]
fn conversions() {
    for vector in vectors("wechat_to_douyin_convert") {
        let input = &vector["input"];
        let map = |value: &Value| -> BTreeMap<String, String> {
            value.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect()
        };
        let apps = input["app_map"].as_object().into_iter().flatten().map(|(wechat, app)| {
            let app = App {
                app_id: text(&app["dy_app_id"]),
                title: text(&app["dy_app_title"]),
                description: text(&app["dy_description"]),
                pages: map(&app["path_map"]),
            };
            (wechat.clone(), app)
        });
        let probes: Probes = input["probe"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(url, said)| {
                let content_type = said["content_type"].as_str().map(str::to_owned);
                (url.clone(), Probed { content_type, length: said["length"].as_u64() })
            })
            .collect();
        let expected = &vector["expected"];
        match convert(&share(&input["share"]), &apps.collect(), &probes) {
            Ok(converted) => {
                assert_eq!(expected["ok"], true, "{}", vector["id"]);
                assert_eq!(converted.params, map(&expected["params"]), "{}", vector["id"]);
                assert_eq!(json!(converted.warnings), expected["warnings"], "{}", vector["id"]);
            }
            Err(refusal) => {
                assert_eq!(expected["ok"], false, "{}: {refusal:?}", vector["id"]);
                assert_eq!(refusal.code(), text(&expected["error"]), "{}", vector["id"]);
            }
        }
    }
}

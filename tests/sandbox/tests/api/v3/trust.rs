//! The platform's keys: certificates that rotate, the public key, and merchants on their way to it.

use serde_json::{Value, json};

use super::support::{OTHER_KEY, Shop, decrypt};
use crate::support::Receiver;

async fn serials(shop: &Shop, answers: usize) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..answers {
        let answer = shop.query("T20260704150000").await;
        assert!(shop.is_signed(&answer));
        all.push(answer.header("wechatpay-serial").to_owned());
    }
    all
}

/// What `/v3/certificates` says: serial and decrypted certificate.
async fn listed(shop: &Shop) -> Vec<(String, String)> {
    let answer = shop.get("/v3/certificates").await;
    assert!(answer.status == 200 && shop.is_signed(&answer), "{}", answer.json());
    let body = answer.json();
    let all = body["data"].as_array().unwrap().iter();
    all.map(|one| {
        let sealed = &one["encrypt_certificate"];
        assert_eq!(
            (&sealed["associated_data"], &sealed["algorithm"]),
            (&json!("certificate"), &json!("AEAD_AES_256_GCM"))
        );
        let serial = one["serial_no"].as_str().unwrap().to_owned();
        assert!(serial.len() == 40 && serial == serial.to_uppercase(), "{serial}");
        (serial, decrypt(OTHER_KEY, sealed).unwrap())
    })
    .collect()
}

#[tokio::test]
async fn certificates_are_downloaded_and_chain_to_the_authority() {
    let shop = Shop::with_certificates();
    let all = listed(&shop).await;
    assert_eq!(all, shop.bench.sandbox.platform_certificates().unwrap());
    let der = |pem: &str| x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents;
    let (one, ca) = (der(&all[0].1), der(&shop.bench.sandbox.ca_pem()));
    let (one, ca) =
        (x509_parser::parse_x509_certificate(&one).unwrap().1, x509_parser::parse_x509_certificate(&ca).unwrap().1);
    assert_eq!(one.issuer(), ca.subject());
    assert!(!one.is_ca() && one.validity().is_valid());
    let serial: String = one.raw_serial().iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(serial, all[0].0);
    assert_eq!(shop.get("/v3/certificates?algorithm_type=ALL").await.status, 200);
    assert_eq!(shop.get("/v3/certificates?algorithm_type=SM2").await.code(), "404 RESOURCE_NOT_EXISTS");
    assert_eq!(shop.get("/v3/certificates?algorithm_type=DSA").await.code(), "400 PARAM_ERROR");
}

#[tokio::test]
async fn a_certificate_takes_over_share_by_share() {
    let shop = Shop::with_certificates();
    let old = listed(&shop).await[0].0.clone();
    let made = shop.bench.must("/v3/certificates", json!({ "lasts_seconds": 3600 })).await;
    let new = made["serial"].as_str().unwrap().to_owned();
    assert_eq!(listed(&shop).await.iter().map(|one| one.0.clone()).collect::<Vec<_>>(), [old.clone(), new.clone()]);
    assert_eq!(serials(&shop, 5).await, vec![old.clone(); 5], "a new one signs nothing yet");

    let path = format!("/v3/certificates/{new}");
    shop.bench.must(&path, json!({ "share": 0.5 })).await;
    let mixed = serials(&shop, 40).await;
    assert!(mixed.contains(&old) && mixed.contains(&new), "{mixed:?}");
    shop.bench.must(&path, json!({ "share": 1 })).await;
    assert_eq!(serials(&shop, 5).await, vec![new.clone(); 5]);

    // The old one ends: it is no longer listed, and a list that shows it says so.
    let path = format!("/v3/certificates/{old}");
    let ended = shop.bench.must(&path, json!({ "expire": true })).await;
    assert_eq!(ended["listed"], false);
    assert_eq!(listed(&shop).await.len(), 1);
    shop.bench.must(&path, json!({ "listed": true })).await;
    let (_, pem) = listed(&shop).await.into_iter().find(|one| one.0 == old).unwrap();
    let der = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).unwrap();
    assert!(!certificate.validity().is_valid());

    for (path, body, status) in [
        ("/v3/certificates/00".to_owned(), json!({ "share": 1 }), 404),
        (path, json!({ "share": 2 }), 400),
        ("/v3/certificates".to_owned(), json!({ "share": -1 }), 400),
        ("/v3/trust".to_owned(), json!({ "mch_id": "0", "mode": "certificate" }), 404),
        ("/v3/trust".to_owned(), json!({ "mch_id": shop.mch_id, "mode": "none" }), 400),
    ] {
        assert_eq!(shop.bench.control(&path, body).await.0, status, "{path}");
    }
    shop.bench.must("/reset", json!({})).await;
    assert_eq!(listed(&shop).await.iter().map(|one| one.0.clone()).collect::<Vec<_>>(), std::slice::from_ref(&old));
    assert_eq!(serials(&shop, 2).await, vec![old; 2]);
}

#[tokio::test]
async fn a_new_certificate_is_first_seen_in_a_notification() {
    let shop = Shop::with_certificates();
    let receiver = Receiver::start(|_| (200, String::new())).await;
    let old = listed(&shop).await[0].0.clone();
    let new = shop.bench.must("/v3/certificates", json!({})).await["serial"].as_str().unwrap().to_owned();
    shop.bench.must(&format!("/v3/certificates/{new}"), json!({ "notifies": 1 })).await;
    shop.prepay("T20260704150001", &receiver.url).await;
    shop.pay("T20260704150001", json!({})).await;
    assert_eq!(receiver.requests(1).await[0].header("wechatpay-serial"), new);
    assert_eq!(serials(&shop, 3).await, vec![old; 3]);
}

#[tokio::test]
async fn public_key_mode_has_no_certificates() {
    let mut shop = Shop::open();
    let answer = shop.get("/v3/certificates").await;
    assert_eq!(answer.code(), "404 RESOURCE_NOT_EXISTS");
    assert!(answer.json()["message"].as_str().unwrap().starts_with("无可用的平台证书"));
    let id = answer.header("wechatpay-serial").to_owned();
    assert!(
        id.starts_with("PUB_KEY_ID_") && id["PUB_KEY_ID_".len()..].bytes().all(|byte| byte.is_ascii_digit()),
        "{id}"
    );
    shop.asks_for = Some("A".repeat(40));
    assert_eq!(serials(&shop, 2).await, vec![id; 2], "whatever the request asks for");
}

#[tokio::test]
async fn a_merchant_moves_to_the_public_key() {
    let mut shop = Shop::with_certificates();
    let receiver = Receiver::start(|_| (200, String::new())).await;
    let certificate = listed(&shop).await[0].0.clone();
    let id = shop.bench.sandbox.platform_public_key(&shop.mch_id).unwrap().id;
    shop.asks_for = Some(id.clone());
    assert_eq!(serials(&shop, 2).await, vec![certificate.clone(); 2], "not before the move has begun");

    let trust = |mode: &str, share: f64| json!({ "mch_id": shop.mch_id, "mode": mode, "notify_share": share });
    let state = shop.bench.must("/v3/trust", trust("switching", 0.0)).await;
    let own = state["merchants"].as_array().unwrap().iter().find(|one| one["mch_id"] == shop.mch_id).unwrap();
    assert_eq!((&own["mode"], &own["public_key_id"]), (&json!("switching"), &json!(id)));
    assert_eq!(serials(&shop, 2).await, vec![id.clone(); 2]);
    shop.asks_for = None;
    assert_eq!(serials(&shop, 2).await, vec![certificate.clone(); 2]);

    shop.prepay("T20260704150101", &receiver.url).await;
    shop.pay("T20260704150101", json!({ "notify": false })).await;
    let path = format!("/orders/{}/T20260704150101/notify", shop.mch_id);
    let mut seen = Vec::new();
    for (share, copies) in [(0.0, 3), (0.5, 40), (1.0, 3)] {
        shop.bench
            .must("/v3/trust", json!({ "mch_id": shop.mch_id, "mode": "switching", "notify_share": share }))
            .await;
        let before = receiver.count();
        shop.bench.must(&path, json!({ "copies": copies })).await;
        let all = receiver.requests(before + copies).await;
        seen.push(all[before..].iter().map(|one| one.header("wechatpay-serial").to_owned()).collect::<Vec<_>>());
    }
    assert_eq!(seen[0], vec![certificate.clone(); 3]);
    assert!(seen[1].contains(&certificate) && seen[1].contains(&id));
    assert_eq!(seen[2], vec![id.clone(); 3]);

    shop.bench.must("/v3/trust", json!({ "mch_id": shop.mch_id, "mode": "public_key" })).await;
    assert_eq!(serials(&shop, 2).await, vec![id; 2]);
    assert_eq!(shop.get("/v3/certificates").await.code(), "404 RESOURCE_NOT_EXISTS");
    let unknown: Value = shop.bench.look("/v3/trust").await;
    assert_eq!(unknown["certificates"].as_array().unwrap().len(), 1);
}

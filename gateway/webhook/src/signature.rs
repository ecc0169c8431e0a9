//! Signatures of Standard Webhooks 1.0: HMAC-SHA256 over `id.timestamp.body`.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dukou_domain::Secret;

/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// The value of `webhook-signature`: one signature by each secret, so that a receiver that knows
/// either of two takes the message. `None` when there is no secret or one that is not `whsec_` and
/// base64.
pub fn sign(secrets: &[Secret], id: &str, seconds: i64, body: &[u8]) -> Option<String> {
    let signed = [format!("{id}.{seconds}.").as_bytes(), body].concat();
    let signatures: Vec<String> = secrets
        .iter()
        .map(|secret| {
            let key = STANDARD.decode(secret.expose().strip_prefix(PREFIX)?).ok()?;
            let digest = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &signed);
            Some(format!("v1,{}", STANDARD.encode(digest)))
        })
        .collect::<Option<_>>()?;
    (!signatures.is_empty()).then(|| signatures.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use reqwest::header as http;

    #[test]
    fn the_specifications_own_example_comes_out() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature = sign(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    proptest! {
        #[test]
        fn the_reference_library_takes_it(key in prop::collection::vec(any::<u8>(), 24..=64), body in "\\PC{0,200}") {
            let text = format!("whsec_{}", STANDARD.encode(&key));
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
            let signature = sign(&[Secret::new("whsec_b3RoZXI="), Secret::new(&*text)], "evt_1", now as i64, body.as_bytes());
            let mut headers = http::HeaderMap::new();
            headers.insert("webhook-id", "evt_1".parse().unwrap());
            headers.insert("webhook-timestamp", now.to_string().parse().unwrap());
            headers.insert("webhook-signature", signature.unwrap().parse().unwrap());
            let reference = standardwebhooks::Webhook::new(&text).unwrap();
            prop_assert!(reference.verify(body.as_bytes(), &headers).is_ok());
            let other = format!("{body}.");
            prop_assert!(reference.verify(other.as_bytes(), &headers).is_err());
        }
    }

    #[test]
    fn two_secrets_sign_side_by_side_and_a_broken_one_signs_nothing() {
        let (one, other) = (Secret::new("whsec_b25l"), Secret::new("whsec_b3RoZXI="));
        let both = sign(&[one.clone(), other.clone()], "evt_1", 1, b"{}").unwrap();
        let alone = |secret| sign(&[secret], "evt_1", 1, b"{}").unwrap();
        assert_eq!(both, format!("{} {}", alone(one.clone()), alone(other)));
        for broken in ["", "b25l", "whsec_?", "sk-one"] {
            assert_eq!(sign(&[one.clone(), Secret::new(broken)], "evt_1", 1, b"{}"), None, "{broken}");
        }
        assert_eq!(sign(&[], "evt_1", 1, b"{}"), None);
    }
}

use std::net::IpAddr;

use dukou_domain::{Method, ProviderName};
use dukou_engine::{InvokePayment, Payer, SessionClaims};
use serde_json::Value;
use utoipa::ToSchema;

use super::PayerBody;
use super::payment_request::{read_client_ip, read_payer};
use crate::fields::Fields;
use crate::problem::FieldError;

const METHODS: &str = "jsapi, native, app or h5";

/// How an unpaid payment is to be paid.
//
// Only documents the body; `read_invoke` and `read_buyers_invoke` read it, field by field.
#[derive(ToSchema)]
#[schema(as = InvokePayment, example = json!({
    "provider": "wechat", "method": "h5", "client_ip": "203.0.113.9",
}))]
#[allow(dead_code, reason = "a schema: nothing makes a value of it")]
pub struct InvokePaymentBody {
    /// The tenant's own name for one of its providers. With a session token: that of the session, or
    /// left out.
    #[schema(example = "wechat")]
    provider: Option<String>,
    /// `jsapi`, `native`, `app` or `h5`. With a session token it may be left out: `jsapi`.
    method: Option<String>,
    /// Only with an API key; left out, the payer named last, where the provider stays the same and the method needs one.
    payer: Option<PayerBody>,
    /// Only with an API key: the payer's address; left out, the payment's, which may be the backend's own. By `h5` the
    /// platform compares it with the phone's. With a session token it is the address that such a call came from.
    client_ip: Option<String>,
}

/// Reads what a backend sends.
///
/// # Errors
/// Every field that is wrong.
pub fn read_invoke(body: Value) -> Result<InvokePayment, Vec<FieldError>> {
    let mut fields = Fields::new(body).map_err(|problem| vec![problem])?;
    let provider = fields.id("provider", ProviderName::new);
    let provider = fields.require("provider", provider);
    let method = fields.word("method", METHODS, Method::parse);
    let method = fields.require("method", method);
    let payer = fields.object("payer", "payer.", read_payer);
    let client_ip = read_client_ip(&mut fields);
    let problems = fields.finish();
    match (provider, method) {
        (Some(provider), Some(method)) if problems.is_empty() => {
            Ok(InvokePayment { provider, method, payer, client_ip, buyer: None })
        }
        _ => Err(problems),
    }
}

/// Reads what a mini-program sends: it chooses the method, and nothing else is its to say. `peer` is where the buyer's
/// call came from, which is what the platform wants to know of a payment by h5.
///
/// # Errors
/// Every field that is wrong.
pub fn read_buyers_invoke(
    body: Value,
    session: &SessionClaims,
    peer: Option<IpAddr>,
) -> Result<InvokePayment, Vec<FieldError>> {
    let mut fields = Fields::new(body).map_err(|problem| vec![problem])?;
    if let Some(provider) = fields.id("provider", ProviderName::new)
        && provider != session.provider
    {
        fields.refuse("provider", format!("expected {}, which the session is of, or nothing", session.provider));
    }
    let method = fields.word("method", METHODS, Method::parse).unwrap_or(Method::Jsapi);
    let problems = fields.finish();
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(InvokePayment {
        provider: session.provider.clone(),
        method,
        payer: Some(Payer::OpenId(session.openid.clone())),
        client_ip: peer.filter(|_| method == Method::H5),
        buyer: Some(session.openid.clone()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dukou_domain::Timestamp;
    use serde_json::json;

    fn named(read: Result<InvokePayment, Vec<FieldError>>) -> Vec<String> {
        read.err().into_iter().flatten().map(|problem| problem.field).collect()
    }

    #[test]
    fn a_backend_names_provider_and_method() {
        let read = read_invoke(json!({ "provider": "wechat", "method": "h5" })).unwrap();
        assert!(read.payer.is_none() && read.buyer.is_none() && read.method == Method::H5);
        assert_eq!(read.client_ip, None);
        let body = json!({ "provider": "wechat", "method": "h5", "client_ip": "2001:db8::7" });
        assert_eq!(read_invoke(body).unwrap().client_ip, "2001:db8::7".parse().ok());
        for (body, fields) in [
            (json!({}), &["provider", "method"][..]),
            (json!({ "provider": "wechat", "method": "cash" }), &["method"]),
            (json!({ "provider": "wechat", "method": "h5", "amount": 1 }), &["amount"]),
            (json!({ "provider": "wechat", "method": "h5", "payer": { "openid": "" } }), &["payer.openid"]),
            (json!({ "provider": "wechat", "method": "h5", "client_ip": "here" }), &["client_ip"]),
        ] {
            assert_eq!(named(read_invoke(body.clone())), fields, "{body}");
        }
    }

    #[test]
    fn a_mini_program_names_no_amount_and_nobody_else() {
        let session = SessionClaims {
            provider: ProviderName::new("wechat").unwrap(),
            openid: "o1".into(),
            expires_at: Timestamp::from_millis(0),
        };
        let phone: Option<IpAddr> = "203.0.113.77".parse().ok();
        for (body, method, client_ip) in [
            (json!({}), Method::Jsapi, None),
            (json!({ "provider": "wechat", "method": "app" }), Method::App, None),
            (json!({ "method": "h5" }), Method::H5, phone),
        ] {
            let read = read_buyers_invoke(body, &session, phone).unwrap();
            assert!(matches!(&read.payer, Some(Payer::OpenId(openid)) if openid == "o1"));
            assert_eq!((read.buyer.as_deref(), read.method, read.client_ip), (Some("o1"), method, client_ip));
        }
        for field in ["amount", "payer", "currency", "openid", "description", "client_ip"] {
            assert_eq!(named(read_buyers_invoke(json!({ field: 1 }), &session, phone)), [field]);
        }
        assert_eq!(named(read_buyers_invoke(json!({ "provider": "other" }), &session, phone)), ["provider"]);
        assert_eq!(named(read_buyers_invoke(json!([]), &session, phone)), ["body"]);
    }
}

use std::collections::BTreeMap;
use std::net::IpAddr;

use dukou_domain::{Currency, Method, OutTradeNo, ProviderName, Secret, Timestamp};
use dukou_engine::{CreatePayment, Payer, end_problem};
use dukou_spi::FieldProblem;
use serde_json::Value;
use utoipa::ToSchema;

use crate::fields::{Fields, TextRule};
use crate::problem::FieldError;

const DESCRIPTION: TextRule = TextRule { max: 127, plane_zero_only: true, visible_only: false };
const ATTACH: TextRule = TextRule { max: 127, plane_zero_only: true, visible_only: false };
const MAX_OPENID: usize = 128;
pub(super) const MAX_CODE: usize = 256;

/// What is to be paid, by whom and how.
//
// Only documents the body; `read_create` reads it, field by field.
#[derive(ToSchema)]
#[schema(as = CreatePayment, example = json!({
    "provider": "wechat", "method": "jsapi", "out_trade_no": "B20261123-0001", "amount": 101, "currency": "CNY",
    "description": "腾讯-图书", "payer": { "openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o" }, "client_ip": "203.0.113.9",
}))]
#[allow(dead_code, reason = "a schema: nothing makes a value of it")]
pub struct CreatePaymentBody {
    /// The tenant's own name for one of its providers.
    #[schema(example = "wechat")]
    provider: String,
    /// `jsapi`, `native`, `app` or `h5`.
    method: String,
    /// The tenant's number, unique in the tenant: 1 to 32 of `A-Z a-z 0-9 _ - | *`. WeChat Pay takes 6 to 32, the
    /// provider's `trade_no_prefix` included. Left out, the gateway makes one.
    #[schema(nullable, max_length = 32)]
    out_trade_no: Option<String>,
    /// In minor units (fen).
    #[schema(minimum = 1, maximum = 10_000_000_000_i64)]
    amount: i64,
    /// ISO 4217; left out: `CNY`, which is also the only one so far.
    currency: Option<String>,
    /// What the payer reads.
    #[schema(max_length = 127)]
    description: String,
    /// Given back by the platform with its message; with WeChat Pay at most 127 bytes of UTF-8. No platform shows it to the
    /// payer, but the payer's session can read it: what only you may see belongs into `metadata`.
    #[schema(max_length = 127)]
    attach: Option<String>,
    /// The tenant's own pairs: at most 20, names of 1 to 40 characters, values of up to 500.
    metadata: Option<BTreeMap<String, String>>,
    /// Left out of `jsapi`, the payment waits and belongs to the first user of the mini-program who invokes it.
    payer: Option<PayerBody>,
    /// The payer's address. Required for `h5`; left out, the address that the call came from.
    client_ip: Option<String>,
    /// Until when it can be paid: from a minute to 366 days from now. Left out, the gateway's default.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// Who pays: exactly one of the two.
#[derive(ToSchema)]
#[schema(as = Payer)]
#[allow(dead_code, reason = "a schema: nothing makes a value of it")]
pub struct PayerBody {
    /// The payer under the provider's app.
    #[schema(max_length = 128)]
    openid: Option<String>,
    /// A login code of the front end, exchanged by the gateway; works once.
    #[schema(max_length = 256)]
    code: Option<String>,
}

/// Reads the body of a create. `made_number` stands in for an `out_trade_no` that was left out, `peer` for a
/// `client_ip`. Provider and end are judged by the engine, which knows whether the payment is there already: only
/// beside something else that is wrong they are told here, by `unknown` and by the time.
///
/// # Errors
/// Every field that is wrong.
pub fn read_create(
    body: Value,
    made_number: OutTradeNo,
    peer: Option<IpAddr>,
    now: Timestamp,
    unknown: impl FnOnce(&ProviderName) -> Option<FieldProblem>,
) -> Result<CreatePayment, Vec<FieldError>> {
    let mut fields = Fields::new(body).map_err(|problem| vec![problem])?;
    let provider = fields.id("provider", ProviderName::new);
    let provider = fields.require("provider", provider);
    let method = fields.word("method", "jsapi, native, app or h5", Method::parse);
    let method = fields.require("method", method);
    let out_trade_no = fields.id("out_trade_no", OutTradeNo::new);
    let currency = fields.word("currency", "CNY", Currency::parse).unwrap_or(Currency::Cny);
    let amount = fields.amount("amount", currency);
    let amount = fields.require("amount", amount);
    let description = fields.text("description", DESCRIPTION);
    let description = fields.require("description", description);
    let attach = fields.text("attach", ATTACH);
    let metadata = fields.metadata("metadata");
    let payer = fields.object("payer", "payer.", read_payer);
    let client_ip = read_client_ip(&mut fields).or(peer.filter(|_| method != Some(Method::H5)));
    let client_ip = fields.require("client_ip", client_ip);
    let expires_at = fields.moment("expires_at");

    let mut problems = fields.finish();
    match (provider, method, amount, description, client_ip) {
        (Some(provider), Some(method), Some(amount), Some(description), Some(client_ip)) if problems.is_empty() => {
            Ok(CreatePayment {
                provider,
                method,
                out_trade_no: out_trade_no.unwrap_or(made_number),
                amount,
                description,
                attach,
                metadata,
                payer,
                client_ip,
                expires_at,
            })
        }
        (provider, ..) => {
            let provider = provider.as_ref().and_then(unknown);
            let end = expires_at.and_then(|end| end_problem(end, now));
            problems.extend(provider.into_iter().chain(end).map(FieldError::from));
            Err(problems)
        }
    }
}

pub(super) fn read_client_ip(fields: &mut Fields) -> Option<IpAddr> {
    fields.word("client_ip", "an IPv4 or IPv6 address", |text| text.parse().ok())
}

pub(super) fn read_payer(fields: &mut Fields) -> Option<Payer> {
    let openid = fields.token("openid", MAX_OPENID);
    let code = fields.token("code", MAX_CODE).map(Secret::new);
    match (openid, code) {
        (Some(openid), None) => Some(Payer::OpenId(openid)),
        (None, Some(code)) => Some(Payer::Code(code)),
        _ => {
            if fields.is_clean() {
                fields.refuse("openid", "expected exactly one of openid and code");
            }
            None
        }
    }
}

#[cfg(test)]
#[path = "payment_request_tests.rs"]
mod tests;

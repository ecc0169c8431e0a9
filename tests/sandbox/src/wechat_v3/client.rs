//! What an app hands to WeChat to pay a v3 order: signed by the merchant's private key (RSA paySign).

use serde_json::Value;

use super::keys::verify;
use crate::control::{BAD_SIGNATURE, Refusal, is_timestamp, wanted};
use crate::ledger::Order;
use crate::world::World;

/// Checks the second signature of an order and all that stands beside it.
pub fn check(world: &World, order: &Order, client: &Value) -> Result<(), Refusal> {
    let has = |name: &str| client.get(name).and_then(Value::as_str).is_some();
    // In partner mode the sub-merchant's app calls if the order named one.
    let app_id = order.parameter("sub_appid").unwrap_or(order.app_id());
    let (message, signature) = match order.trade_type() {
        "JSAPI" => jsapi(app_id, client)?,
        "APP" => app(order, app_id, client)?,
        "NATIVE" if has("code_url") => return Ok(()),
        "MWEB" if has("h5_url") || has("mweb_url") => return Ok(()),
        other => return Err(Refusal::bad(format!("a {other} order is not paid this way"))),
    };
    let merchant = world.merchants.get(&order.mch_id);
    let good = merchant.is_some_and(|merchant| {
        merchant.verifying_key().is_some_and(|(_, public)| verify(public, message.as_bytes(), signature))
    });
    if good { Ok(()) } else { Err(Refusal::bad(BAD_SIGNATURE)) }
}

fn jsapi<'a>(app_id: &str, client: &'a Value) -> Result<(String, &'a str), Refusal> {
    if client.get("appId").and_then(Value::as_str).is_some_and(|given| given != app_id) {
        return Err(Refusal::bad(format!("{BAD_SIGNATURE}: appId is not the order's")));
    }
    // The JSSDK spells the name in lower case when it is called.
    let time = wanted(client, "timeStamp").or_else(|_| wanted(client, "timestamp"))?;
    if !is_timestamp(time) {
        return Err(Refusal::bad(format!("{BAD_SIGNATURE}: timeStamp must be ten digits")));
    }
    if wanted(client, "signType")? != "RSA" {
        return Err(Refusal::bad(format!("{BAD_SIGNATURE}: signType must be RSA")));
    }
    let (nonce, package) = (wanted(client, "nonceStr")?, wanted(client, "package")?);
    Ok((format!("{app_id}\n{time}\n{nonce}\n{package}\n"), wanted(client, "paySign")?))
}

fn app<'a>(order: &Order, app_id: &str, client: &'a Value) -> Result<(String, &'a str), Refusal> {
    // Of a sub-merchant's order, both numbers are in use.
    let partner_id = order.sub_mch_id().filter(|sub| wanted(client, "partnerid").is_ok_and(|given| given == *sub));
    let partner_id = partner_id.unwrap_or(&order.mch_id);
    for (name, right) in [("appid", app_id), ("partnerid", partner_id), ("package", "Sign=WXPay")] {
        if wanted(client, name)? != right {
            return Err(Refusal::bad(format!("{BAD_SIGNATURE}: {name} must be {right}")));
        }
    }
    let time = wanted(client, "timestamp")?;
    if !is_timestamp(time) {
        return Err(Refusal::bad(format!("{BAD_SIGNATURE}: timestamp must be ten digits")));
    }
    let (nonce, prepay_id) = (wanted(client, "noncestr")?, wanted(client, "prepayid")?);
    Ok((format!("{app_id}\n{time}\n{nonce}\n{prepay_id}\n"), wanted(client, "sign")?))
}

//! The fields of a prepay: checked, and turned into what the ledger keeps of an order.

use serde_json::Value;

use super::error::{Answered, ApiError};
use super::judge::Request;
use super::oaep;
use super::reader::Object;
use super::route::TradeType;
use crate::clock::{self, Millis};
use crate::platform::order::check_notify_url;
use crate::sign::Fields;
use crate::world::World;

const LIMIT_PAY: [&str; 4] = ["no_balance", "no_credit", "no_debit", "balance_only"];
const H5_TYPES: [&str; 3] = ["Wap", "iOS", "Android"];
const IDENTITY_TYPES: [&str; 7] = [
    "IDCARD",
    "HONGKONG_MACAO",
    "HONGKONG_MACAO_RESIDENT",
    "TAIWAN_RESIDENT",
    "FOREIGN_RESIDENT",
    "OVERSEA_PASSPORT",
    "PHONE_NUMBER",
];
/// Characters of a sensitive field in base64.
const MAX_SEALED: usize = 512;

/// A prepay whose fields are right.
pub struct Wanted {
    pub out_trade_no: String,
    /// Fen.
    pub total: i64,
    pub expires_at: Option<Millis>,
    /// The request with its sensitive fields decrypted: what must be the same when the order is entered again.
    pub request: Value,
    /// The same things under their v2 names, which the ledger uses.
    pub parameters: Fields,
}

/// Checks every field of a prepay.
pub fn read(world: &World, request: &Request, body: &Value, trade_type: TradeType) -> Answered<Wanted> {
    let mut plain = body.clone();
    let mut parameters = Fields::new();
    let mut keep = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            parameters.insert(name.to_owned(), value.to_owned());
        }
    };
    let root = Object::root(body)?;
    if request.route.partner {
        keep("appid", Some(root.required_text("sp_appid", 32)?));
        own_number(request, &root, "sp_mchid")?;
        keep("sub_appid", root.text("sub_appid", 32)?);
        keep("sub_mch_id", Some(root.required_text("sub_mchid", 32)?));
    } else {
        keep("appid", Some(root.required_text("appid", 32)?));
        own_number(request, &root, "mchid")?;
    }
    keep("mch_id", Some(request.mch_id()));
    keep("body", Some(root.required_text("description", 127)?));
    let out_trade_no = root.required_text("out_trade_no", 32)?;
    if !is_out_trade_no(out_trade_no) {
        return Err(root.wrong("out_trade_no", "应为6至32个字母、数字或_-|*"));
    }
    keep("out_trade_no", Some(out_trade_no));
    let time_expire = root.text("time_expire", 64)?;
    let expires_at = time_expire
        .map(|text| clock::parse_rfc3339(text).ok_or_else(|| root.wrong("time_expire", "应为RFC 3339格式的时间")))
        .transpose()?;
    keep("time_expire", time_expire);
    keep("attach", root.text("attach", 128)?);
    let notify_url = root.required_text("notify_url", 256)?;
    check_notify_url(notify_url).map_err(|issue| root.wrong("notify_url", &issue))?;
    keep("notify_url", Some(notify_url));
    keep("goods_tag", root.text("goods_tag", 32)?);
    root.flag("support_fapiao")?;
    let limits = root.words("limit_pay", &LIMIT_PAY)?;
    keep("limit_pay", limits.first().copied());

    let amount = root.required_object("amount")?;
    let total = amount.fen("total")?;
    keep("total_fee", Some(&total.to_string()));
    keep("fee_type", amount.word("currency", &["CNY"])?);
    amount.end()?;

    payer(world, request, &root, trade_type, &mut keep, &mut plain)?;
    detail(&root)?;
    scene(&root, trade_type, &mut keep)?;
    if let Some(settle) = root.object("settle_info")? {
        let sharing = settle.flag("profit_sharing")?;
        keep("profit_sharing", sharing.map(|yes| if yes { "Y" } else { "N" }));
        if request.route.partner {
            settle.whole("subsidy_amount", 0)?;
        }
        settle.end()?;
    }
    root.end()?;
    keep("trade_type", Some(trade_type.name()));
    Ok(Wanted { out_trade_no: out_trade_no.to_owned(), total, expires_at, request: plain, parameters })
}

/// 6 to 32 letters, digits and the four signs the documents allow.
pub fn is_out_trade_no(text: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_-|*".contains(&byte);
    (6..=32).contains(&text.len()) && text.bytes().all(legal)
}

/// The merchant number of a body, which must be the one that signed.
pub fn own_number(request: &Request, object: &Object<'_>, name: &'static str) -> Answered<()> {
    match object.required_text(name, 32)? == request.mch_id() {
        true => Ok(()),
        false => Err(object.wrong(name, "与Authorization中的mchid不一致")),
    }
}

/// Decrypts a sensitive field with the key that the request's `Wechatpay-Serial` names.
pub fn unsealed(world: &World, request: &Request, object: &Object<'_>, name: &'static str) -> Answered<Option<String>> {
    let Some(sealed) = object.text(name, MAX_SEALED)? else { return Ok(None) };
    let serial = request.incoming.serial.as_deref();
    let serial = serial.ok_or_else(|| ApiError::located("Wechatpay-Serial", None, "含敏感字段的请求必填", "header"))?;
    let initial = request.merchant.merchant.trust;
    let key = world.v3.trust.encrypted_for(&world.authority, request.mch_id(), initial, serial);
    let key = key.map_err(|error| ApiError::new("SYSTEM_ERROR", format!("{error:#}")))?;
    let key = key.ok_or_else(|| ApiError::located("Wechatpay-Serial", None, "平台证书序列号或公钥ID错误", "header"))?;
    let plain = oaep::decrypt(key.key.pkcs8(), sealed);
    plain.map(Some).ok_or_else(|| object.wrong(name, "敏感信息解密失败"))
}

fn payer(
    world: &World,
    request: &Request,
    root: &Object<'_>,
    trade_type: TradeType,
    keep: &mut impl FnMut(&str, Option<&str>),
    plain: &mut Value,
) -> Answered<()> {
    let payer = match (root.object("payer")?, trade_type) {
        (Some(payer), _) => payer,
        (None, TradeType::Jsapi) => return Err(root.wrong("payer", "必填")),
        (None, TradeType::App | TradeType::Native | TradeType::H5) => return Ok(()),
    };
    if trade_type == TradeType::Jsapi {
        if request.route.partner {
            let (own, sub) = (payer.text("sp_openid", 128)?, payer.text("sub_openid", 128)?);
            if own.is_some() == sub.is_some() {
                return Err(root.wrong("payer", "sp_openid与sub_openid二选一"));
            }
            if sub.is_some() && root.text("sub_appid", 32)?.is_none() {
                return Err(root.wrong("sub_appid", "使用sub_openid时必填"));
            }
            keep("openid", own);
            keep("sub_openid", sub);
        } else {
            keep("openid", Some(payer.required_text("openid", 128)?));
        }
    }
    if let Some(identity) = payer.object("identity")? {
        let kind = identity.word("type", &IDENTITY_TYPES)?;
        kind.ok_or_else(|| identity.wrong("type", "必填"))?;
        for name in ["number", "name"] {
            let text = unsealed(world, request, &identity, name)?.ok_or_else(|| identity.wrong(name, "必填"))?;
            super::put(plain, &format!("payer.identity.{name}"), Value::String(text));
        }
        identity.end()?;
    }
    payer.end()
}

fn detail(root: &Object<'_>) -> Answered<()> {
    let Some(detail) = root.object("detail")? else { return Ok(()) };
    detail.whole("cost_price", 0)?;
    detail.text("invoice_id", 32)?;
    for goods in detail.list("goods_detail")? {
        goods.required_text("merchant_goods_id", 32)?;
        goods.text("wechatpay_goods_id", 32)?;
        goods.text("goods_name", 256)?;
        goods.fen("quantity")?;
        goods.whole("unit_price", 0)?.ok_or_else(|| goods.wrong("unit_price", "必填"))?;
        goods.end()?;
    }
    detail.end()
}

fn scene(root: &Object<'_>, trade_type: TradeType, keep: &mut impl FnMut(&str, Option<&str>)) -> Answered<()> {
    let scene = match (root.object("scene_info")?, trade_type) {
        (Some(scene), _) => scene,
        (None, TradeType::H5) => return Err(root.wrong("scene_info", "必填")),
        (None, TradeType::Jsapi | TradeType::App | TradeType::Native) => return Ok(()),
    };
    let address = scene.required_text("payer_client_ip", 45)?;
    if address.parse::<std::net::IpAddr>().is_err() {
        return Err(scene.wrong("payer_client_ip", "不是IP地址"));
    }
    keep("spbill_create_ip", Some(address));
    keep("device_info", scene.text("device_id", 32)?);
    if let Some(store) = scene.object("store_info")? {
        store.required_text("id", 32)?;
        for (name, max) in [("name", 256), ("area_code", 32), ("address", 512)] {
            store.text(name, max)?;
        }
        store.end()?;
    }
    let h5 = scene.object("h5_info")?;
    match (h5, trade_type) {
        (Some(h5), TradeType::H5) => {
            h5.word("type", &H5_TYPES)?.ok_or_else(|| h5.wrong("type", "必填"))?;
            for (name, max) in [("app_name", 64), ("app_url", 128), ("bundle_id", 128), ("package_name", 128)] {
                h5.text(name, max)?;
            }
            h5.end()?;
        }
        (None, TradeType::H5) => return Err(scene.wrong("h5_info", "必填")),
        (Some(_), TradeType::Jsapi | TradeType::App | TradeType::Native) => {
            return Err(scene.wrong("h5_info", "不是此接口的字段"));
        }
        (None, TradeType::Jsapi | TradeType::App | TradeType::Native) => {}
    }
    scene.end()
}

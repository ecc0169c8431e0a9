//! Notifications sent by hand: copies, changed, broken, or only written.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::paying::unknown;
use super::{Answer, Refusal, read};
use crate::ledger::token;
use crate::merchants::Registered;
use crate::notify::{Content, Copy, Corruption, Document, Kind, Letter, Message, Notifier, envelope, payment, refund};
use crate::sign::{Fields, SignType, sign};
use crate::world::World;
use crate::{cipher, lock, xml};

/// Copies one call may send.
const MAX_COPIES: usize = 10_000;

/// The queue: what is pending, with attempts and the next due time, and what was delivered.
pub async fn queue(world: web::Data<World>) -> Answer {
    Ok(HttpResponse::Ok().json(json!({ "now": world.clock.now(), "notifies": world.notifier.outgoing().jobs() })))
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Damage {
    #[default]
    None,
    Sign,
    Body,
    Truncate,
}

impl From<Damage> for Corruption {
    fn from(damage: Damage) -> Self {
        match damage {
            Damage::None => Self::None,
            Damage::Sign => Self::Sign,
            Damage::Body => Self::Body,
            Damage::Truncate => Self::Truncate,
        }
    }
}

#[derive(Clone, Copy, Default, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Event {
    #[default]
    Payment,
    Refund,
}

/// Which of an order's notifications is meant; the rest of the body is read by the API that made it.
#[derive(Deserialize)]
struct Which {
    #[serde(default)]
    kind: Event,
    out_refund_no: Option<String>,
    url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    /// Read before, with [`Which`].
    #[serde(rename = "kind")]
    _kind: Option<Event>,
    #[serde(rename = "out_refund_no")]
    _out_refund_no: Option<String>,
    copies: Option<usize>,
    #[serde(default)]
    concurrent: bool,
    /// Fields changed before signing; null takes one away.
    #[serde(default)]
    set: BTreeMap<String, Option<Value>>,
    #[serde(default)]
    corrupt: Damage,
    url: Option<String>,
    nonce: Option<String>,
}

/// Sends the notification of an order now, each copy once.
pub async fn notify(world: web::Data<World>, path: web::Path<(String, String)>, body: web::Bytes) -> Answer {
    let (mch_id, out_trade_no) = path.into_inner();
    let which: Which = read(&body)?;
    let found = match find(&world, &mch_id, &out_trade_no, &which) {
        Ok(message) if matches!(message.content, Content::V3(_)) => {
            return crate::wechat_v3::notify_order(world, message, &body).await;
        }
        found => found,
    };
    let how: Order = read(&body)?;
    let count = how.copies.unwrap_or(1);
    if !(1..=MAX_COPIES).contains(&count) {
        return Err(Refusal::bad(format!("copies must be from 1 to {MAX_COPIES}")));
    }
    let mut message = found?;
    if let Content::V2(letter) = &mut message.content {
        for (name, value) in how.set {
            match value {
                None => letter.fields.remove(&name),
                Some(value) => letter.fields.insert(name, plain(value)),
            };
        }
    }
    let url = how.url.unwrap_or_else(|| world.policy().address(&message.url));
    let copies = (0..count)
        .map(|_| Copy {
            document: message.write(&world, how.corrupt.into(), how.nonce.as_deref()),
            message: message.clone(),
            url: url.clone(),
        })
        .collect();
    let responses = Notifier::send_now(&world.into_inner(), copies, how.concurrent).await;
    Ok(HttpResponse::Ok().json(json!({ "responses": responses })))
}

fn find(world: &World, mch_id: &str, out_trade_no: &str, how: &Which) -> Result<Message, Refusal> {
    let ledger = lock(&world.ledger);
    let order = ledger.order(mch_id, out_trade_no).ok_or_else(|| unknown(mch_id, out_trade_no))?;
    if how.kind == Event::Payment {
        if order.transaction_id.is_none() {
            return Err(Refusal::conflict("the order is not paid; notify-raw sends anything"));
        }
        return Ok(payment(order));
    }
    let number = how.out_refund_no.as_ref().or(order.refunds.last());
    let found = number.and_then(|number| ledger.books.get(mch_id)?.refunds.get(number));
    let mut found = found.ok_or_else(|| Refusal::unknown("the order has no such refund"))?.clone();
    if found.notify_url.is_none() {
        found.notify_url.clone_from(&how.url);
    }
    refund(order, &found).ok_or_else(|| Refusal::bad("the refund has no notify_url and url is missing"))
}

/// A JSON value as the text of a field.
fn plain(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn texts(fields: BTreeMap<String, Value>) -> Fields {
    fields.into_iter().map(|(name, value)| (name, plain(value))).collect()
}

fn merchant(world: &World, mch_id: &str) -> Result<std::sync::Arc<Registered>, Refusal> {
    world.merchants.get(mch_id).ok_or_else(|| Refusal::unknown(format!("no merchant {mch_id}")))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    mch_id: String,
    fields: BTreeMap<String, Value>,
    sign_type: Option<SignType>,
    url: Option<String>,
}

/// Signs the fields as they are; only a missing `nonce_str` is added.
fn signed(
    world: &World,
    mch_id: &str,
    fields: BTreeMap<String, Value>,
    sign_type: SignType,
) -> Result<String, Refusal> {
    let mut fields = texts(fields);
    fields.entry("nonce_str".to_owned()).or_insert_with(|| token(32));
    let signature = sign(&fields, merchant(world, mch_id)?.key(), sign_type);
    fields.insert("sign".to_owned(), signature);
    Ok(xml::write("xml", &fields))
}

/// Signs and sends any fields to any address.
pub async fn notify_raw(world: web::Data<World>, body: web::Bytes) -> Answer {
    let raw: Raw = read(&body)?;
    let url = raw.url.ok_or_else(|| Refusal::bad("url is missing"))?;
    let sign_type = raw.sign_type.unwrap_or(SignType::Md5);
    let message = Message {
        kind: Kind::Payment,
        mch_id: raw.mch_id.clone(),
        out_trade_no: raw.fields.get("out_trade_no").cloned().map(plain),
        out_refund_no: None,
        url: url.clone(),
        content: Content::V2(Letter { sign_type, fields: Fields::new(), app_id: String::new() }),
    };
    let body = signed(&world, &raw.mch_id, raw.fields, sign_type)?;
    let document = Document { body, content_type: "text/xml", ..Document::default() };
    let copy = Copy { document, message, url };
    let responses = Notifier::send_now(&world.into_inner(), vec![copy], false).await;
    Ok(HttpResponse::Ok().json(json!({ "responses": responses })))
}

/// Signs any fields without sending them.
pub async fn sign_only(world: web::Data<World>, body: web::Bytes) -> Answer {
    let raw: Raw = read(&body)?;
    let xml = signed(&world, &raw.mch_id, raw.fields, raw.sign_type.unwrap_or(SignType::Md5))?;
    Ok(HttpResponse::Ok().json(json!({ "xml": xml })))
}

/// Writes a refund notification around any inner fields without sending it. `appid` is the envelope's.
pub async fn encrypt_refund(world: web::Data<World>, body: web::Bytes) -> Answer {
    let raw: Raw = read(&body)?;
    let merchant = merchant(&world, &raw.mch_id)?;
    let mut inner = texts(raw.fields);
    let first_app = merchant.merchant.apps.first().map(|app| app.app_id.clone());
    let app_id = inner.remove("appid").or(first_app).unwrap_or_default();
    let info = cipher::encrypt(&xml::write("root", &inner), merchant.key());
    let mut fields = envelope(&app_id, &raw.mch_id, info);
    fields.insert("nonce_str".to_owned(), token(32));
    Ok(HttpResponse::Ok().json(json!({ "xml": xml::write("xml", &fields) })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    mch_id: String,
    req_info: String,
}

/// Reads the encrypted part of a refund notification.
pub async fn decrypt_refund(world: web::Data<World>, body: web::Bytes) -> Answer {
    let sealed: Sealed = read(&body)?;
    let merchant = merchant(&world, &sealed.mch_id)?;
    let plain = cipher::decrypt(&sealed.req_info, merchant.key());
    let fields = plain.and_then(|plain| xml::read(plain.as_bytes()).ok());
    let fields = fields.ok_or_else(|| Refusal::bad("req_info is not encrypted with the merchant's key"))?;
    Ok(HttpResponse::Ok().json(json!({ "fields": fields })))
}

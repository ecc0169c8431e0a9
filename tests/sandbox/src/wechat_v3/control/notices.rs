//! Notifications sent by hand: copies, changed, damaged, of any content, or only written.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control::{Answer, Refusal, read};
use crate::merchants::Registered;
use crate::notify::{Content, Copy, Corruption, Document, Kind, Message, Notifier};
use crate::wechat_v3::notice::{Notice, Writing};
use crate::wechat_v3::stamp::{self, Damage};
use crate::wechat_v3::trust::Purpose;
use crate::wechat_v3::{aead, put};
use crate::world::World;

/// Copies one call may send.
const MAX_COPIES: usize = 10_000;

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Corrupt {
    #[default]
    None,
    /// One character of the signature.
    Sign,
    /// The ciphertext, after signing.
    Body,
    /// The second half is missing.
    Truncate,
    /// A probe (签名探测流量).
    Probe,
    /// Encrypted with another key, signed rightly.
    Key,
}

/// How a notification is written and sent.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct How {
    copies: Option<usize>,
    concurrent: bool,
    /// Fields of the resource, changed before it is encrypted; null takes one away.
    set: BTreeMap<String, Value>,
    /// Fields of the envelope, changed before it is signed.
    envelope: BTreeMap<String, Value>,
    corrupt: Corrupt,
    /// What is wrong with the signature headers.
    signature: Damage,
    url: Option<String>,
    /// The signed nonce.
    nonce: Option<String>,
    /// Written and given back, not sent.
    write_only: bool,
    /// Of an order: which of its events.
    kind: Option<String>,
    out_refund_no: Option<String>,
    /// Of raw notifications: the merchant whose keys write it.
    mch_id: Option<String>,
    event_type: Option<String>,
    original_type: Option<String>,
    resource: Option<Value>,
}

impl How {
    fn writing(&self) -> Writing {
        let (corruption, probe, key) = match self.corrupt {
            Corrupt::None => (Corruption::None, false, None),
            Corrupt::Sign => (Corruption::Sign, false, None),
            Corrupt::Body => (Corruption::Body, false, None),
            Corrupt::Truncate => (Corruption::Truncate, false, None),
            Corrupt::Probe => (Corruption::None, true, None),
            Corrupt::Key => (Corruption::None, false, Some("0".repeat(32))),
        };
        let mut damage = self.signature.clone();
        damage.probe |= probe;
        damage.nonce = self.nonce.clone().or(damage.nonce);
        let envelope = self.envelope.iter().map(|(path, value)| (path.clone(), value.clone())).collect();
        Writing { corruption, damage, key, envelope }
    }
}

fn bad(error: anyhow::Error) -> Refusal {
    Refusal::bad(format!("{error:#}"))
}

fn merchant(world: &World, mch_id: &str) -> Result<Arc<Registered>, Refusal> {
    world.merchants.get(mch_id).ok_or_else(|| Refusal::unknown(format!("no merchant {mch_id}")))
}

/// Sends the notification of an order or a refund that v3 made, each copy once. `message` is the plain one.
pub async fn notify_order(world: web::Data<World>, message: Message, body: &[u8]) -> Answer {
    let how: How = read(body)?;
    if how.mch_id.is_some() || how.event_type.is_some() || how.original_type.is_some() || how.resource.is_some() {
        return Err(Refusal::bad(
            "mch_id, event_type, original_type and resource are for notify-raw; see set and envelope",
        ));
    }
    send(world, message, &how).await
}

/// Writes and sends any resource in a merchant's name.
pub async fn notify_raw(world: web::Data<World>, body: web::Bytes) -> Answer {
    let how: How = read(&body)?;
    let mch_id = how.mch_id.clone().ok_or_else(|| Refusal::bad("mch_id is missing"))?;
    if how.kind.is_some() || how.out_refund_no.is_some() {
        return Err(Refusal::bad(
            "kind and out_refund_no are for an order's notifications; see event_type and resource",
        ));
    }
    let resource = how.resource.clone().unwrap_or_else(|| json!({}));
    let text = |name: &str| resource.get(name).and_then(Value::as_str).map(str::to_owned);
    let event = how.event_type.clone().unwrap_or_else(|| "TRANSACTION.SUCCESS".to_owned());
    let of_refund = event.starts_with("REFUND");
    let original =
        how.original_type.clone().unwrap_or_else(|| if of_refund { "refund" } else { "transaction" }.to_owned());
    let url = match (&how.url, how.write_only) {
        (Some(url), _) => url.clone(),
        (None, true) => String::new(),
        (None, false) => return Err(Refusal::bad("url is missing")),
    };
    let message = Message {
        kind: if of_refund { Kind::Refund } else { Kind::Payment },
        mch_id,
        out_trade_no: text("out_trade_no"),
        out_refund_no: text("out_refund_no"),
        url,
        content: Content::V3(Notice::new(world.clock.now(), &event, "通知", &original, resource.clone())),
    };
    send(world, message, &how).await
}

async fn send(world: web::Data<World>, mut message: Message, how: &How) -> Answer {
    let count = how.copies.unwrap_or(1);
    if !(1..=MAX_COPIES).contains(&count) {
        return Err(Refusal::bad(format!("copies must be from 1 to {MAX_COPIES}")));
    }
    let Content::V3(notice) = &mut message.content else {
        return Err(Refusal::bad("the notification is not one of v3"));
    };
    for (path, value) in &how.set {
        put(&mut notice.resource, path, value.clone());
    }
    let notice = notice.clone();
    let url = how.url.clone().unwrap_or_else(|| world.policy().address(&message.url));
    let writing = how.writing();
    // Signed anew for every copy; many signatures take a while.
    let (inner, mch_id) = (world.clone().into_inner(), message.mch_id.clone());
    let written = web::block(move || -> anyhow::Result<Vec<Document>> {
        (0..count).map(|_| notice.write(&inner, &mch_id, &writing)).collect()
    });
    let documents = written.await.map_err(|error| Refusal::failed(error.to_string()))?.map_err(bad)?;
    if how.write_only {
        return Ok(HttpResponse::Ok().json(json!({ "url": url, "documents": documents })));
    }
    let copies =
        documents.into_iter().map(|document| Copy { message: message.clone(), url: url.clone(), document }).collect();
    let responses = Notifier::send_now(&world.into_inner(), copies, how.concurrent).await;
    Ok(HttpResponse::Ok().json(json!({ "responses": responses })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    mch_id: String,
    body: String,
    #[serde(default)]
    signature: Damage,
}

/// The signature headers over any body.
pub async fn sign_only(world: web::Data<World>, body: web::Bytes) -> Answer {
    let text: Text = read(&body)?;
    let merchant = merchant(&world, &text.mch_id)?;
    let signer = stamp::signer(&world, &merchant, Purpose::Notify, None, &text.signature).map_err(bad)?;
    let headers = stamp::headers(&world, &signer, text.body.as_bytes(), &text.signature);
    Ok(HttpResponse::Ok().json(json!({ "headers": headers })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    mch_id: String,
    plaintext: String,
    nonce: Option<String>,
    #[serde(default)]
    associated_data: String,
}

fn v3_key(merchant: &Registered) -> Result<&str, Refusal> {
    merchant.v3_key().ok_or_else(|| Refusal::bad(format!("merchant {} has no APIv3 key", merchant.mch_id())))
}

/// Encrypts any text with a merchant's APIv3 key.
pub async fn encrypt(world: web::Data<World>, body: web::Bytes) -> Answer {
    let plain: Plain = read(&body)?;
    let merchant = merchant(&world, &plain.mch_id)?;
    let nonce = plain.nonce.unwrap_or_else(aead::nonce);
    let sealed = aead::encrypt(v3_key(&merchant)?, &nonce, &plain.associated_data, &plain.plaintext);
    let sealed = sealed.ok_or_else(|| Refusal::bad("the APIv3 key must be 32 bytes and the nonce 12"))?;
    Ok(HttpResponse::Ok().json(json!({
        "algorithm": aead::ALGORITHM,
        "ciphertext": sealed,
        "associated_data": plain.associated_data,
        "nonce": nonce,
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    mch_id: String,
    ciphertext: String,
    nonce: String,
    #[serde(default)]
    associated_data: String,
}

/// Reads what was encrypted with a merchant's APIv3 key.
pub async fn decrypt(world: web::Data<World>, body: web::Bytes) -> Answer {
    let sealed: Sealed = read(&body)?;
    let merchant = merchant(&world, &sealed.mch_id)?;
    let plain = aead::decrypt(v3_key(&merchant)?, &sealed.nonce, &sealed.associated_data, &sealed.ciphertext);
    let plain = plain.ok_or_else(|| Refusal::bad("not encrypted with the merchant's APIv3 key"))?;
    Ok(HttpResponse::Ok().json(json!({ "plaintext": plain })))
}

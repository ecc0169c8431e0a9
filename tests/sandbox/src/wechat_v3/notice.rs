//! Notifications of the v3 API (支付成功回调通知, 退款结果通知): an encrypted resource in a signed envelope.

use rand::Rng;
use serde::Serialize;
use serde_json::{Value, json};

use super::stamp::{self, Damage};
use super::word::Word;
use super::{aead, transaction};
use crate::clock;
use crate::ledger::{Order, Refund, RefundStatus, TradeState, token};
use crate::notify::{Content, Corruption, Document, Kind, Message};
use crate::wechat_v3::trust::Purpose;
use crate::world::World;

/// One event; every attempt encrypts and signs it anew, under the same id.
#[derive(Clone, Debug, Serialize)]
pub struct Notice {
    pub id: String,
    /// RFC 3339.
    pub create_time: String,
    pub event_type: String,
    pub summary: String,
    pub original_type: String,
    pub associated_data: String,
    pub resource: Value,
}

impl Notice {
    /// An event about a resource of this type (`transaction`, `refund` …).
    pub fn new(
        world_time: clock::Millis,
        event_type: &str,
        summary: &str,
        original_type: &str,
        resource: Value,
    ) -> Self {
        Self {
            id: format!("EV-{}{:07}", clock::compact(world_time), rand::rng().random_range(0..10_000_000)),
            create_time: clock::rfc3339(world_time),
            event_type: event_type.to_owned(),
            summary: summary.to_owned(),
            original_type: original_type.to_owned(),
            associated_data: original_type.to_owned(),
            resource,
        }
    }

    /// The document as it goes over the wire. `key` encrypts; it is the merchant's APIv3 key unless told otherwise.
    ///
    /// # Errors
    /// If the merchant has no v3 API or no key has the name that the damage asks for.
    pub fn write(&self, world: &World, mch_id: &str, how: &Writing) -> anyhow::Result<Document> {
        let merchant = world.merchants.get(mch_id).ok_or_else(|| anyhow::anyhow!("no merchant {mch_id}"))?;
        let own = merchant.v3_key().ok_or_else(|| anyhow::anyhow!("merchant {mch_id} has no APIv3 key"))?;
        let nonce = aead::nonce();
        let mut plain = self.resource.clone();
        if self.original_type == "transaction" {
            super::put_all(&mut plain, &world.policy().v3_order_fields);
        }
        if rand::rng().random_bool(world.unknown_field_share()) {
            plain["sandbox_extra"] = json!(token(8));
        }
        let sealed =
            aead::encrypt(how.key.as_deref().unwrap_or(own), &nonce, &self.associated_data, &plain.to_string());
        let sealed = sealed.ok_or_else(|| anyhow::anyhow!("an APIv3 key must be 32 bytes"))?;
        let mut envelope = json!({
            "id": self.id,
            "create_time": self.create_time,
            "resource_type": "encrypt-resource",
            "event_type": self.event_type,
            "summary": self.summary,
            "resource": {
                "original_type": self.original_type,
                "algorithm": aead::ALGORITHM,
                "ciphertext": sealed,
                "associated_data": self.associated_data,
                "nonce": nonce,
            },
        });
        for (pointer, value) in &how.envelope {
            super::put(&mut envelope, pointer, value.clone());
        }
        let mut body = envelope.to_string();
        let mut damage = how.damage.clone();
        damage.flip |= how.corruption == Corruption::Sign;
        damage.probe |= rand::rng().random_bool(world.policy().v3_probe_share);
        let signer = stamp::signer(world, &merchant, Purpose::Notify, None, &damage)?;
        let headers = stamp::headers(world, &signer, body.as_bytes(), &damage);
        match how.corruption {
            Corruption::None | Corruption::Sign => {}
            Corruption::Body => {
                let at = body.find(&sealed).unwrap_or_default();
                let other = if body[at..].starts_with('A') { "B" } else { "A" };
                body.replace_range(at..=at, other);
            }
            Corruption::Truncate => {
                let half = (0..=body.len() / 2).rev().find(|&at| body.is_char_boundary(at)).unwrap_or(0);
                body.truncate(half);
            }
        }
        let word = Some(Word::notified(world, mch_id, &headers, body.as_bytes()));
        Ok(Document { body, content_type: "application/json", headers, serial: Some(signer.serial), word })
    }
}

/// What makes one writing of a notification differ from the plain one.
#[derive(Clone, Debug, Default)]
pub struct Writing {
    pub corruption: Corruption,
    pub damage: Damage,
    /// Encrypts in place of the merchant's APIv3 key.
    pub key: Option<String>,
    /// Fields of the envelope changed before signing, by dotted path; null takes one away.
    pub envelope: Vec<(String, Value)>,
}

fn message(kind: Kind, order: &Order, refund: Option<&Refund>, url: String, notice: Notice) -> Message {
    Message {
        kind,
        mch_id: order.mch_id.clone(),
        out_trade_no: Some(order.out_trade_no.clone()),
        out_refund_no: refund.map(|refund| refund.out_refund_no.clone()),
        url,
        content: Content::V3(notice),
    }
}

/// The notification of a paid order, or of one that could not be paid.
pub fn payment(order: &Order) -> Message {
    let at = order.paid_at.unwrap_or(order.created_at);
    let (event, summary) = match order.trade_state {
        TradeState::PayError => ("TRANSACTION.FAIL", "支付失败"),
        TradeState::Success | TradeState::Refund | TradeState::NotPay | TradeState::Closed => {
            ("TRANSACTION.SUCCESS", "支付成功")
        }
    };
    let notice = Notice::new(at, event, summary, "transaction", transaction::notified(order));
    message(Kind::Payment, order, None, order.parameter("notify_url").unwrap_or_default().to_owned(), notice)
}

/// The notification of a refund's final state; `None` if nobody wants one.
pub fn refund(order: &Order, refund: &Refund) -> Option<Message> {
    let url = refund.notify_url.clone()?;
    let (event, summary) = match refund.status {
        RefundStatus::Success | RefundStatus::Processing => ("REFUND.SUCCESS", "退款成功"),
        RefundStatus::Change => ("REFUND.ABNORMAL", "退款异常"),
        RefundStatus::RefundClose => ("REFUND.CLOSED", "退款关闭"),
    };
    let at = refund.succeeded_at.unwrap_or(refund.created_at);
    let notice = Notice::new(at, event, summary, "refund", transaction::notified_refund(order, refund));
    Some(message(Kind::Refund, order, Some(refund), url, notice))
}

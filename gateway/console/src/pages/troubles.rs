//! What went wrong in a tenant of late, for the overview.

use dukou_domain::{TenantId, Timestamp};
use dukou_engine::delivery::Endpoint;
use dukou_engine::records::{Event, EventKind, Subject};
use dukou_engine::tenant::Tenant;
use dukou_engine::{Engine, EngineError};

use super::overview::{COUNTED, Need, counted};
use super::payments;
use crate::moments;
use crate::texts::{Language, Texts};
use crate::visitor::Visitor;

/// What happened before is in the payments' own pages alone; the words say so.
const LATELY_MILLIS: i64 = 24 * 60 * 60 * 1000;

/// Events that somebody should look into, and a webhook that is switched off.
pub async fn of_tenant(
    engine: &Engine,
    tenant: &Tenant,
    visitor: &Visitor,
    now: Timestamp,
) -> Result<Vec<Need>, EngineError> {
    let id = &tenant.id;
    let since = Timestamp::from_millis(now.as_millis().saturating_sub(LATELY_MILLIS));
    let mut needs = told(id, &engine.store().history().troubles(id, since, COUNTED).await?, visitor.texts);
    let endpoint = engine.store().deliveries().endpoint(id).await?;
    needs.extend(tenant.webhook.as_ref().and_then(|_| switched_off(id, endpoint, visitor.language)));
    Ok(needs)
}

fn switched_off(tenant: &TenantId, endpoint: Endpoint, language: Language) -> Option<Need> {
    let since = moments::shown(endpoint.disabled_at?, language);
    let words = format!("{tenant}: {} {since}", language.texts().webhook_off_since);
    Some(Need { words, href: "/console/tenants".to_owned() })
}

/// Each kind once, with the newest of it.
fn told(tenant: &TenantId, newest_first: &[Event], texts: &Texts) -> Vec<Need> {
    let more = newest_first.len() >= COUNTED as usize;
    let mut needs = Vec::new();
    for (kind, words) in [
        (EventKind::PaymentMismatch, texts.mismatches),
        (EventKind::PaymentUnknownOrder, texts.unknown_orders),
        (EventKind::PaymentDuplicate, texts.duplicates),
        (EventKind::RefundFailed, texts.failed_refunds),
        (EventKind::RefundAbnormal, texts.abnormal_refunds),
    ] {
        let count = newest_first.iter().filter(|event| event.event.kind == kind).count();
        let Some(newest) = newest_first.iter().find(|event| event.event.kind == kind) else { continue };
        let (number, href) = leads_to(tenant, &newest.event.subject);
        let words = format!("{tenant}: {} {words} {number}", counted(count, more, texts));
        needs.push(Need { words, href });
    }
    needs
}

/// The number that an event is about, and where more of it is found.
fn leads_to(tenant: &TenantId, subject: &Subject) -> (String, String) {
    let number = match subject {
        Subject::Payment(payment) | Subject::Duplicate { payment, .. } | Subject::Mismatch { payment, .. } => {
            &payment.out_trade_no
        }
        Subject::Refund(refund) => &refund.out_trade_no,
        Subject::RefundRequest(request) => &request.out_trade_no,
        Subject::UnknownOrder { trade_no, .. } => {
            return (trade_no.to_string(), format!("/console/payments?tenant={tenant}"));
        }
        Subject::Endpoint(_) | Subject::Plugin { .. } => return (String::new(), "/console".to_owned()),
    };
    (number.to_string(), payments::address(tenant, number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dukou_domain::{EventId, ProviderName, TradeNo};
    use dukou_engine::records::NewEvent;
    use uuid::Uuid;

    fn tenant() -> TenantId {
        TenantId::new("bookshop").unwrap()
    }

    fn unknown_order(trade_no: &str) -> Event {
        let subject = Subject::UnknownOrder {
            provider: ProviderName::new("wechat").unwrap(),
            trade_no: TradeNo::new(trade_no).unwrap(),
            transaction_id: None,
            amount: None,
        };
        let (id, kind, at) =
            (EventId::from_uuid(Uuid::nil()), EventKind::PaymentUnknownOrder, Timestamp::from_millis(0));
        Event { position: 1, event: NewEvent { id, tenant: tenant(), kind, at, subject } }
    }

    #[test]
    fn a_kind_stands_once_with_its_number_and_the_newest_of_it() {
        let told = |count: usize| {
            let events: Vec<Event> = (0..count).map(|index| unknown_order(&format!("X-{index}"))).collect();
            told(&tenant(), &events, Language::En.texts())
        };
        assert!(told(0).is_empty());
        let two = told(2);
        let words = "bookshop: 2 notifies about orders that are not known (last 24 hours), the newest about X-0";
        assert_eq!((two.len(), two[0].words.as_str()), (1, words));
        assert_eq!(two[0].href, "/console/payments?tenant=bookshop");
        assert!(told(COUNTED as usize)[0].words.starts_with("bookshop: at least 100 notifies"));
    }

    #[test]
    fn a_webhook_that_is_switched_off_is_named() {
        assert!(switched_off(&tenant(), Endpoint::default(), Language::En).is_none());
        let off = Endpoint { disabled_at: Some(Timestamp::from_millis(0)), ..Endpoint::default() };
        let need = switched_off(&tenant(), off, Language::En).unwrap();
        assert_eq!(need.words, "bookshop: the webhook is switched off and events wait since 1970-01-01 00:00:00");
    }
}

//! How it goes, at a glance.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use askama::Template;
use dukou_domain::{Currency, DeliveryState, RefundRequestState, Timestamp};
use dukou_engine::delivery::DeliveryFilter;
use dukou_engine::open::OpenKind;
use dukou_engine::records::{Page, PaymentFilter, RefundRequestFilter};
use dukou_engine::tenant::Tenant;
use dukou_engine::{Engine, EngineError};
use dukou_http::ReadyStatus;
use dukou_spi::Provider;

use super::health::{self, DAY_SECONDS, SOON_DAYS};
use super::{all_tenants, troubles};
use crate::figures::{self, Counts};
use crate::texts::Texts;
use crate::visitor::{Visitor, let_in};
use crate::{Console, amounts, answer, moments};

/// So many of today's payments are read for the sums of a tenant, the newest; of more it says "at least".
const READ: usize = 1000;
const PAGE: u32 = 200;
/// Tenants that are summed up; more would make the page slow.
const TENANTS: usize = 20;
/// What is waited for longer than this needs somebody.
const LONG_SECONDS: u64 = 15 * 60;
/// A key that ends sooner needs somebody.
const SOON: Duration = Duration::from_secs(SOON_DAYS * DAY_SECONDS);
/// Requests, deliveries and events that are counted.
pub const COUNTED: u32 = 100;

#[derive(Default)]
struct Today {
    id: String,
    name: String,
    created: usize,
    paid: usize,
    /// Not everything was read.
    more: bool,
    sums: Vec<String>,
    refunds: Vec<String>,
}

impl Today {
    fn share(&self) -> usize {
        (self.paid * 100).checked_div(self.created).unwrap_or(0)
    }
}

struct Chart {
    name: &'static str,
    number: u64,
    unit: &'static str,
    bars: Vec<(usize, u64, usize, u64)>,
}

impl Chart {
    /// The number is that of all minutes together: they stand under the last hour.
    fn of_an_hour(name: &'static str, minutes: &[u64]) -> Self {
        Chart { name, number: minutes.iter().sum(), unit: "", bars: figures::bars(minutes) }
    }
}

/// Something that a person should see to, and where.
pub struct Need {
    pub words: String,
    pub href: String,
}

#[derive(Template)]
#[template(path = "overview.html")]
struct Overview<'a> {
    v: &'a Visitor,
    tab: &'static str,
    charts: Vec<Chart>,
    today: Vec<Today>,
    needs: Vec<Need>,
    /// Tenants that were not looked at.
    left_out: usize,
}

pub async fn show(console: Data<Console>, request: HttpRequest) -> HttpResponse {
    let visitor = let_in!(console, request);
    let tenants = all_tenants(&console);
    let now = console.engine.clock().now();
    let mut today = Vec::new();
    let mut needs = Vec::new();
    for tenant in tenants.iter().take(TENANTS) {
        let summed = sum_up(&console.engine, tenant, moments::midnight(now, visitor.language)).await;
        let needed = of_tenant(&console.engine, tenant, &visitor, now).await;
        match (summed, needed) {
            (Ok(summed), Ok(needed)) => {
                today.push(summed);
                needs.extend(needed);
            }
            (Err(error), _) | (_, Err(error)) => return visitor.failed(&error),
        }
    }
    match of_gateway(&console, &visitor, now).await {
        Ok(found) => needs.extend(found),
        Err(error) => return visitor.failed(&error),
    }
    needs.extend(tenants.iter().flat_map(|tenant| keys_that_end(tenant, &visitor, now)));
    let left_out = tenants.len().saturating_sub(TENANTS);
    let charts = charts(&console, &visitor);
    answer::page(StatusCode::OK, &Overview { v: &visitor, tab: "overview", charts, today, needs, left_out })
}

async fn sum_up(engine: &Engine, tenant: &Tenant, since: Timestamp) -> Result<Today, EngineError> {
    let mut today = Today { id: tenant.id.to_string(), name: tenant.name.clone(), ..Today::default() };
    let (mut sums, mut refunds) = (BTreeMap::new(), BTreeMap::new());
    let mut cursor = None;
    loop {
        let filter =
            PaymentFilter { tenant: tenant.id.clone(), state: None, created_after: Some(since), cursor, limit: PAGE };
        let page = engine.payments(filter).await?;
        for payment in &page.items {
            today.created += 1;
            if payment.state.is_paid() {
                today.paid += 1;
                let currency = payment.amount.currency();
                let add = |sums: &mut BTreeMap<&'static str, (Currency, i128)>, minor: i64| {
                    sums.entry(currency.code()).or_insert((currency, 0)).1 += i128::from(minor);
                };
                add(&mut sums, payment.amount.minor());
                add(&mut refunds, payment.refunded.minor());
            }
        }
        cursor = page.next;
        today.more = cursor.is_some();
        if cursor.is_none() || today.created >= READ {
            break;
        }
    }
    let shown = |sums: BTreeMap<&str, (Currency, i128)>| {
        sums.into_values().map(|(currency, minor)| amounts::sum(currency, minor)).collect()
    };
    (today.sums, today.refunds) = (shown(sums), shown(refunds));
    Ok(today)
}

/// What a person should see to.
async fn of_tenant(
    engine: &Engine,
    tenant: &Tenant,
    visitor: &Visitor,
    now: Timestamp,
) -> Result<Vec<Need>, EngineError> {
    let (id, texts) = (&tenant.id, visitor.texts);
    let mut needs = troubles::of_tenant(engine, tenant, visitor, now).await?;
    let state = Some(RefundRequestState::Pending);
    let filter = RefundRequestFilter { tenant: id.clone(), state, cursor: None, limit: COUNTED };
    if let Some(undecided) = listed(&engine.refund_requests(filter).await?, texts) {
        let words = format!("{id}: {undecided} {}", texts.undecided);
        needs.push(Need { words, href: format!("/console/requests?tenant={id}&status=pending") });
    }
    let state = Some(DeliveryState::Exhausted);
    let filter = DeliveryFilter { tenant: id.clone(), state, cursor: None, limit: COUNTED };
    if let Some(exhausted) = listed(&engine.deliveries(filter).await?, texts) {
        let words = format!("{id}: {exhausted} {}", texts.exhausted);
        needs.push(Need { words, href: format!("/console/deliveries?tenant={id}&status=exhausted") });
    }
    Ok(needs)
}

/// How many a list has, in words; `None` for none.
fn listed<T>(page: &Page<T>, texts: &Texts) -> Option<String> {
    let count = page.items.len();
    (count > 0).then(|| counted(count, page.next.is_some(), texts))
}

/// How many there are, or at least so many where there may be more.
pub fn counted(count: usize, more: bool, texts: &Texts) -> String {
    if more { format!("{} {count}", texts.at_least) } else { count.to_string() }
}

/// Keys and certificates that end soon, of any tenant.
fn keys_that_end(tenant: &Tenant, visitor: &Visitor, now: Timestamp) -> Vec<Need> {
    let soon = now.plus(SOON);
    let ends = |provider: &dyn Provider| provider.trust().iter().filter_map(|key| key.expires_at).min();
    let ending = tenant.providers.iter().filter_map(|(name, provider)| {
        let at = ends(&**provider).filter(|at| *at < soon)?;
        let words = format!("{}/{name} {} {}", tenant.id, visitor.texts.key_ends, moments::shown(at, visitor.language));
        Some(Need { words, href: "/console/health".to_owned() })
    });
    ending.collect()
}

async fn of_gateway(console: &Console, visitor: &Visitor, now: Timestamp) -> Result<Vec<Need>, EngineError> {
    let texts = visitor.texts;
    let mut needs = Vec::new();
    for check in console.readiness.checks().await {
        let words = match check.status {
            ReadyStatus::Ready => continue,
            ReadyStatus::Degraded => texts.degraded,
            ReadyStatus::Unready => texts.unready,
        };
        let words = format!("{}: {words} {}", check.name, health::detail(&check, visitor.language));
        needs.push(Need { words, href: "/console/health".to_owned() });
    }
    let refused = console.figures.refused_files();
    if refused > 0 {
        let words = format!("{refused} {}", texts.refused_files);
        needs.push(Need { words, href: "/console/tenants".to_owned() });
    }
    for open in console.engine.store().oldest_open().await? {
        if open.since > now || now.since(open.since).as_secs() < LONG_SECONDS {
            continue;
        }
        let (words, status) = match open.kind {
            OpenKind::PaymentUnknown => (texts.payment_unknown, "unknown"),
            OpenKind::PaymentOverdue => (texts.payment_overdue, "pending"),
            OpenKind::RefundUnknown => (texts.refund_unknown, ""),
            OpenKind::RefundUnsent => (texts.refund_unsent, ""),
            OpenKind::RefundProcessing => (texts.refund_processing, ""),
            OpenKind::QuestionDue => (texts.question_due, ""),
        };
        let words = format!("{}: {words} {}", open.tenant, moments::shown(open.since, visitor.language));
        needs.push(Need { words, href: format!("/console/payments?tenant={}&status={status}", open.tenant) });
    }
    Ok(needs)
}

fn charts(console: &Console, visitor: &Visitor) -> Vec<Chart> {
    let texts = visitor.texts;
    let now = console.figures.now();
    let flow = |name, of: fn(&Counts) -> u64| Chart::of_an_hour(name, &console.figures.minutes(now, of));
    let mut charts = vec![
        flow(texts.created, |counts| counts.created),
        flow(texts.paid, |counts| counts.succeeded),
        flow(texts.refunds, |counts| counts.refunded),
        flow(texts.notifies, |counts| counts.notified),
        flow(texts.not_verified, |counts| counts.not_verified),
        flow(texts.delivered, |counts| counts.delivered),
    ];
    charts.push(Chart { name: texts.waiting, number: now.waiting, unit: texts.at_present, bars: Vec::new() });
    charts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::texts::Language;
    use dukou_engine::records::PageCursor;
    use uuid::Uuid;

    #[test]
    fn what_was_not_counted_to_its_end_is_at_least_so_many() {
        let next = Some(PageCursor { created_at: Timestamp::from_millis(0), id: Uuid::nil() });
        let of = |items: Vec<u8>, next, language: Language| listed(&Page { items, next }, language.texts());
        assert_eq!(of(vec![], None, Language::Zh), None);
        assert_eq!(of(vec![0; 100], None, Language::Zh).as_deref(), Some("100"));
        assert_eq!(of(vec![0; 100], next, Language::Zh).as_deref(), Some("至少 100"));
        assert_eq!(of(vec![0; 100], next, Language::En).as_deref(), Some("at least 100"));
    }

    #[test]
    fn the_number_over_the_bars_of_an_hour_is_the_hours() {
        let chart = Chart::of_an_hour("paid", &[3, 0, 1, 0]);
        assert_eq!((chart.number, chart.unit, chart.bars.len()), (4, "", 4));
    }
}

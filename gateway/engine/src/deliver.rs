//! Deliveries to merchants' webhooks: which are due, and what follows from a try. Sending is
//! somebody else's work.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use dukou_domain::{DeliveryId, DeliveryState, TenantId, Timestamp};
use rand::Rng as _;
use uuid::Uuid;

use crate::delivery::{
    DEAD_AFTER, Delivery, DeliveryFilter, Endpoint, EventHead, JITTER, KEPT_TRIES, Lease, LeaseId, Leased, Tried, Try,
    next_try,
};
use crate::engine::Engine;
use crate::error::EngineError;
use crate::number;
use crate::ports::{NewDelivery, Room, StoreError};
use crate::records::{EventKind, NewEvent, Page, Subject};
use crate::tenant::Tenant;

/// Entries of the event log that are looked at in one round.
const ROUND: u32 = 256;
/// How far the log may be read without keeping the place, while nobody wants its entries: a write
/// for each would cost those who pay.
const UNKEPT: i64 = 10_000;
/// How long a delivery that was taken is left to whoever took it: three times as long as a try. What an instance that
/// is gone had in hand waits so long for another.
const LEASE: Duration = Duration::from_secs(45);

/// How long a tenant's events are entered after somebody was last known to have a webhook for it, by an instance
/// that has none: longer than a rollout, or a file that is refused, goes unnoticed.
const WANTED: Duration = Duration::from_secs(24 * 60 * 60);
/// How often it is noted again which webhooks are here.
const NOTE_AGAIN: Duration = Duration::from_secs(60 * 60);
/// How often to look for webhooks that are new here.
const LOOK: Duration = Duration::from_secs(1);

const NO_WEBHOOK: &str = "no webhook is configured for this tenant";

/// How far the event log was read.
#[derive(Debug, Default)]
pub struct Place {
    /// The incarnation of the store whose log it is: in another one the place is looked up again.
    incarnation: Option<Uuid>,
    /// As the store has it; `None` before it was asked.
    kept: Option<i64>,
    read: i64,
    noted: Noted,
}

/// The tenants that were noted as having a webhook, or as perhaps having one.
#[derive(Debug, Default)]
struct Noted {
    tenants: HashSet<TenantId>,
    since: Option<Instant>,
    looked: Option<Instant>,
}

/// What one round of entering did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entered {
    /// Deliveries that are new.
    pub deliveries: usize,
    /// There may be more entries to read at once.
    pub more: bool,
}

/// A try that was made of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub delivery: Delivery,
    pub lease: LeaseId,
    /// Its number is counted here.
    pub attempt: Try,
}

impl Made {
    pub fn new(leased: Leased, attempt: Try) -> Self {
        Made { delivery: leased.delivery, lease: leased.lease, attempt }
    }
}

impl Engine {
    /// Enters deliveries for the events after `place`, of the tenants that have a webhook, that had one a day ago or
    /// less, and that are not known here: whoever has their webhook delivers them.
    ///
    /// # Errors
    /// [`StoreError`]; the place is then as it was, or is read from the store the next time.
    pub async fn enter_deliveries(&self, place: &mut Place) -> Result<Entered, StoreError> {
        let deliveries = self.store.deliveries();
        let incarnation = Some(self.store.identity().incarnation);
        if place.incarnation != incarnation {
            *place = Place { incarnation, ..Place::default() };
        }
        let kept = match place.kept {
            Some(kept) => kept,
            None => {
                let kept = deliveries.entered_to().await?;
                (place.kept, place.read) = (Some(kept), kept);
                kept
            }
        };
        self.note_webhooks(&mut place.noted).await?;
        // Read before the tenants are looked at: what comes later is not passed over.
        let position = self.store.position().await?;
        let (heads, to, more) = if self.tenants.any_webhook() || !self.wanted().await?.is_empty() {
            let heads = deliveries.event_heads(place.read, ROUND).await?;
            let Some(last) = heads.last() else { return Ok(Entered { deliveries: 0, more: false }) };
            let (to, more) = (last.position, heads.len() == ROUND as usize);
            (heads, to, more)
        } else {
            (Vec::new(), position, false)
        };
        let unknown: HashSet<TenantId> = heads
            .iter()
            .filter(|head| self.has_webhook(&head.tenant).is_none() && !place.noted.tenants.contains(&head.tenant))
            .map(|head| head.tenant.clone())
            .collect();
        self.note(&mut place.noted, unknown).await?;
        let here = |head: &EventHead| self.has_webhook(&head.tenant).unwrap_or(true);
        let wanted = if heads.iter().all(here) { HashSet::new() } else { self.wanted().await? };
        let now = self.now();
        let new: Vec<NewDelivery> = heads
            .into_iter()
            .filter(|head| here(head) || wanted.contains(&head.tenant))
            .map(|head| NewDelivery {
                id: number::delivery_id(),
                tenant: head.tenant,
                event: head.id,
                kind: head.kind,
                position: head.position,
                created_at: now,
                due_at: now,
            })
            .collect();
        let count = new.len();
        if count > 0 || to - kept >= UNKEPT {
            // Whatever becomes of it, the store knows better.
            place.kept = None;
            deliveries.enter(kept, to, new).await?;
            place.kept = Some(to);
        }
        place.read = to;
        Ok(Entered { deliveries: count, more })
    }

    /// Takes deliveries that are due: at most `limit` in all, and as many of a tenant as `room` says.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lease_deliveries(&self, limit: u32, room: Room) -> Result<Lease, StoreError> {
        let now = self.now();
        self.store.deliveries().lease(now, now.plus(LEASE), limit, room).await
    }

    /// Enters what became of tries, and switches off the endpoints that are dead by now. Returns the
    /// state each delivery is in, in the order of `made`.
    ///
    /// # Errors
    /// [`StoreError`]; the same tries may be given again.
    pub async fn record_deliveries(&self, made: &[Made]) -> Result<Vec<DeliveryState>, StoreError> {
        let tried: Vec<Tried> = made.iter().map(|made| judge(made, jitter())).collect();
        let states = tried.iter().map(|tried| tried.state).collect();
        let now = self.now();
        for (tenant, since) in self.store.deliveries().record(tried).await? {
            if now.since(since) >= DEAD_AFTER {
                self.disable_webhook(tenant, since, now).await;
            }
        }
        Ok(states)
    }

    async fn disable_webhook(&self, tenant: TenantId, since: Timestamp, now: Timestamp) {
        let endpoint = Endpoint { failing_since: Some(since), disabled_at: Some(now) };
        let event = endpoint_event(tenant.clone(), EventKind::EndpointDisabled, endpoint, now);
        match self.store.deliveries().disable(since, event).await {
            Ok(true) => {
                self.telemetry.event(&tenant, EventKind::EndpointDisabled);
                tracing::warn!(%tenant, "the webhook took nothing for days and is switched off");
            }
            Ok(false) => {}
            // The next failure comes here again.
            Err(error) => tracing::warn!(%tenant, %error, "a dead webhook could not be switched off"),
        }
    }

    /// # Errors
    /// [`EngineError::Store`].
    pub async fn deliveries(&self, filter: DeliveryFilter) -> Result<Page<Delivery>, EngineError> {
        Ok(self.store.deliveries().deliveries(filter).await?)
    }

    /// Tries a delivery again now: one that was delivered or exhausted with its schedule from the beginning. Whoever
    /// got it before knows it by the event's id.
    ///
    /// # Errors
    /// [`EngineError::NotFound`]; [`EngineError::InvalidState`] when the tenant has no webhook, or it is switched off, so that
    /// nothing would be sent; [`EngineError::Store`].
    pub async fn retry_delivery(&self, tenant: &Tenant, id: DeliveryId) -> Result<Delivery, EngineError> {
        let refused = |why: &str| Err(EngineError::InvalidState(why.to_owned()));
        if tenant.webhook.is_none() {
            return refused(NO_WEBHOOK);
        }
        if self.store.deliveries().endpoint(&tenant.id).await?.disabled_at.is_some() {
            return refused("the webhook is switched off; switched on again it is sent all that waits, this one too");
        }
        self.store.deliveries().retry(&tenant.id, id, self.now()).await?.ok_or(EngineError::NotFound)
    }

    /// Switches the tenant's endpoint on again; what waited for it is sent. One that is on stays on.
    ///
    /// # Errors
    /// [`EngineError::InvalidState`] when the tenant has no webhook, [`EngineError::Store`].
    pub async fn enable_webhook(&self, tenant: &Tenant) -> Result<Endpoint, EngineError> {
        if tenant.webhook.is_none() {
            return Err(EngineError::InvalidState(NO_WEBHOOK.to_owned()));
        }
        let now = self.now();
        let event = endpoint_event(tenant.id.clone(), EventKind::EndpointEnabled, Endpoint::default(), now);
        if self.store.deliveries().enable(event, now).await? {
            self.telemetry.event(&tenant.id, EventKind::EndpointEnabled);
        }
        Ok(self.store.deliveries().endpoint(&tenant.id).await?)
    }

    /// Whether the tenant has a webhook, as far as is known here; `None` where the tenant is not known.
    pub fn has_webhook(&self, tenant: &TenantId) -> Option<bool> {
        self.tenants.find_even_removed(tenant.as_str()).map(|tenant| tenant.webhook.is_some())
    }

    async fn wanted(&self) -> Result<HashSet<TenantId>, StoreError> {
        let since = self.now().as_millis().saturating_sub(i64::try_from(WANTED.as_millis()).unwrap_or(i64::MAX));
        self.store.deliveries().wanted(Timestamp::from_millis(since)).await
    }

    /// Notes the webhooks that are new here, and from time to time all of them.
    async fn note_webhooks(&self, noted: &mut Noted) -> Result<(), StoreError> {
        if noted.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return Ok(());
        }
        if noted.since.is_none_or(|since| since.elapsed() >= NOTE_AGAIN) {
            *noted = Noted { since: Some(Instant::now()), ..Noted::default() };
        }
        let served = self.tenants.all();
        let new = served.iter().filter(|tenant| tenant.webhook.is_some() && !noted.tenants.contains(&tenant.id));
        let new = new.map(|tenant| tenant.id.clone()).collect();
        self.note(noted, new).await?;
        noted.looked = Some(Instant::now());
        Ok(())
    }

    async fn note(&self, noted: &mut Noted, tenants: HashSet<TenantId>) -> Result<(), StoreError> {
        if !tenants.is_empty() {
            self.store.deliveries().want(tenants.iter().cloned().collect(), self.now()).await?;
            noted.tenants.extend(tenants);
        }
        Ok(())
    }
}

fn endpoint_event(tenant: TenantId, kind: EventKind, endpoint: Endpoint, at: Timestamp) -> NewEvent {
    NewEvent { id: number::event_id(), tenant, kind, at, subject: Subject::Endpoint(endpoint) }
}

fn jitter() -> i32 {
    rand::rng().random_range(-JITTER..=JITTER)
}

/// What follows from a try.
fn judge(made: &Made, jitter: i32) -> Tried {
    let Made { delivery, lease, attempt } = made;
    let ended = attempt.at.plus(Duration::from_millis(u64::from(attempt.millis)));
    let (state, failed, next_at, delivered_at) = match attempt.error {
        None => (DeliveryState::Delivered, delivery.failed, None, Some(ended)),
        Some(_) => {
            let failed = delivery.failed.saturating_add(1);
            match next_try(failed, ended, jitter) {
                Some(at) => (DeliveryState::Pending, failed, Some(at), None),
                None => (DeliveryState::Exhausted, failed, None, None),
            }
        }
    };
    let mut tries = delivery.tries.clone();
    tries.push(Try { number: delivery.made.saturating_add(1), ..attempt.clone() });
    let surplus = tries.len().saturating_sub(KEPT_TRIES);
    tries.drain(..surplus);
    Tried {
        tenant: delivery.tenant.clone(),
        position: delivery.position,
        lease: *lease,
        made_before: delivery.made,
        state,
        failed,
        next_at,
        delivered_at,
        tries,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::TryError;
    use dukou_domain::EventId;

    fn made(made: u32, failed: u32, error: Option<TryError>) -> Made {
        let at = Timestamp::from_millis(1_790_000_000_000);
        let attempt = |number| Try { number, at, status: None, error, millis: 250 };
        Made {
            delivery: Delivery {
                id: DeliveryId::from_uuid(Uuid::nil()),
                tenant: TenantId::new("bookshop").unwrap(),
                event: EventId::from_uuid(Uuid::nil()),
                kind: EventKind::PaymentSucceeded,
                position: 7,
                state: DeliveryState::Pending,
                made,
                failed,
                next_at: Some(at),
                created_at: at,
                delivered_at: None,
                tries: (1..=made).map(attempt).collect(),
            },
            lease: LeaseId(0),
            attempt: attempt(0),
        }
    }

    #[test]
    fn a_success_ends_it_and_the_eighth_failure_exhausts_it() {
        let ended = Timestamp::from_millis(1_790_000_000_250);
        let well = judge(&made(3, 3, None), 0);
        assert_eq!((well.state, well.next_at, well.delivered_at), (DeliveryState::Delivered, None, Some(ended)));
        for (before, state) in [(0, DeliveryState::Pending), (6, DeliveryState::Pending), (7, DeliveryState::Exhausted)]
        {
            let tried = judge(&made(before, before, Some(TryError::Timeout)), 0);
            assert_eq!((tried.state, tried.failed, tried.delivered_at), (state, before + 1, None));
            assert_eq!(tried.next_at.is_some(), state == DeliveryState::Pending);
            assert_eq!(tried.tries.last().unwrap().number, before + 1);
        }
        let first = judge(&made(0, 0, Some(TryError::Status)), 0);
        assert_eq!(first.next_at, Some(ended.plus(Duration::from_secs(5))), "counted from the end of the try");
    }

    #[test]
    fn only_the_newest_tries_are_kept() {
        let tried = judge(&made(16, 1, Some(TryError::Connect)), 0);
        assert_eq!(tried.tries.len(), KEPT_TRIES);
        assert_eq!((tried.tries[0].number, tried.tries[15].number), (2, 17));
    }
}

//! What every store must do with deliveries.

use std::future::Future;

use dukou_domain::{DeliveryId, DeliveryState, TenantId, Timestamp};
use dukou_engine::delivery::{Delivery, DeliveryFilter, Endpoint, Lease, Leased, Tried, Try, TryError};
use dukou_engine::ports::{Change, NewDelivery, Old, Room, Store, StoreError};
use dukou_engine::records::{EventKind, NewEvent, PageCursor, Subject};
use uuid::Uuid;

use crate::records::*;

/// Runs all of it, each part on a new store.
pub async fn all<S: Store, F: Future<Output = S>>(new: impl Fn() -> F) {
    events_are_entered_once(&new().await).await;
    what_is_leased_is_not_leased_again(&new().await).await;
    tenants_share_evenly(&new().await).await;
    an_outcome_counts_once(&new().await).await;
    f12_who_was_frozen_past_a_lease_changes_nothing(&new().await).await;
    an_endpoint_is_switched_off_and_on_once(&new().await).await;
    pages_are_newest_first(&new().await).await;
    a_retry_by_hand_makes_it_due(&new().await).await;
    what_waits_is_counted_by_tenant(&new().await).await;
    what_ended_long_ago_is_forgotten(&new().await).await;
    what_nobody_wanted_since_is_forgotten(&new().await).await;
}

fn shop(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

/// Appends an event of the tenant and enters its delivery at that moment.
pub async fn deliver(store: &dyn Store, tenant: &TenantId, created_at: Timestamp) -> NewDelivery {
    let told = event(EventKind::PaymentCreated, Subject::Payment(Box::new(payment("B1", 1_000))));
    let told = NewEvent { tenant: tenant.clone(), ..told };
    let id = told.id;
    apply(store, target("B1"), move |_| Change { events: vec![told.clone()], ..Change::default() }).await.unwrap();
    let position = store.position().await.unwrap();
    let new = NewDelivery {
        id: DeliveryId::from_uuid(Uuid::now_v7()),
        tenant: tenant.clone(),
        event: id,
        kind: EventKind::PaymentCreated,
        position,
        created_at,
        due_at: created_at,
    };
    let from = store.deliveries().entered_to().await.unwrap();
    store.deliveries().enter(from, position, vec![new.clone()]).await.unwrap();
    new
}

fn room(each: u32) -> Room {
    Box::new(move |_| each)
}

async fn lease(store: &dyn Store, now: i64, limit: u32, room: Room) -> Lease {
    store.deliveries().lease(at(now), at(now + 60_000), limit, room).await.unwrap()
}

fn tried(leased: &Leased, error: Option<TryError>, state: DeliveryState, next_at: Option<i64>) -> Tried {
    let Delivery { tenant, position, made, failed, .. } = leased.delivery.clone();
    let one = Try { number: made + 1, at: at(2_000), status: error.map(|_| 500), error, millis: 12 };
    let tries = leased.delivery.tries.iter().cloned().chain([one]).collect();
    let failed = failed + u32::from(error.is_some());
    let delivered_at = (state == DeliveryState::Delivered).then(|| at(2_012));
    let (lease, next_at) = (leased.lease, next_at.map(at));
    Tried { tenant, position, lease, made_before: made, state, failed, next_at, delivered_at, tries }
}

fn filter(tenant: &TenantId, state: Option<DeliveryState>, cursor: Option<PageCursor>, limit: u32) -> DeliveryFilter {
    DeliveryFilter { tenant: tenant.clone(), state, cursor, limit }
}

async fn only(store: &dyn Store, tenant: &TenantId) -> Delivery {
    let page = store.deliveries().deliveries(filter(tenant, None, None, 10)).await.unwrap();
    assert_eq!(page.items.len(), 1);
    page.items.into_iter().next().unwrap()
}

async fn events_are_entered_once(store: &dyn Store) {
    create(store, &payment("B1", 1_000)).await.unwrap();
    create(store, &payment("B2", 1_000)).await.unwrap();
    let deliveries = store.deliveries();
    assert_eq!(deliveries.entered_to().await.unwrap(), 0);
    let heads = deliveries.event_heads(0, 10).await.unwrap();
    let events = store.events(&tenant(), 0, 10).await.unwrap();
    assert_eq!(heads.iter().map(|head| head.id).collect::<Vec<_>>(), [events[0].event.id, events[1].event.id]);
    assert_eq!(deliveries.event_heads(heads[0].position, 10).await.unwrap(), heads[1..]);
    let new: Vec<NewDelivery> = heads
        .iter()
        .map(|head| NewDelivery {
            id: DeliveryId::from_uuid(Uuid::now_v7()),
            tenant: head.tenant.clone(),
            event: head.id,
            kind: head.kind,
            position: head.position,
            created_at: at(5),
            due_at: at(5),
        })
        .collect();
    let to = heads[1].position;
    deliveries.enter(0, to, new.clone()).await.unwrap();
    assert_eq!(deliveries.entered_to().await.unwrap(), to);
    let error = deliveries.enter(0, to, new).await.unwrap_err();
    assert!(matches!(error, StoreError::Conflict(_)), "{error}");
    assert_eq!(deliveries.deliveries(filter(&tenant(), None, None, 10)).await.unwrap().items.len(), 2);
    // A place that moves on without deliveries.
    create(store, &payment("B3", 1_000)).await.unwrap();
    let end = store.position().await.unwrap();
    deliveries.enter(to, end, Vec::new()).await.unwrap();
    assert_eq!((deliveries.entered_to().await.unwrap(), end > to), (end, true));
}

async fn what_is_leased_is_not_leased_again(store: &dyn Store) {
    let new = deliver(store, &tenant(), at(1_000)).await;
    let early = lease(store, 999, 10, room(10)).await;
    assert_eq!((early.taken.len(), early.next_at), (0, Some(at(1_000))));
    assert!(lease(store, 1_000, 10, room(0)).await.taken.is_empty());
    let taken = lease(store, 1_000, 10, room(10)).await.taken;
    assert_eq!(taken.len(), 1);
    let delivery = &taken[0].delivery;
    assert_eq!((delivery.id, delivery.event, delivery.position), (new.id, new.event, new.position));
    assert_eq!((delivery.state, delivery.made, delivery.next_at), (DeliveryState::Pending, 0, Some(at(1_000))));
    assert_eq!(taken[0].event, store.events(&tenant(), 0, 1).await.unwrap()[0].event);
    assert!(lease(store, 60_999, 10, room(10)).await.taken.is_empty());
    assert_eq!(only(store, &tenant()).await.next_at, Some(at(1_000)));
    // Whoever took it is gone.
    let again = lease(store, 61_000, 10, room(10)).await.taken;
    assert_eq!((&again[0].delivery, &again[0].event), (&taken[0].delivery, &taken[0].event));
    assert!(again.len() == 1 && again[0].lease != taken[0].lease);
}

async fn tenants_share_evenly(store: &dyn Store) {
    let (busy, calm, late) = (shop("a-busy"), shop("b-calm"), shop("c-late"));
    for index in 0..20 {
        deliver(store, &busy, at(1_000 + index)).await;
    }
    deliver(store, &calm, at(2_000)).await;
    deliver(store, &late, at(9_000)).await;
    let found = lease(store, 5_000, 10, room(100)).await;
    let of = |tenant: &TenantId| found.taken.iter().filter(|one| one.delivery.tenant == *tenant).count();
    assert_eq!((of(&busy), of(&calm), of(&late)), (5, 1, 0));
    assert_eq!(found.next_at, Some(at(9_000)));
    let calm_waits = lease(store, 5_000, 10, room(3)).await.taken;
    assert_eq!(calm_waits.len(), 3, "no more than the room");
    // The one that waited longest comes first where there is not enough for all.
    deliver(store, &calm, at(100)).await;
    let first = lease(store, 5_000, 1, room(3)).await.taken;
    assert_eq!(first[0].delivery.tenant, calm);
    let only_late = lease(store, 9_000, 10, Box::new(move |tenant| u32::from(*tenant == late))).await.taken;
    assert_eq!(only_late.len(), 1);
}

async fn an_outcome_counts_once(store: &dyn Store) {
    deliver(store, &tenant(), at(1_000)).await;
    let taken = lease(store, 1_000, 10, room(10)).await.taken;
    let again = tried(&taken[0], Some(TryError::Status), DeliveryState::Pending, Some(7_000));
    let failing = store.deliveries().record(vec![again.clone()]).await.unwrap();
    assert_eq!(failing, [(tenant(), at(2_000))]);
    let kept = only(store, &tenant()).await;
    assert_eq!((kept.made, kept.failed, kept.next_at, &kept.tries), (1, 1, Some(at(7_000)), &again.tries));
    // The same word a second time, and one of a lease that was lost.
    store.deliveries().record(vec![again]).await.unwrap();
    assert_eq!(only(store, &tenant()).await, kept);
    let second = lease(store, 7_000, 10, room(10)).await.taken;
    assert_eq!(second[0].delivery, kept);
    let old = tried(&taken[0], None, DeliveryState::Delivered, None);
    store.deliveries().record(vec![old]).await.unwrap();
    assert_eq!(only(store, &tenant()).await.state, DeliveryState::Pending);

    let well = tried(&second[0], None, DeliveryState::Delivered, None);
    assert!(store.deliveries().record(vec![well]).await.unwrap().is_empty());
    let done = only(store, &tenant()).await;
    assert_eq!((done.state, done.made, done.next_at), (DeliveryState::Delivered, 2, None));
    assert_eq!((done.delivered_at, done.tries.len()), (Some(at(2_012)), 2));
    let nothing = lease(store, 1_000_000, 10, room(10)).await;
    assert_eq!(nothing, Lease::default());
}

/// Watches: the lease in the condition of the write. With the count of tries alone, the late word of the first holder
/// takes the delivery from the second, whose word then counts for nothing.
async fn f12_who_was_frozen_past_a_lease_changes_nothing(store: &dyn Store) {
    deliver(store, &tenant(), at(1_000)).await;
    let frozen = lease(store, 1_000, 10, room(10)).await.taken.remove(0);
    let holder = lease(store, 61_000, 10, room(10)).await.taken.remove(0);
    assert_eq!(frozen.delivery.id, holder.delivery.id);
    let before = only(store, &tenant()).await;
    for late in [
        tried(&frozen, Some(TryError::Timeout), DeliveryState::Pending, Some(66_000)),
        tried(&frozen, Some(TryError::Timeout), DeliveryState::Exhausted, None),
        tried(&frozen, None, DeliveryState::Delivered, None),
    ] {
        assert!(store.deliveries().record(vec![late]).await.unwrap().is_empty());
        assert_eq!(only(store, &tenant()).await, before, "while the second is at it");
        assert_eq!(store.deliveries().endpoint(&tenant()).await.unwrap(), Endpoint::default());
    }
    let well = tried(&holder, None, DeliveryState::Delivered, None);
    store.deliveries().record(vec![well]).await.unwrap();
    let done = only(store, &tenant()).await;
    assert_eq!((done.state, done.made), (DeliveryState::Delivered, 1));
    let late = tried(&frozen, Some(TryError::Timeout), DeliveryState::Pending, Some(66_000));
    store.deliveries().record(vec![late]).await.unwrap();
    assert_eq!(only(store, &tenant()).await, done, "and after it");
}

async fn an_endpoint_is_switched_off_and_on_once(store: &dyn Store) {
    let deliveries = store.deliveries();
    assert_eq!(deliveries.endpoint(&tenant()).await.unwrap(), Endpoint::default());
    for _ in 0..3 {
        deliver(store, &tenant(), at(1_000)).await;
    }
    let taken = lease(store, 1_000, 10, room(10)).await.taken;
    let failed = |index: usize| tried(&taken[index], Some(TryError::Connect), DeliveryState::Pending, Some(7_000));
    let well = tried(&taken[1], None, DeliveryState::Delivered, None);
    // A success among failures begins the count anew.
    let failing = deliveries.record(vec![failed(0), well, failed(2)]).await.unwrap();
    assert_eq!(failing, [(tenant(), at(2_000))]);
    let told = |kind| NewEvent { at: at(9_000), ..event(kind, Subject::Endpoint(Endpoint::default())) };
    let position = store.position().await.unwrap();
    assert!(!deliveries.disable(at(1), told(EventKind::EndpointDisabled)).await.unwrap(), "it took something since");
    assert!(!deliveries.enable(told(EventKind::EndpointEnabled), at(6_000)).await.unwrap());
    assert_eq!(store.position().await.unwrap(), position);
    assert!(deliveries.disable(at(2_000), told(EventKind::EndpointDisabled)).await.unwrap());
    assert!(!deliveries.disable(at(2_000), told(EventKind::EndpointDisabled)).await.unwrap());
    let off = Endpoint { failing_since: Some(at(2_000)), disabled_at: Some(at(9_000)) };
    assert_eq!(deliveries.endpoint(&tenant()).await.unwrap(), off);
    assert_eq!(lease(store, 7_000, 10, room(10)).await, Lease::default(), "nothing is sent to it");
    assert!(deliveries.enable(told(EventKind::EndpointEnabled), at(6_000)).await.unwrap());
    assert_eq!(deliveries.endpoint(&tenant()).await.unwrap(), Endpoint::default());
    // What was to be tried later is due when it was switched on, in the order of its age.
    assert_eq!(lease(store, 5_999, 10, room(10)).await.taken, []);
    let taken_again = lease(store, 6_000, 10, room(10)).await.taken;
    let ids = |taken: &[Leased]| taken.iter().map(|one| one.delivery.id).collect::<Vec<_>>();
    assert_eq!(ids(&taken_again), [taken[0].delivery.id, taken[2].delivery.id]);
    let kinds: Vec<EventKind> =
        store.events(&tenant(), position, 10).await.unwrap().iter().map(|event| event.event.kind).collect();
    assert_eq!(kinds, [EventKind::EndpointDisabled, EventKind::EndpointEnabled]);
}

async fn pages_are_newest_first(store: &dyn Store) {
    let mut entered = Vec::new();
    for index in 0..5 {
        entered.push(deliver(store, &tenant(), at(1_000 + index / 2)).await.id);
    }
    deliver(store, &shop("other"), at(1_000)).await;
    entered.reverse();
    let taken = lease(store, 1_000, 1, Box::new(|tenant| u32::from(tenant.as_str() == "bookshop"))).await.taken;
    let well = tried(&taken[0], None, DeliveryState::Delivered, None);
    store.deliveries().record(vec![well]).await.unwrap();
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = store.deliveries().deliveries(filter(&tenant(), None, cursor, 2)).await.unwrap();
        seen.extend(page.items.iter().map(|delivery| delivery.id));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, entered);
    for (state, count) in [(DeliveryState::Pending, 4), (DeliveryState::Delivered, 1), (DeliveryState::Exhausted, 0)] {
        let page = store.deliveries().deliveries(filter(&tenant(), Some(state), None, 10)).await.unwrap();
        assert!(page.items.iter().all(|delivery| delivery.state == state));
        assert_eq!(page.items.len(), count, "{state}");
    }
}

async fn a_retry_by_hand_makes_it_due(store: &dyn Store) {
    let new = deliver(store, &tenant(), at(1_000)).await;
    let deliveries = store.deliveries();
    assert_eq!(deliveries.retry(&shop("other"), new.id, at(1)).await.unwrap(), None);
    assert_eq!(deliveries.retry(&tenant(), DeliveryId::from_uuid(Uuid::nil()), at(1)).await.unwrap(), None);

    let taken = lease(store, 1_000, 10, room(10)).await.taken;
    let meanwhile = deliveries.retry(&tenant(), new.id, at(1_500)).await.unwrap().unwrap();
    assert_eq!(meanwhile, taken[0].delivery, "it is being tried");
    let later = tried(&taken[0], Some(TryError::Timeout), DeliveryState::Pending, Some(900_000));
    deliveries.record(vec![later]).await.unwrap();
    let sooner = deliveries.retry(&tenant(), new.id, at(3_000)).await.unwrap().unwrap();
    assert_eq!((sooner.next_at, sooner.failed), (Some(at(3_000)), 1));

    let taken = lease(store, 3_000, 10, room(10)).await.taken;
    let over = tried(&taken[0], Some(TryError::Timeout), DeliveryState::Exhausted, None);
    deliveries.record(vec![over]).await.unwrap();
    let anew = deliveries.retry(&tenant(), new.id, at(4_000)).await.unwrap().unwrap();
    assert_eq!((anew.state, anew.next_at), (DeliveryState::Pending, Some(at(4_000))));
    assert_eq!((anew.made, anew.failed), (2, 0));

    let taken = lease(store, 4_000, 10, room(10)).await.taken;
    deliveries.record(vec![tried(&taken[0], None, DeliveryState::Delivered, None)]).await.unwrap();
    let done = deliveries.retry(&tenant(), new.id, at(5_000)).await.unwrap().unwrap();
    assert_eq!((done.state, done.next_at), (DeliveryState::Pending, Some(at(5_000))), "it is sent once more");
    assert_eq!((done.made, done.failed, done.delivered_at), (3, 0, None));
    let taken = lease(store, 5_000, 10, room(10)).await.taken;
    assert_eq!((taken.len(), taken[0].delivery.id, taken[0].event.id), (1, new.id, new.event));
    deliveries.record(vec![tried(&taken[0], None, DeliveryState::Delivered, None)]).await.unwrap();
    let ended = deliveries.deliveries_of(&tenant(), vec![new.position]).await.unwrap();
    assert_eq!((ended[0].state, ended[0].made), (DeliveryState::Delivered, 4));
}

async fn what_waits_is_counted_by_tenant(store: &dyn Store) {
    assert!(store.deliveries().backlog().await.unwrap().is_empty());
    let other = shop("other");
    for (tenant, created_at) in [(tenant(), 3_000), (tenant(), 4_000), (other.clone(), 5_000)] {
        deliver(store, &tenant, at(created_at)).await;
    }
    let mut backlog = store.deliveries().backlog().await.unwrap();
    backlog.sort_by(|one, other| one.tenant.as_str().cmp(other.tenant.as_str()));
    let shown: Vec<_> =
        backlog.iter().map(|one| (one.tenant.as_str(), one.pending, one.oldest, one.disabled)).collect();
    assert_eq!(shown, [("bookshop", 2, at(3_000), false), ("other", 1, at(5_000), false)]);
    let taken = lease(store, 10_000, 10, Box::new(|tenant| u32::from(tenant.as_str() == "other"))).await.taken;
    deliveries_end(store, &taken[0]).await;
    assert_eq!(store.deliveries().backlog().await.unwrap().len(), 1);
}

async fn deliveries_end(store: &dyn Store, leased: &Leased) {
    let well = tried(leased, None, DeliveryState::Delivered, None);
    store.deliveries().record(vec![well]).await.unwrap();
}

async fn what_ended_long_ago_is_forgotten(store: &dyn Store) {
    let (a, b) = (shop("a"), shop("b"));
    for created_at in [10, 20, 30] {
        deliver(store, &a, at(created_at)).await;
        deliver(store, &b, at(created_at)).await;
    }
    let taken = lease(store, 1_000, 6, room(6)).await.taken;
    let ended = taken.iter().map(|leased| match (leased.delivery.tenant == a, leased.delivery.created_at) {
        (true, _) => tried(leased, None, DeliveryState::Delivered, None),
        (false, created_at) if created_at == at(20) => {
            tried(leased, Some(TryError::Status), DeliveryState::Exhausted, None)
        }
        (false, _) => tried(leased, Some(TryError::Status), DeliveryState::Pending, Some(9_000)),
    });
    store.deliveries().record(ended.collect()).await.unwrap();
    for deleted in [2, 1, 0] {
        assert_eq!(store.forget(Old::Deliveries, at(25), 2).await.unwrap(), deleted);
    }
    let left = async |tenant: &TenantId| {
        let page = store.deliveries().deliveries(filter(tenant, None, None, 10)).await.unwrap();
        page.items.iter().map(|delivery| delivery.created_at.as_millis()).collect::<Vec<_>>()
    };
    assert_eq!(left(&a).await, [30], "what is not old stays");
    assert_eq!(left(&b).await, [30, 10], "what waits is never old");
    let position = store.position().await.unwrap();
    assert_eq!(store.deliveries().entered_to().await.unwrap(), position, "nothing is entered again");
}

async fn what_nobody_wanted_since_is_forgotten(store: &dyn Store) {
    let (gone, served) = (shop("gone"), shop("served"));
    for tenant in [&gone, &served] {
        deliver(store, tenant, at(10)).await;
    }
    let deliveries = store.deliveries();
    let wanted = async |since| {
        let mut wanted: Vec<_> = deliveries.wanted(at(since)).await.unwrap().iter().map(ToString::to_string).collect();
        wanted.sort();
        wanted
    };
    deliveries.want(vec![served.clone(), gone.clone()], at(20)).await.unwrap();
    assert_eq!(wanted(20).await, ["gone", "served"]);
    assert_eq!(store.forget(Old::Deliveries, at(1_000), 5).await.unwrap(), 0, "nobody was here to want anything");
    deliveries.want(vec![served.clone()], at(1_000)).await.unwrap();
    deliveries.want(vec![served.clone()], at(900)).await.unwrap();
    assert_eq!(wanted(21).await, ["served"]);
    assert_eq!(wanted(1_001).await, Vec::<String>::new());
    assert_eq!(store.forget(Old::Deliveries, at(1_000), 5).await.unwrap(), 1);
    for (tenant, left) in [(&gone, 0), (&served, 1)] {
        assert_eq!(deliveries.deliveries(filter(tenant, None, None, 10)).await.unwrap().items.len(), left, "{tenant}");
    }
}

/// Five events, of which `spoil` makes those at the given positions ones of a kind that nobody here knows.
pub async fn an_event_that_cannot_be_read_is_passed_over(store: &dyn Store, spoil: impl Fn(&[i64])) {
    for _ in 0..5 {
        deliver(store, &tenant(), at(10)).await;
    }
    let end = store.position().await.unwrap();
    let read = async |after, limit| {
        let heads = store.deliveries().event_heads(after, limit).await.unwrap();
        heads.iter().map(|head| end - head.position).collect::<Vec<_>>()
    };
    assert_eq!(read(0, 10).await, [4, 3, 2, 1, 0]);
    spoil(&[end - 3, end - 2, end]);
    assert_eq!(read(0, 10).await, [4, 1]);
    assert_eq!(read(0, 2).await, [4, 1], "as many as were asked for, where there are as many");
    assert_eq!(read(end - 4, 1).await, [1]);
    assert_eq!(read(end - 1, 10).await, Vec::<i64>::new());
    deliver(store, &tenant(), at(10)).await;
    assert_eq!(read(end - 1, 10).await, [-1], "what comes after it is read");
}

//! Questions in turn: who is silent holds up nobody else.

use std::sync::Arc;
use std::time::Duration;

use dukou_domain::{OutTradeNo, ProviderName, TenantId};
use dukou_engine::Engine;
use dukou_engine::tenant::Tenant;
use dukou_spi::Provider;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::{Held, House, Platform, lost, order, refund};

const MINUTE: Duration = Duration::from_secs(60);
/// Questions of one tenant at the same time.
const ROOM: usize = 4;

/// The engine at its questions, until it is told to stop.
struct Asking {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Asking {
    fn begin(engine: &Arc<Engine>) -> Self {
        let (stop, stopping) = watch::channel(false);
        Asking { stop, task: tokio::spawn(Arc::clone(engine).keep_asking(stopping)) }
    }

    async fn stop(self) {
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(Duration::from_secs(20), self.task).await;
        ended.expect("it ends with the questions that are out").unwrap();
    }
}

/// A second tenant, at the house's other platform, and an engine that serves both.
fn with_neighbour(house: &House) -> (Arc<Engine>, Arc<Tenant>) {
    let mut tenant = Tenant::clone(&house.tenant);
    tenant.id = TenantId::new("neighbour").unwrap();
    let provider: Arc<dyn Provider> = Arc::<Platform>::clone(&house.other);
    tenant.providers = [(ProviderName::new("words").unwrap(), provider)].into();
    let tenant = Arc::new(tenant);
    let both = [&house.tenant, &tenant];
    (house.engine_of(&both, &both), tenant)
}

/// The platform answers none of the next questions, as many as there is room for.
async fn silent(house: &House, asking: impl FnOnce() -> Asking) -> (Vec<Held>, Asking) {
    let mut held: Vec<Held> = (0..ROOM).map(|_| house.hold("query")).collect();
    let asking = asking();
    for one in &mut held {
        one.arrived().await;
    }
    (held, asking)
}

async fn create_many(house: &House, count: usize) {
    for number in 0..count {
        house.create(&format!("N-{number}")).await;
    }
}

#[tokio::test]
async fn a_silent_platform_of_one_tenant_delays_no_other() {
    let house = House::new();
    let (engine, neighbour) = with_neighbour(&house);
    create_many(&house, 40).await;
    house.wait(MINUTE);
    let (held, asking) = silent(&house, || Asking::begin(&engine)).await;
    // It becomes due while all that the first may have out is out.
    engine.create_payment(&neighbour, order("N-0")).await.unwrap();
    let mut asked = house.other.hold_next("query");
    house.wait(MINUTE);
    asked.arrived().await;
    asked.thaw();
    assert_eq!(house.calls("query"), ROOM, "none has more out than its room");
    held.into_iter().for_each(Held::thaw);
    asking.stop().await;
}

#[tokio::test]
async fn refunds_are_asked_after_whatever_payments_wait_for() {
    let house = House::new();
    create_many(&house, 40).await;
    assert_eq!(house.notify("paid N-0 101 app mch 42").await, "Accepted");
    house.wait(MINUTE);
    let (held, asking) = silent(&house, || Asking::begin(&house.engine)).await;
    house.engine.create_refund(&house.tenant, &OutTradeNo::new("N-0").unwrap(), refund("R-1", 1)).await.unwrap();
    let mut asked = house.hold("query_refund");
    house.wait(MINUTE);
    asked.arrived().await;
    asked.thaw();
    held.into_iter().for_each(Held::thaw);
    asking.stop().await;
}

#[tokio::test]
async fn a_lost_answer_is_asked_after_before_many_that_are_only_pending() {
    let house = House::new();
    create_many(&house, 40).await;
    house.wait(MINUTE);
    house.script(|script| script.pay.push_back(Err(lost())));
    house.engine.create_payment(&house.tenant, order("LOST")).await.unwrap_err();
    // Due after all the others.
    house.wait(Duration::from_secs(5));
    assert_eq!(house.engine.run_due().await, 41);
    let asked: Vec<String> = house.journal().into_iter().filter(|call| call.starts_with("query")).collect();
    let turn = asked.iter().position(|call| call == "query LOST").unwrap();
    assert!(turn < ROOM, "{turn}: {asked:?}");
}

#[tokio::test]
async fn nobody_waits_for_the_slowest() {
    let house = House::new();
    create_many(&house, 1).await;
    house.wait(MINUTE);
    let mut slow = house.hold("query");
    let asking = Asking::begin(&house.engine);
    slow.arrived().await;
    for number in ["L-1", "L-2"] {
        house.create(number).await;
        let mut asked = house.hold("query");
        house.wait(MINUTE);
        asked.arrived().await;
        asked.thaw();
    }
    slow.thaw();
    asking.stop().await;
}

/// A process that is told to stop waits for the questions that are out, and for no more.
#[tokio::test]
async fn a_stop_waits_for_the_questions_that_are_out() {
    let house = House::new();
    create_many(&house, 40).await;
    house.wait(MINUTE);
    let (held, asking) = silent(&house, || Asking::begin(&house.engine)).await;
    asking.stop.send_replace(true);
    held.into_iter().for_each(Held::thaw);
    asking.stop().await;
    assert_eq!(house.calls("query"), ROOM, "{:?}", house.journal());
}

/// Another instance may know it, and finds it as it was.
#[tokio::test]
async fn what_belongs_to_nobody_known_here_is_left_to_who_knows_it() {
    let house = House::new();
    house.create("N-1").await;
    assert_eq!(house.notify("paid N-1 101 app mch 42").await, "Accepted");
    house.engine.create_refund(&house.tenant, &OutTradeNo::new("N-1").unwrap(), refund("R-1", 1)).await.unwrap();
    house.create("N-2").await;
    house.wait(MINUTE);
    let before = house.read("N-2").await;
    let without_provider = house.without_words();
    for known in [&[][..], &[&without_provider]] {
        assert_eq!(house.engine_of(known, known).run_due().await, 0);
    }
    assert_eq!(house.read("N-2").await, before);
    assert_eq!(house.engine.run_due().await, 2);
}

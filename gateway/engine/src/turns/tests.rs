use super::*;

fn queue(tenant: &str, provider: &str, state: &str) -> Queue {
    Queue { tenant: tenant.to_owned(), provider: provider.to_owned(), state: state.to_owned() }
}

const PROMPT: Duration = Duration::from_millis(100);

fn of_kind(kind: &'static str, tenant: &str, provider: &str, state: &str, since: i64) -> (&'static str, Due) {
    (kind, Due { queue: queue(tenant, provider, state), since: Timestamp::from_millis(since) })
}

fn due(tenant: &str, provider: &str, state: &str, since: i64) -> (&'static str, Due) {
    of_kind("kind", tenant, provider, state, since)
}

/// As where every queue has as many as it may give.
fn begin_all(turns: &mut Turns, shares: &[Share]) {
    for share in shares {
        (0..share.limit).for_each(|_| turns.begin("kind", &share.queue));
    }
}

fn of(shares: &[Share], tenant: &str) -> u32 {
    shares.iter().filter(|share| share.queue.tenant == tenant).map(|share| share.limit).sum()
}

#[test]
fn a_tenant_has_its_room_and_what_is_out_counts() {
    let mut turns = Turns::default();
    let waiting = [due("a", "wechat", "pending", 1)];
    let shares = turns.shares(&waiting);
    assert_eq!(shares, [Share { queue: queue("a", "wechat", "pending"), limit: 4 }]);
    begin_all(&mut turns, &shares);
    assert_eq!(turns.shares(&waiting), []);
    let with_another = [due("a", "wechat", "pending", 1), due("b", "wechat", "pending", 9)];
    assert_eq!(of(&turns.shares(&with_another), "b"), 4);
    turns.end("kind", &queue("a", "wechat", "pending"), PROMPT);
    assert_eq!(of(&turns.shares(&waiting), "a"), 1);
}

#[test]
fn whoever_waited_longest_comes_first_and_then_they_take_turns() {
    let mut turns = Turns::default();
    // As many as there is room for, and one more.
    let waiting: Vec<(&'static str, Due)> =
        (0..33).map(|index| due(&format!("t{index}"), "wechat", "pending", 100 - index)).collect();
    let shares = turns.shares(&waiting);
    assert!(shares.iter().all(|share| share.limit == 1));
    assert_eq!((shares.len(), of(&shares, "t0")), (32, 0), "it has waited least");
    begin_all(&mut turns, &shares);
    assert_eq!(turns.shares(&waiting), []);
    // Its head is the youngest still, but it had no turn yet.
    turns.end("kind", &queue("t32", "wechat", "pending"), PROMPT);
    assert_eq!(of(&turns.shares(&waiting), "t0"), 1);
}

#[test]
fn many_silent_platforms_leave_room_for_one_that_answers() {
    for silent in 1..=15 {
        let mut turns = Turns::default();
        let mut waiting: Vec<(&'static str, Due)> =
            (0..silent).map(|index| due(&format!("t{index}"), "wechat", "unknown", 1)).collect();
        let shares = turns.shares(&waiting);
        begin_all(&mut turns, &shares);
        waiting.push(due("well", "wechat", "pending", 9));
        assert!(of(&turns.shares(&waiting), "well") > 0, "{silent}");
    }
}

#[test]
fn the_queues_of_a_tenant_take_turns() {
    let mut turns = Turns::default();
    let pending = due("a", "wechat", "pending", 1);
    let shares = turns.shares(std::slice::from_ref(&pending));
    begin_all(&mut turns, &shares);
    let waiting = [pending, due("a", "wechat", "unknown", 8), due("a", "wechat", "created", 9)];
    for next in ["unknown", "created", "pending", "unknown"] {
        turns.end("kind", &queue("a", "wechat", "pending"), PROMPT);
        let shares = turns.shares(&waiting);
        assert_eq!(shares, [Share { queue: queue("a", "wechat", next), limit: 1 }]);
        begin_all(&mut turns, &shares);
    }
}

#[test]
fn a_silent_provider_of_a_tenant_takes_no_place_of_another() {
    let mut turns = Turns::default();
    let silent = due("a", "silent", "pending", 1);
    let shares = turns.shares(std::slice::from_ref(&silent));
    begin_all(&mut turns, &shares);
    let waiting = [silent, due("a", "well", "pending", 9)];
    let shares = turns.shares(&waiting);
    assert_eq!(shares, [Share { queue: queue("a", "well", "pending"), limit: 4 }]);
    begin_all(&mut turns, &shares);
    // Each that ends makes room for one of its own, however long ago the silent one's turn was.
    turns.end("kind", &queue("a", "well", "pending"), PROMPT);
    assert_eq!(turns.shares(&waiting), [Share { queue: queue("a", "well", "pending"), limit: 1 }]);
}

#[test]
fn a_silent_platform_of_many_tenants_leaves_room_for_another() {
    let mut turns = Turns::default();
    let silent: Vec<_> =
        (0..100).map(|index| of_kind("silent", &format!("t{index}"), "wechat", "pending", index)).collect();
    let all_out = |turns: &mut Turns, waiting: &[(&'static str, Due)]| {
        let shares = turns.shares(waiting);
        shares.iter().for_each(|share| (0..share.limit).for_each(|_| turns.begin("silent", &share.queue)));
        shares
    };
    let first = all_out(&mut turns, &silent);
    assert_eq!(first.len(), 32, "nobody knows yet");
    first.iter().for_each(|share| turns.end("silent", &share.queue, Duration::from_secs(10)));
    let second = all_out(&mut turns, &silent);
    assert_eq!(second.len(), 24);
    let mut waiting = silent.clone();
    waiting.push(of_kind("well", "well", "other", "pending", 1_000));
    assert_eq!(turns.shares(&waiting), [Share { queue: queue("well", "other", "pending"), limit: 1 }]);
    // It answers again.
    second.iter().for_each(|share| turns.end("silent", &share.queue, PROMPT));
    assert_eq!(all_out(&mut turns, &silent).len(), 32);
}

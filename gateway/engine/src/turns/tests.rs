use super::*;

fn queue(tenant: &str, provider: &str, state: &str) -> Queue {
    Queue { tenant: tenant.to_owned(), provider: provider.to_owned(), state: state.to_owned() }
}

fn due(tenant: &str, provider: &str, state: &str, since: i64) -> Due {
    Due { queue: queue(tenant, provider, state), since: Timestamp::from_millis(since) }
}

/// As where every queue has as many as it may give.
fn begin_all(turns: &mut Turns, shares: &[Share]) {
    for share in shares {
        (0..share.limit).for_each(|_| turns.begin(&share.queue));
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
    turns.end(&queue("a", "wechat", "pending"));
    assert_eq!(of(&turns.shares(&waiting), "a"), 1);
}

#[test]
fn whoever_waited_longest_comes_first_and_then_they_take_turns() {
    let mut turns = Turns::default();
    // As many as there is room for, and one more.
    let waiting: Vec<Due> = (0..33).map(|index| due(&format!("t{index}"), "wechat", "pending", 100 - index)).collect();
    let shares = turns.shares(&waiting);
    assert!(shares.iter().all(|share| share.limit == 1));
    assert_eq!((shares.len(), of(&shares, "t0")), (32, 0), "it has waited least");
    begin_all(&mut turns, &shares);
    assert_eq!(turns.shares(&waiting), []);
    // Its head is the youngest still, but it had no turn yet.
    turns.end(&queue("t32", "wechat", "pending"));
    assert_eq!(of(&turns.shares(&waiting), "t0"), 1);
}

#[test]
fn many_silent_platforms_leave_room_for_one_that_answers() {
    for silent in 1..=15 {
        let mut turns = Turns::default();
        let mut waiting: Vec<Due> =
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
    let waiting = [pending, due("a", "wechat", "unknown", 8), due("a", "alipay", "pending", 9)];
    for next in [("wechat", "unknown"), ("alipay", "pending"), ("wechat", "pending"), ("wechat", "unknown")] {
        turns.end(&queue("a", "wechat", "pending"));
        let shares = turns.shares(&waiting);
        assert_eq!(shares, [Share { queue: queue("a", next.0, next.1), limit: 1 }]);
        begin_all(&mut turns, &shares);
    }
}

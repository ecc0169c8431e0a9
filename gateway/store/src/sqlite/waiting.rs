//! Reads that wait, tenant by tenant in turn: one that asks without end delays itself alone.
//!
//! What looks at one record, as a notify does, and what the gateway asks by itself wait in other lines than pages do,
//! and the two kinds take turns as well: a page takes longer, and nobody waits for more than one of them.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use dukou_domain::TenantId;
use foldhash::{HashMap, HashMapExt as _};

/// Where a read waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// The gateway's own work, whoever it is for.
    Gateway,
    /// One record of a tenant, or the few that belong to one.
    Record(TenantId),
    /// A page of a tenant's.
    Page(TenantId),
}

pub(super) struct Waiting<T> {
    /// `None` is the gateway.
    records: InTurn<Option<TenantId>, T>,
    pages: InTurn<TenantId, T>,
    pages_turn: bool,
    count: usize,
    most: usize,
}

impl<T> Waiting<T> {
    /// No more than `most` wait.
    pub fn new(most: usize) -> Self {
        Waiting { records: InTurn::new(), pages: InTurn::new(), pages_turn: false, count: 0, most }
    }

    /// Gives back what there is no room for. A tenant's line is never longer than what is left for all others: one alone
    /// takes half of the room, and a few together leave some of it.
    pub fn push(&mut self, line: Line, read: T) -> Result<(), T> {
        let left = self.most.saturating_sub(self.count);
        let pushed = match line {
            // Nobody outside can flood it.
            Line::Gateway => self.records.push(None, read, if left > 0 { usize::MAX } else { 0 }),
            Line::Record(tenant) => self.records.push(Some(tenant), read, left),
            Line::Page(tenant) => self.pages.push(tenant, read, left),
        };
        self.count += usize::from(pushed.is_ok());
        pushed
    }

    /// Whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        let read = if self.pages_turn {
            self.pages.pop().or_else(|| self.records.pop())
        } else {
            self.records.pop().or_else(|| self.pages.pop())
        };
        self.pages_turn = !self.pages_turn;
        self.count -= usize::from(read.is_some());
        read
    }
}

/// Lines that take turns.
struct InTurn<K, T> {
    /// Those in which somebody waits.
    lines: HashMap<K, VecDeque<T>>,
    order: VecDeque<K>,
}

impl<K: Clone + Eq + std::hash::Hash, T> InTurn<K, T> {
    fn new() -> Self {
        InTurn { lines: HashMap::new(), order: VecDeque::new() }
    }

    fn push(&mut self, of: K, read: T, longest: usize) -> Result<(), T> {
        match self.lines.entry(of) {
            Entry::Occupied(line) if line.get().len() >= longest => return Err(read),
            Entry::Occupied(mut line) => line.get_mut().push_back(read),
            Entry::Vacant(_) if longest == 0 => return Err(read),
            Entry::Vacant(line) => {
                self.order.push_back(line.key().clone());
                line.insert(VecDeque::from([read]));
            }
        }
        Ok(())
    }

    fn pop(&mut self) -> Option<T> {
        let of = self.order.pop_front()?;
        let Entry::Occupied(mut line) = self.lines.entry(of) else { return None };
        let read = line.get_mut().pop_front();
        if line.get().is_empty() {
            line.remove();
        } else {
            self.order.push_back(line.key().clone());
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(id: &str) -> TenantId {
        TenantId::new(id).unwrap()
    }

    fn waiting(most: usize, reads: &[(Line, &'static str)]) -> Waiting<&'static str> {
        let mut waiting = Waiting::new(most);
        reads.iter().for_each(|(line, read)| waiting.push(line.clone(), *read).unwrap());
        waiting
    }

    #[test]
    fn tenants_take_turns_and_no_record_waits_for_more_than_one_page() {
        let page = |of| Line::Page(tenant(of));
        let record = |of| Line::Record(tenant(of));
        for (reads, taken) in [
            // In their order, where nobody else waits.
            (vec![(page("a"), "a1"), (page("a"), "a2"), (page("a"), "a3")], "a1 a2 a3"),
            (vec![(page("a"), "a1"), (page("a"), "a2"), (page("a"), "a3"), (page("b"), "b1")], "a1 b1 a2 a3"),
            (
                vec![(page("a"), "a1"), (page("a"), "a2"), (page("b"), "b1"), (page("b"), "b2"), (page("c"), "c1")],
                "a1 b1 c1 a2 b2",
            ),
            (vec![(record("a"), "a1"), (record("a"), "a2"), (record("b"), "b1"), (Line::Gateway, "g1")], "a1 b1 g1 a2"),
            // The tenant's own included.
            (
                vec![
                    (page("a"), "p1"),
                    (page("a"), "p2"),
                    (page("a"), "p3"),
                    (record("a"), "r1"),
                    (Line::Gateway, "g1"),
                ],
                "r1 p1 g1 p2 p3",
            ),
            // Nor do pages wait for ever.
            (vec![(record("a"), "r1"), (record("a"), "r2"), (record("a"), "r3"), (page("b"), "p1")], "r1 p1 r2 r3"),
        ] {
            let mut waiting = waiting(100, &reads);
            let order: Vec<&str> = std::iter::from_fn(|| waiting.pop()).collect();
            assert_eq!(order.join(" "), taken, "{reads:?}");
            assert!(waiting.records.lines.is_empty() && waiting.pages.lines.is_empty(), "nothing is left of them");
            assert!(waiting.pages.order.is_empty() && waiting.count == 0);
        }
    }

    #[test]
    fn who_fills_the_room_leaves_some_of_it_to_others() {
        const MOST: usize = 100;
        let mut waiting = Waiting::new(MOST);
        let push_all = |waiting: &mut Waiting<()>, line: &Line| {
            (0..).take_while(|_| waiting.push(line.clone(), ()).is_ok()).count()
        };
        for (line, room) in [
            (Line::Page(tenant("a")), 50),
            (Line::Page(tenant("b")), 25),
            (Line::Record(tenant("a")), 13),
            (Line::Record(tenant("c")), 6),
            // It may have the rest.
            (Line::Gateway, 6),
            (Line::Page(tenant("d")), 0),
            (Line::Gateway, 0),
        ] {
            assert_eq!(push_all(&mut waiting, &line), room, "{line:?}");
        }
        assert_eq!(waiting.count, MOST);
        while waiting.pop().is_some() {}
        assert_eq!(push_all(&mut waiting, &Line::Page(tenant("d"))), 50, "what ended makes room");
    }
}

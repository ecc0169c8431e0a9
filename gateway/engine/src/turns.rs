//! Whose questions come next: tenants take turns, and within one its queues, and none has more out than its room.

use std::collections::HashMap;

use dukou_domain::Timestamp;

use crate::question::{Due, Queue, Share};

/// Questions of one tenant that are out at the same time.
const PER_TENANT: u32 = 4;
/// Questions that are out at the same time.
const IN_ALL: u32 = 32;

/// What is out, and who had a turn when.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// No more than the tenants, and their queues, that were ever asked for here.
    tenants: HashMap<String, Held>,
    queues: HashMap<Queue, u64>,
    out: u32,
    /// The last turn that was taken; a later one has a greater number.
    turn: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Held {
    out: u32,
    turn: u64,
}

/// What a tenant may be given.
struct Room<'d> {
    /// The one whose turn was longest ago comes first; of equals the one that has waited longest.
    order: (u64, Timestamp),
    left: u32,
    next: usize,
    queues: Vec<(&'d Due, u32)>,
}

impl Turns {
    /// How many to take from each queue: one a tenant in turn, until there is no room for more. The more tenants are at
    /// it the fewer each may have, so that many silent platforms leave room for one that answers.
    pub fn shares(&self, due: &[Due]) -> Vec<Share> {
        let mut tenants: HashMap<&str, Vec<(&Due, u32)>> = HashMap::new();
        for one in due {
            tenants.entry(&one.queue.tenant).or_default().push((one, 0));
        }
        let elsewhere =
            self.tenants.iter().filter(|(tenant, held)| held.out > 0 && !tenants.contains_key(tenant.as_str()));
        let at_it = u32::try_from(elsewhere.count() + tenants.len()).unwrap_or(u32::MAX);
        let most = (IN_ALL / at_it.saturating_add(1)).clamp(1, PER_TENANT);
        let mut rooms: Vec<Room<'_>> =
            tenants.into_iter().map(|(tenant, queues)| self.room(tenant, queues, most)).collect();
        rooms.sort_unstable_by_key(|room| room.order);
        let mut free = IN_ALL.saturating_sub(self.out);
        while free > 0 && rooms.iter().any(|room| room.left > 0) {
            for room in rooms.iter_mut().filter(|room| room.left > 0).take(free as usize) {
                let at = room.next % room.queues.len();
                room.queues[at].1 += 1;
                room.next += 1;
                room.left -= 1;
                free -= 1;
            }
        }
        let shares = rooms.into_iter().flat_map(|room| room.queues).filter(|(_, limit)| *limit > 0);
        shares.map(|(due, limit)| Share { queue: due.queue.clone(), limit }).collect()
    }

    fn room<'d>(&self, tenant: &str, mut queues: Vec<(&'d Due, u32)>, most: u32) -> Room<'d> {
        let held = self.tenants.get(tenant).copied().unwrap_or_default();
        queues.sort_unstable_by_key(|(due, _)| (self.queues.get(&due.queue).copied().unwrap_or(0), due.since));
        let since = queues.iter().map(|(due, _)| due.since).min().unwrap_or(Timestamp::from_millis(0));
        Room { order: (held.turn, since), left: most.saturating_sub(held.out), next: 0, queues }
    }

    /// A question is out.
    pub fn begin(&mut self, queue: &Queue) {
        self.turn += 1;
        let held = self.tenants.entry(queue.tenant.clone()).or_default();
        *held = Held { out: held.out + 1, turn: self.turn };
        self.out += 1;
        self.queues.insert(queue.clone(), self.turn);
    }

    /// It is out no more.
    pub fn end(&mut self, queue: &Queue) {
        if let Some(held) = self.tenants.get_mut(&queue.tenant) {
            held.out = held.out.saturating_sub(1);
            self.out = self.out.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests;

//! Whose questions come next: a tenant's accounts at its platforms take turns, and within one its queues, and none has
//! more out than its room.

use std::collections::HashMap;
use std::time::Duration;

use dukou_domain::Timestamp;

use crate::question::{Due, Queue, Share};

/// Questions that are out at the same time to one provider of a tenant.
const PER_ACCOUNT: u32 = 4;
/// Questions that are out at the same time.
const IN_ALL: u32 = 32;
/// Of them, those to platforms that are slow: the others leave room for one that answers.
const TO_SLOW: u32 = 24;
/// A platform whose questions take longer than this is slow. One that answers does so within a second.
const SLOW: Duration = Duration::from_secs(2);
/// What the last question took counts for one part in so many: neither one that is lost makes a platform slow, nor a
/// single answer a prompt one.
const OF_PAST: u32 = 8;

/// What is out, and who had a turn when.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    /// By tenant and its name of the provider. No more than the accounts, and their queues, that were ever asked for here.
    accounts: HashMap<String, HashMap<String, Held>>,
    queues: HashMap<Queue, u64>,
    /// By the provider's kind.
    platforms: HashMap<&'static str, Platform>,
    out: u32,
    /// The last turn that was taken; a later one has a greater number.
    turn: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Held {
    out: u32,
    turn: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Platform {
    out: u32,
    /// What a question takes, of late.
    takes: Duration,
}

impl Platform {
    fn is_slow(&self) -> bool {
        self.takes > SLOW
    }
}

/// A queue, and how many are to be taken from it.
type Part<'d> = (&'d Due, u32);

/// What an account may be given.
struct Room<'d> {
    /// The one whose turn was longest ago comes first; of equals the one that has waited longest.
    order: (u64, Timestamp),
    left: u32,
    is_slow: bool,
    next: usize,
    queues: Vec<Part<'d>>,
}

impl Turns {
    /// How many to take from each queue of what is due, told with its provider's kind: one an account in turn, until there
    /// is no room for more. The more accounts are at it the fewer each may have, so that many silent platforms leave room
    /// for one that answers.
    pub fn shares(&self, due: &[(&'static str, Due)]) -> Vec<Share> {
        let mut accounts: HashMap<(&str, &str), (&str, Vec<Part<'_>>)> = HashMap::new();
        for (kind, one) in due {
            let account = (one.queue.tenant.as_str(), one.queue.provider.as_str());
            accounts.entry(account).or_insert((*kind, Vec::new())).1.push((one, 0));
        }
        let is_elsewhere =
            |tenant: &str, provider: &str, held: &Held| held.out > 0 && !accounts.contains_key(&(tenant, provider));
        let of_tenant = |(tenant, providers): (&String, &HashMap<String, Held>)| {
            providers.iter().filter(|(provider, held)| is_elsewhere(tenant, provider, held)).count()
        };
        let elsewhere: usize = self.accounts.iter().map(of_tenant).sum();
        let at_it = u32::try_from(elsewhere + accounts.len()).unwrap_or(u32::MAX);
        let most = (IN_ALL / at_it.saturating_add(1)).clamp(1, PER_ACCOUNT);
        let mut rooms: Vec<Room<'_>> =
            accounts.into_iter().map(|(account, (kind, queues))| self.room(account, kind, queues, most)).collect();
        rooms.sort_unstable_by_key(|room| room.order);
        let mut free = IN_ALL.saturating_sub(self.out);
        let out_to_slow: u32 = self.platforms.values().filter(|one| one.is_slow()).map(|one| one.out).sum();
        let mut free_for_slow = TO_SLOW.saturating_sub(out_to_slow);
        loop {
            let before = free;
            for room in &mut rooms {
                if free == 0 || room.left == 0 || (room.is_slow && free_for_slow == 0) {
                    continue;
                }
                let at = room.next % room.queues.len();
                room.queues[at].1 += 1;
                room.next += 1;
                room.left -= 1;
                free -= 1;
                free_for_slow -= u32::from(room.is_slow);
            }
            if free == before {
                break;
            }
        }
        let shares = rooms.into_iter().flat_map(|room| room.queues).filter(|(_, limit)| *limit > 0);
        shares.map(|(due, limit)| Share { queue: due.queue.clone(), limit }).collect()
    }

    fn room<'d>(&self, (tenant, provider): (&str, &str), kind: &str, mut queues: Vec<Part<'d>>, most: u32) -> Room<'d> {
        let held = self.accounts.get(tenant).and_then(|providers| providers.get(provider));
        let held = held.copied().unwrap_or_default();
        queues.sort_unstable_by_key(|(due, _)| (self.queues.get(&due.queue).copied().unwrap_or(0), due.since));
        let since = queues.iter().map(|(due, _)| due.since).min().unwrap_or(Timestamp::from_millis(0));
        let is_slow = self.platforms.get(kind).is_some_and(Platform::is_slow);
        Room { order: (held.turn, since), left: most.saturating_sub(held.out), is_slow, next: 0, queues }
    }

    /// A question is out to a provider of this kind.
    pub fn begin(&mut self, kind: &'static str, queue: &Queue) {
        self.turn += 1;
        let held = self.accounts.entry(queue.tenant.clone()).or_default().entry(queue.provider.clone()).or_default();
        *held = Held { out: held.out + 1, turn: self.turn };
        self.out += 1;
        self.platforms.entry(kind).or_default().out += 1;
        self.queues.insert(queue.clone(), self.turn);
    }

    /// It is out no more, after so long.
    pub fn end(&mut self, kind: &'static str, queue: &Queue, took: Duration) {
        let providers = self.accounts.get_mut(&queue.tenant);
        if let Some(held) = providers.and_then(|providers| providers.get_mut(&queue.provider)) {
            held.out = held.out.saturating_sub(1);
            self.out = self.out.saturating_sub(1);
        }
        if let Some(platform) = self.platforms.get_mut(kind) {
            platform.out = platform.out.saturating_sub(1);
            platform.takes = platform.takes * (OF_PAST - 1) / OF_PAST + took / OF_PAST;
        }
    }
}

#[cfg(test)]
mod tests;

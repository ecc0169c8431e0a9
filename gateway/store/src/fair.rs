//! Due deliveries, shared fairly between tenants: whoever waited longest comes first, and none takes all.

use dukou_domain::{TenantId, Timestamp};

/// Tenants with a delivery that is due, and when the next one becomes due that is not yet.
#[derive(Default)]
pub(crate) struct Waiting {
    tenants: Vec<(Timestamp, TenantId, u32)>,
    pub next_at: Option<Timestamp>,
}

impl Waiting {
    /// A tenant whose first delivery is due at `at`, and that has `room` for so many.
    pub fn look(&mut self, tenant: TenantId, at: Timestamp, now: Timestamp, room: u32) {
        if at > now {
            self.next_at = Some(self.next_at.map_or(at, |earliest| earliest.min(at)));
        } else if room > 0 {
            self.tenants.push((at, tenant, room));
        }
    }

    /// How many each may take of `limit`, in their turn. Where there are more tenants than that, the first
    /// `limit` of them come to one each.
    pub fn shares(mut self, limit: u32) -> Vec<(TenantId, u32)> {
        self.tenants.sort_unstable_by_key(|(since, ..)| *since);
        let share = limit.checked_div(u32::try_from(self.tenants.len()).unwrap_or(u32::MAX)).unwrap_or(0).max(1);
        self.tenants.into_iter().map(|(_, tenant, room)| (tenant, room.min(share))).collect()
    }
}

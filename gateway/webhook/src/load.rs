//! How many deliveries are under way, and how many more of a tenant there may be.

use std::collections::HashMap;

use dukou_domain::TenantId;

/// Deliveries of one tenant at the same time while its endpoint takes nothing, and until it took something: enough to
/// notice that it is there.
pub(crate) const UNPROVEN: u32 = 2;

#[derive(Debug, Clone, Default)]
struct Held {
    now: u32,
    /// Its last try went well.
    well: bool,
}

/// What is under way.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    /// No more than tenants with a webhook.
    tenants: HashMap<TenantId, Held>,
    all: u32,
    /// Tenants with something under way.
    active: u32,
    per_tenant: u32,
    in_all: u32,
}

impl Load {
    pub fn new(per_tenant: u32, in_all: u32) -> Self {
        Load { tenants: HashMap::new(), all: 0, active: 0, per_tenant, in_all }
    }

    /// How many more there may be in all.
    pub fn free(&self) -> u32 {
        self.in_all.saturating_sub(self.all)
    }

    /// How many more of this tenant. The more tenants are at it, the fewer each may have, so that
    /// many slow endpoints together leave room for one that is well.
    pub fn room(&self, tenant: &TenantId) -> u32 {
        let held = self.tenants.get(tenant).cloned().unwrap_or_default();
        let limit = if held.well { self.per_tenant } else { UNPROVEN.min(self.per_tenant) };
        let share = (self.in_all / (self.active + 1)).max(1);
        limit.min(share).saturating_sub(held.now)
    }

    pub fn begin(&mut self, tenant: &TenantId) {
        let held = self.tenants.entry(tenant.clone()).or_default();
        if held.now == 0 {
            self.active += 1;
        }
        held.now += 1;
        self.all += 1;
    }

    /// `failed` is `None` where nothing was learned about the endpoint.
    pub fn end(&mut self, tenant: &TenantId, failed: Option<bool>) {
        let Some(held) = self.tenants.get_mut(tenant) else { return };
        held.now = held.now.saturating_sub(1);
        if held.now == 0 {
            self.active = self.active.saturating_sub(1);
        }
        self.all = self.all.saturating_sub(1);
        if let Some(failed) = failed {
            held.well = !failed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shop(index: u32) -> TenantId {
        TenantId::new(&format!("shop{index}")).unwrap()
    }

    #[test]
    fn a_tenant_has_its_room_once_it_took_something_and_a_failing_one_less() {
        let mut load = Load::new(16, 512);
        assert_eq!(load.room(&shop(1)), 2);
        load.begin(&shop(1));
        load.end(&shop(1), Some(false));
        assert_eq!(load.room(&shop(1)), 16);
        for _ in 0..16 {
            load.begin(&shop(1));
        }
        assert_eq!((load.room(&shop(1)), load.room(&shop(2)), load.free()), (0, 2, 496));
        load.end(&shop(1), Some(true));
        assert_eq!(load.room(&shop(1)), 0, "what is under way counts");
        (0..15).for_each(|_| load.end(&shop(1), Some(true)));
        assert_eq!(load.room(&shop(1)), 2);
        load.begin(&shop(1));
        load.end(&shop(1), None);
        assert_eq!(load.room(&shop(1)), 2);
        load.begin(&shop(1));
        load.end(&shop(1), Some(false));
        assert_eq!((load.room(&shop(1)), load.free()), (16, 512));
    }

    #[test]
    fn many_slow_endpoints_leave_room_for_another() {
        let mut load = Load::new(16, 64);
        for index in 0..1_000 {
            for _ in 0..load.room(&shop(index)).min(load.free()) {
                load.begin(&shop(index));
            }
            assert!(load.room(&shop(1_000)) >= 1);
        }
        assert_eq!(load.free(), 0);
        load.end(&shop(0), Some(false));
        assert_eq!((load.room(&shop(0)), load.free()), (0, 1), "what comes free is for the others");
    }
}

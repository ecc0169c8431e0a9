//! What is due and is asked after by nobody, since whom it belongs to is not known.

use std::collections::HashMap;
use std::time::Duration;

use dukou_domain::Timestamp;

use crate::question::{Asked, Due};

/// After so long another instance, which may know whom it belongs to, would have taken it.
const NOBODYS: Duration = Duration::from_secs(2 * 60);
/// How often the same is told.
const AGAIN: Duration = Duration::from_secs(5 * 60);

/// A tenant's provider that nobody asks, and since when.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unfollowed {
    pub tenant: String,
    pub provider: String,
    pub since: Timestamp,
}

/// What was told, and when.
#[derive(Debug, Default)]
pub(crate) struct Told(HashMap<(Asked, String, String), Timestamp>);

impl Told {
    /// Those of what is due and not known here that are to be told now.
    pub fn news(&mut self, asked: Asked, unknown: &[Due], now: Timestamp) -> Vec<Unfollowed> {
        let mut oldest: HashMap<(&str, &str), Timestamp> = HashMap::new();
        for Due { queue, since } in unknown {
            let known = oldest.entry((&queue.tenant, &queue.provider)).or_insert(*since);
            *known = (*since).min(*known);
        }
        oldest.retain(|_, since| now.since(*since) >= NOBODYS);
        // What is known again, or ended, is news when it comes back.
        self.0.retain(|(of, tenant, provider), _| {
            *of != asked || oldest.contains_key(&(tenant.as_str(), provider.as_str()))
        });
        let mut news = Vec::new();
        for ((tenant, provider), since) in oldest {
            let (tenant, provider) = (tenant.to_owned(), provider.to_owned());
            let told =
                self.0.entry((asked, tenant.clone(), provider.clone())).or_insert(Timestamp::from_millis(i64::MIN));
            if now.since(*told) >= AGAIN {
                *told = now;
                news.push(Unfollowed { tenant, provider, since });
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::question::Queue;

    const START: i64 = 1_790_000_000_000;

    fn due(tenant: &str, state: &str, since: i64) -> Due {
        let queue = Queue { tenant: tenant.to_owned(), provider: "wechat".to_owned(), state: state.to_owned() };
        Due { queue, since: Timestamp::from_millis(START + since) }
    }

    #[test]
    fn a_tenant_that_nobody_knows_is_told_of_once_in_five_minutes() {
        let mut told = Told::default();
        let unknown = [due("gone", "pending", 7_000), due("gone", "unknown", 1_000), due("young", "pending", 100_000)];
        let mut seen = Vec::new();
        for second in 0..700 {
            let now = Timestamp::from_millis(START + second * 1_000);
            for one in told.news(Asked::Payments, &unknown, now) {
                assert_eq!(one.since, if one.tenant == "gone" { unknown[1].since } else { unknown[2].since });
                seen.push((second, one.tenant));
            }
        }
        let told_at = [(121, "gone"), (220, "young"), (421, "gone"), (520, "young")];
        assert_eq!(seen, told_at.map(|(second, tenant)| (second, tenant.to_owned())));
    }

    #[test]
    fn what_is_known_again_is_forgotten_and_refunds_are_told_of_beside_payments() {
        let mut told = Told::default();
        let (unknown, now) = ([due("gone", "pending", 0)], Timestamp::from_millis(START + 121_000));
        for asked in [Asked::Payments, Asked::Refunds] {
            assert_eq!(told.news(asked, &unknown, now).len(), 1);
            assert_eq!(told.news(asked, &unknown, now), []);
        }
        assert_eq!(told.news(Asked::Payments, &[], now), []);
        assert_eq!(told.news(Asked::Payments, &unknown, now).len(), 1);
        assert_eq!(told.news(Asked::Refunds, &unknown, now), []);
    }
}

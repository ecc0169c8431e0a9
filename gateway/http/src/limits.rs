//! How often a mini-program may ask: by client and by tenant. Calls with an API key are not limited.
//!
//! Each instance counts by itself first, so that a flood costs nobody else anything. What it would let through is counted
//! over all instances too, where something they share does so; without that its own word stands.

use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dukou_domain::TenantId;
use dukou_engine::ports::{Admission, CallRate, Coordinator};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::errors::ErrorCode;
use crate::problem::Problem;

/// After this many questions the keys that have rested are forgotten, so that memory holds only those
/// of the last moments.
const QUESTIONS_BETWEEN_SWEEPS: u32 = 4096;
/// A client that asks no more often than this part of what it may is a calm one: a phone or two, not a flood.
const CALM: u32 = 20;
/// The part of a tenant's measure that is for clients of any kind. The rest is for calm ones, so that a few that flood
/// leave room for buyers.
const FOR_ANY: u32 = 2;

/// So many calls in a length of time, evenly, and so many at once after a rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    calls: NonZeroU32,
    per: Duration,
    burst: NonZeroU32,
}

impl Rate {
    /// Reads `5/s burst 20`: a whole number from 1 to 1000000 in a second (`s`), a minute (`m`) or an
    /// hour (`h`), and how many may come at once, which left out is the same number.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |text: &str| {
            let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().ok().filter(|number| plain && *number <= 1_000_000)?;
            NonZeroU32::new(number)
        };
        let mut words = text.split_ascii_whitespace();
        let (calls, unit) = words.next()?.split_once('/')?;
        let calls = number(calls)?;
        let per = match unit {
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(60 * 60),
            _ => return None,
        };
        let burst = match words.next() {
            None => calls,
            Some("burst") => number(words.next()?)?,
            Some(_) => return None,
        };
        words.next().is_none().then_some(Rate { calls, per, burst })
    }

    const fn per_second(calls: NonZeroU32, burst: NonZeroU32) -> Self {
        Rate { calls, per: Duration::from_secs(1), burst }
    }

    /// This part of it.
    const fn part(self, one_in: u32) -> Self {
        let burst = match NonZeroU32::new(self.burst.get() / one_in) {
            Some(burst) => burst,
            None => NonZeroU32::MIN,
        };
        Rate { calls: self.calls, per: self.per.saturating_mul(one_in), burst }
    }

    fn quota(self) -> Quota {
        let interval = (self.per / self.calls.get()).max(Duration::from_nanos(1));
        // Fails for a length of zero only.
        Quota::with_period(interval).unwrap_or(Quota::per_second(self.calls)).allow_burst(self.burst)
    }
}

/// The limits of the mini-program's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitConfig {
    /// Logins of one client, and of all clients of a tenant.
    pub sessions_per_client: Rate,
    pub sessions_per_tenant: Rate,
    /// Calls with a session token, likewise.
    pub calls_per_client: Rate,
    pub calls_per_tenant: Rate,
}

impl Default for LimitConfig {
    fn default() -> Self {
        let number = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
        let tenant = Rate::per_second(number(200), number(400));
        LimitConfig {
            sessions_per_client: Rate::per_second(number(20), number(100)),
            sessions_per_tenant: tenant,
            calls_per_client: Rate::per_second(number(50), number(200)),
            calls_per_tenant: tenant,
        }
    }
}

/// The limits, and who used them lately.
pub struct Limits {
    pub sessions: Limit,
    pub calls: Limit,
}

impl Limits {
    pub fn new(config: &LimitConfig) -> Self {
        Limits {
            sessions: Limit::new("sessions", config.sessions_per_client, config.sessions_per_tenant),
            calls: Limit::new("calls", config.calls_per_client, config.calls_per_tenant),
        }
    }
}

/// One kind of call, counted by client and by tenant.
pub struct Limit {
    name: &'static str,
    clients: Keyed<IpAddr>,
    calm: Keyed<IpAddr>,
    tenants: Keyed<TenantId>,
    /// A tenant's clients that are not calm.
    eager: Keyed<TenantId>,
}

impl Limit {
    fn new(name: &'static str, client: Rate, tenant: Rate) -> Self {
        Limit {
            name,
            clients: Keyed::new(client),
            calm: Keyed::new(client.part(CALM)),
            tenants: Keyed::new(tenant),
            eager: Keyed::new(tenant.part(FOR_ANY)),
        }
    }

    /// Counts a call of a client; to be asked before anything is done for it.
    ///
    /// # Errors
    /// `rate_limited`, with the seconds until another try makes sense.
    pub async fn client(&self, shared: &dyn Coordinator, address: Option<IpAddr>) -> Result<(), Problem> {
        let network = network(address);
        self.clients.count(&network, "this client")?;
        let who = format!("{}/client/{network}", self.name);
        over_all(shared, &who, self.clients.rate, "this client").await
    }

    /// Counts a call of a client to a tenant that exists.
    ///
    /// # Errors
    /// `rate_limited`.
    pub async fn tenant(
        &self,
        shared: &dyn Coordinator,
        tenant: &TenantId,
        address: Option<IpAddr>,
    ) -> Result<(), Problem> {
        if self.calm.count(&network(address), "this client").is_err() {
            self.eager.count(tenant, "this tenant")?;
            let who = format!("{}/tenant/{tenant}/eager", self.name);
            over_all(shared, &who, self.eager.rate, "this tenant").await?;
        }
        self.tenants.count(tenant, "this tenant")?;
        let who = format!("{}/tenant/{tenant}", self.name);
        over_all(shared, &who, self.tenants.rate, "this tenant").await
    }
}

async fn over_all(shared: &dyn Coordinator, key: &str, rate: Rate, who: &str) -> Result<(), Problem> {
    let rate = CallRate { calls: rate.calls.get(), per: rate.per, burst: rate.burst.get() };
    match shared.count_call(key, rate).await {
        Admission::Allowed | Admission::Unavailable => Ok(()),
        Admission::Refused(wait) => Err(too_often(who, wait)),
    }
}

fn too_often(who: &str, wait: Duration) -> Problem {
    let seconds = u32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(u32::MAX).max(1);
    let problem = Problem::new(ErrorCode::RateLimited, format!("{who} asks too often; slow down"));
    Problem { retry_after: Some(seconds), ..problem }
}

/// An IPv6 client owns a network of 64 bits, and all addresses in it.
pub(crate) fn network(address: Option<IpAddr>) -> IpAddr {
    // Every connection has an address; without one all share a key.
    let address = address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
    }
}

struct Keyed<K: Hash + Eq + Clone> {
    rate: Rate,
    limiter: DefaultKeyedRateLimiter<K>,
    clock: DefaultClock,
    questions: AtomicU32,
}

impl<K: Hash + Eq + Clone> Keyed<K> {
    fn new(rate: Rate) -> Self {
        let clock = DefaultClock::default();
        Keyed { rate, limiter: RateLimiter::dashmap(rate.quota()), clock, questions: AtomicU32::new(0) }
    }

    fn count(&self, key: &K, who: &str) -> Result<(), Problem> {
        if self.questions.fetch_add(1, Ordering::Relaxed) % QUESTIONS_BETWEEN_SWEEPS == QUESTIONS_BETWEEN_SWEEPS - 1 {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(key).map_err(|until| too_often(who, until.wait_time_from(self.clock.now())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing_engine::Nobody;

    #[test]
    fn a_rate_is_a_number_a_unit_and_a_burst() {
        let rate = |calls, seconds, burst| Rate {
            calls: NonZeroU32::new(calls).unwrap(),
            per: Duration::from_secs(seconds),
            burst: NonZeroU32::new(burst).unwrap(),
        };
        for (text, expected) in [
            ("5/s burst 20", Some(rate(5, 1, 20))),
            ("200/m", Some(rate(200, 60, 200))),
            ("1/h  burst 3", Some(rate(1, 3600, 3))),
            ("1000000/s", Some(rate(1_000_000, 1, 1_000_000))),
            ("0/s", None),
            ("5/s burst 0", None),
            ("5", None),
            ("5/d", None),
            ("+5/s", None),
            ("1000001/s", None),
            ("5/s burst", None),
            ("5/s burst 2 3", None),
            ("5/s 2", None),
            ("", None),
        ] {
            assert_eq!(Rate::parse(text), expected, "{text}");
        }
    }

    #[actix_web::test]
    async fn each_client_and_each_tenant_has_its_own_measure() {
        let slow = Rate::parse("1/h burst 2").unwrap();
        let limit = Limit::new("calls", slow, slow);
        let client = async |text: &str| limit.client(&Nobody, text.parse().ok()).await;
        for _ in 0..2 {
            client("203.0.113.9").await.unwrap();
        }
        let refused = client("::ffff:203.0.113.9").await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::RateLimited);
        assert!(refused.retry_after.is_some_and(|seconds| (3000..=3600).contains(&seconds)), "{refused:?}");
        client("203.0.113.10").await.unwrap();
        client("2001:db8::1").await.unwrap();
        client("2001:db8::2:2").await.unwrap();
        client("2001:db8::3").await.unwrap_err();
        client("2001:db8:0:1::1").await.unwrap();
        for tenant in ["bookshop", "teahouse"] {
            limit.tenant(&Nobody, &TenantId::new(tenant).unwrap(), None).await.unwrap();
        }
    }

    #[actix_web::test]
    async fn a_few_that_flood_leave_room_for_the_calm() {
        let slow = Rate::parse("1/h burst 40").unwrap();
        let limit = Limit::new("sessions", slow, slow);
        let shop = TenantId::new("bookshop").unwrap();
        let call = async |last: u8| limit.tenant(&Nobody, &shop, Some(IpAddr::from([203, 0, 113, last]))).await;
        let mut taken = 0;
        for _ in 0..40 {
            for flood in 0..3 {
                taken += u32::from(call(flood).await.is_ok());
            }
        }
        // Two calm calls of each, and half of the measure.
        assert_eq!(taken, 3 * 2 + 20);
        for buyer in 100..107 {
            for _ in 0..2 {
                call(buyer).await.unwrap();
            }
            call(buyer).await.unwrap_err();
        }
        let refused = call(200).await.unwrap_err();
        assert_eq!(refused.code, ErrorCode::RateLimited, "all have the tenant's measure together");
    }

    #[test]
    fn those_who_have_rested_are_forgotten() {
        let keyed = Keyed::new(Rate::parse("1000000/s burst 1").unwrap());
        for number in 0..QUESTIONS_BETWEEN_SWEEPS * 3 {
            keyed.count(&number, "").unwrap();
        }
        assert!(keyed.limiter.len() < QUESTIONS_BETWEEN_SWEEPS as usize * 2, "{}", keyed.limiter.len());
    }
}

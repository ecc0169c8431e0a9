//! Takes questions that are due as there is room for them, and asks each at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dukou_domain::{ProviderName, Timestamp};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tracing::Instrument as _;

use crate::engine::Engine;
use crate::lasting_trouble::LastingTrouble;
use crate::ports::StoreError;
use crate::question::{Asked, Due, Queue, Share};
use crate::records::{Payment, Refund};
use crate::turns::Turns;
use crate::unfollowed::{Told, Unfollowed};

/// How often the store is asked what is due.
const PERIOD: Duration = Duration::from_secs(1);
/// After a question ended and before the next is taken: what ends meanwhile makes room for more than one.
const GATHER: Duration = Duration::from_millis(20);
/// So many times as long as a look took, no other is made: however many tenants there are, looking is a small part of
/// what a store does.
const SPARED: u32 = 4;
/// How long one that was taken is left to whoever took it: longer than a question takes. Nothing is taken that is not
/// asked at once, so that it never runs out while something waits here.
const LEASE: Duration = Duration::from_secs(60);

/// Who has questions out. Refunds have a room of their own, so that no number of payments holds them up.
#[derive(Default)]
pub(crate) struct Asking {
    payments: Mutex<Turns>,
    refunds: Mutex<Turns>,
    told: Mutex<Told>,
    /// What is due cannot be looked for.
    trouble: LastingTrouble,
}

impl Asking {
    fn turns(&self, asked: Asked) -> MutexGuard<'_, Turns> {
        let turns = match asked {
            Asked::Payments => &self.payments,
            Asked::Refunds => &self.refunds,
        };
        turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a look found.
#[derive(Default)]
struct Look {
    taken: Vec<Question>,
    /// Something was left for want of room.
    more: bool,
    /// There is room for it after all, since others had less than they might have had.
    room: bool,
    /// The store did not answer.
    failed: bool,
}

/// One that was taken and is to be asked now.
struct Question {
    about: About,
    slot: Slot,
}

enum About {
    Payment(Box<Payment>),
    Refund(Box<Refund>),
}

/// A place among those that are out, kept for as long as it lives, also through a panic.
struct Slot {
    engine: Arc<Engine>,
    asked: Asked,
    queue: Queue,
    kind: &'static str,
    since: Instant,
}

impl Slot {
    fn begin(engine: &Arc<Engine>, asked: Asked, queue: Queue) -> Self {
        // Its provider may have gone since it was found to be due.
        let kind = engine.kind_of(&queue).unwrap_or_default();
        engine.asking.turns(asked).begin(kind, &queue);
        Slot { engine: Arc::clone(engine), asked, queue, kind, since: Instant::now() }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.engine.asking.turns(self.asked).end(self.kind, &self.queue, self.since.elapsed());
    }
}

impl Question {
    fn payment(engine: &Arc<Engine>, payment: Payment) -> Self {
        let queue = Queue {
            tenant: payment.tenant.to_string(),
            provider: payment.attempt.provider.to_string(),
            state: payment.state.to_string(),
        };
        let slot = Slot::begin(engine, Asked::Payments, queue);
        Question { about: About::Payment(Box::new(payment)), slot }
    }

    fn refund(engine: &Arc<Engine>, refund: Refund) -> Self {
        let queue = Queue {
            tenant: refund.tenant.to_string(),
            provider: refund.provider.to_string(),
            state: refund.state.to_string(),
        };
        let slot = Slot::begin(engine, Asked::Refunds, queue);
        Question { about: About::Refund(Box::new(refund)), slot }
    }

    async fn ask(self) {
        // What is logged of it can be found together, as what is logged of a request.
        let span = tracing::info_span!("job", request_id = %uuid::Uuid::now_v7());
        let Question { about, slot } = self;
        let engine = &slot.engine;
        let work = async {
            match about {
                About::Payment(payment) => engine.follow_payment(*payment).await,
                About::Refund(refund) => engine.follow_refund(*refund).await,
            }
        };
        work.instrument(span).await;
    }
}

impl Engine {
    /// Asks the platforms about what is due, as it becomes due, until it is told to stop: then it begins no more and
    /// ends with those that are out. What goes wrong with one is logged and asked again later.
    pub async fn keep_asking(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut out = JoinSet::new();
        while !*stopping.borrow() {
            let began = Instant::now();
            let engine = Arc::clone(&self);
            // On a task of its own, as each question is, so that a panic costs one of them and not all that would
            // follow.
            let look = tokio::spawn(async move { engine.look().await }).await.unwrap_or_else(|error| {
                note_panic(Err(error));
                Look::default()
            });
            let spared = spared(began.elapsed(), look.failed);
            if *stopping.borrow() {
                // What was taken comes again when its lease is over.
                break;
            }
            for question in look.taken {
                out.spawn(question.ask());
            }
            let rest = async {
                if !look.room {
                    until_an_end(&mut out, look.more).await;
                }
                tokio::time::sleep(spared).await;
            };
            tokio::select! {
                () = rest => {}
                // An error means that the sender is gone, which is a stop as well.
                _ = stopping.wait_for(|stop| *stop) => {}
            }
            while let Some(ended) = out.try_join_next() {
                note_panic(ended);
            }
        }
        while let Some(ended) = out.join_next().await {
            note_panic(ended);
        }
    }

    /// Asks about all that is due at this moment, and returns how many that were when the last has its answer.
    pub async fn run_due(self: &Arc<Self>) -> usize {
        let mut out = FuturesUnordered::new();
        let mut count = 0;
        loop {
            let look = self.look().await;
            count += look.taken.len();
            out.extend(look.taken.into_iter().map(Question::ask));
            if look.room {
                continue;
            }
            if !look.more || out.is_empty() {
                break;
            }
            out.next().await;
        }
        while out.next().await.is_some() {}
        count
    }

    /// Takes what is due and may be asked now.
    async fn look(self: &Arc<Self>) -> Look {
        let mut found = Look::default();
        for asked in [Asked::Payments, Asked::Refunds] {
            match self.look_for(asked).await {
                Ok(mut look) => {
                    found.taken.append(&mut look.taken);
                    found.more |= look.more;
                    found.room |= look.room;
                }
                Err(error) => {
                    found.failed = true;
                    if self.asking.trouble.begins() {
                        tracing::warn!(%error, ?asked, "cannot look for what is to be asked about");
                    }
                }
            }
        }
        if !found.failed && self.asking.trouble.ends() {
            tracing::info!("what is to be asked about is looked for again");
        }
        found
    }

    async fn look_for(self: &Arc<Self>, asked: Asked) -> Result<Look, StoreError> {
        let now = self.now();
        let due = self.store.questions().due(asked, now).await?;
        // Left where they are for an instance that knows whom they belong to.
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for one in due {
            match self.kind_of(&one.queue) {
                Some(kind) => known.push((kind, one)),
                None => unknown.push(one),
            }
        }
        self.tell_of(asked, &unknown, now).await;
        let shares = self.asking.turns(asked).shares(&known);
        if shares.is_empty() {
            return Ok(Look { more: !known.is_empty(), ..Look::default() });
        }
        let (questions, again_at) = (self.store.questions(), now.plus(LEASE));
        let taken: Vec<Question> = match asked {
            Asked::Payments => {
                let payments = questions.take_payments(now, again_at, shares.clone()).await?;
                payments.into_iter().map(|payment| Question::payment(self, payment)).collect()
            }
            Asked::Refunds => {
                let refunds = questions.take_refunds(now, again_at, shares.clone()).await?;
                refunds.into_iter().map(|refund| Question::refund(self, refund)).collect()
            }
        };
        Ok(Look::of(known.len(), &shares, taken))
    }

    /// The kind of the provider that is asked; none where it is not known here.
    fn kind_of(&self, queue: &Queue) -> Option<&'static str> {
        let tenant = self.tenants.find_even_removed(&queue.tenant)?;
        let provider = ProviderName::new(&queue.provider).ok()?;
        tenant.providers.get(&provider).map(|provider| provider.info().kind)
    }

    /// Tells of what nobody asks after, as far as can be seen from here.
    async fn tell_of(&self, asked: Asked, unknown: &[Due], now: Timestamp) {
        let news = self.asking.told.lock().unwrap_or_else(PoisonError::into_inner).news(asked, unknown, now);
        for Unfollowed { tenant, provider, since } in news {
            let waiting = self.store.questions().count_due(asked, &tenant, &provider, now).await.ok();
            let for_seconds = now.since(since).as_secs();
            tracing::warn!(
                tenant,
                provider,
                ?asked,
                waiting,
                for_seconds,
                "nobody asks the platform about what was made here: the tenant, or its provider, is not configured any \
                 more; put it back until nothing of it is open"
            );
        }
    }
}

impl Look {
    fn of(due: usize, shares: &[Share], taken: Vec<Question>) -> Self {
        let of = |queue: &Queue| taken.iter().filter(|question| question.slot.queue == *queue).count();
        let more = due > shares.len() || shares.iter().any(|share| of(&share.queue) >= share.limit as usize);
        let given: usize = shares.iter().map(|share| share.limit as usize).sum();
        let room = more && !taken.is_empty() && taken.len() < given;
        Look { taken, more, room, failed: false }
    }
}

/// How long no other look is made. One that failed waited for a store that was away: what became due meanwhile waits no
/// longer than it has to once it is back.
fn spared(took: Duration, failed: bool) -> Duration {
    if failed { GATHER } else { GATHER.max(took * SPARED) }
}

/// Until more may be due; where more is due than there was room for, until a question ended.
async fn until_an_end(out: &mut JoinSet<()>, more: bool) {
    let end = async {
        match out.join_next().await {
            Some(ended) => note_panic(ended),
            None => std::future::pending().await,
        }
    };
    if more {
        let _ = tokio::time::timeout(PERIOD, end).await;
    } else {
        tokio::time::sleep(PERIOD).await;
    }
}

fn note_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a question panicked; it comes again when its lease is over");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_was_away_is_looked_at_again_at_once() {
        let s = Duration::from_secs;
        assert_eq!(spared(s(3), false), s(12), "looking is a small part of what a busy store does");
        assert_eq!(spared(s(6), true), GATHER);
        assert_eq!(spared(Duration::ZERO, false), GATHER);
    }
}

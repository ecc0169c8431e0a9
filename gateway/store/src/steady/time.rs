//! A time that goes on evenly when the machine's clock is set.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use dukou_domain::Timestamp;
use dukou_spi::Clock;

/// A clock that is nearer than this is followed at once: no schedule is that fine.
const FOLLOWED: i64 = 1_000;
/// The part of the time that passes by which the steady time comes nearer to the clock: ten minutes
/// are made up for in an hour and twenty minutes.
const PACE: i64 = 8;
/// How much time passes between two steps towards the clock, in milliseconds.
const STEP: i64 = 1_000;

/// No plan is later than this, in milliseconds. A clock that is set forward by more than an hour is rather one that was
/// wrong at the start, or of a machine that slept, than one that is wrong now: the time did pass.
const MOST_BEHIND: i64 = 3_600_000;

/// How finely the distance of another clock is told. Reading one takes its time, and plans of two instances need not
/// agree on less.
const GRAIN: i64 = 1_000;

/// The steady time, as its distance from the clock.
pub struct SteadyTime {
    clock: Arc<dyn Clock>,
    /// Of those who share plans, when that is not `clock`.
    common: Option<Arc<dyn Clock>>,
    /// Passes evenly, whatever is done to the clock.
    passed: Box<dyn Fn() -> Duration + Send + Sync>,
    last: Mutex<Last>,
}

/// Where a process left the steady time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftAt {
    /// By how many milliseconds it was ahead of the clock.
    pub ahead: i64,
    pub moment: Timestamp,
}

impl LeftAt {
    /// How far ahead of the clock plans are taken to be after a while in which nobody looked.
    pub(crate) fn taken_over(self) -> i64 {
        self.ahead.max(-MOST_BEHIND)
    }
}

/// All in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Last {
    passed: i64,
    steady: i64,
    /// The clock was set, and the steady time is on its way to it.
    apart: bool,
    /// At the start the clock was behind what was reached before. By how much the steady time is ahead of one that is
    /// not.
    behind: Option<i64>,
}

impl SteadyTime {
    /// Begins at what `clock` shows now.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let started = Instant::now();
        SteadyTime::with(clock, Box::new(move || started.elapsed()))
    }

    /// For plans that others share: the steady time follows their `common` clock, whatever `clock` shows.
    pub fn following(clock: Arc<dyn Clock>, common: Arc<dyn Clock>) -> Self {
        let started = Instant::now();
        let last = Last { passed: 0, steady: common.now().as_millis(), apart: false, behind: None };
        let passed = Box::new(move || started.elapsed());
        SteadyTime { clock, common: Some(common), passed, last: Mutex::new(last) }
    }

    /// The same, with something else that passes evenly.
    pub fn with(clock: Arc<dyn Clock>, passed: Box<dyn Fn() -> Duration + Send + Sync>) -> Self {
        let last = Last { passed: millis(passed()), steady: clock.now().as_millis(), apart: false, behind: None };
        SteadyTime { clock, common: None, passed, last: Mutex::new(last) }
    }

    /// Goes on from where another process left off: as far from the clock, which was set while that one ran, or where it
    /// left it if the clock shows less than that.
    #[must_use]
    pub fn going_on(self, left: LeftAt) -> Self {
        {
            let mut last = self.last();
            let (ahead, reached) = (left.taken_over(), left.moment.as_millis());
            let begins = last.steady.saturating_add(ahead);
            if reached > begins {
                last.behind = Some(ahead);
            }
            last.steady = begins.max(reached);
        }
        self
    }

    /// Where another process can go on.
    pub fn left_at(&self) -> LeftAt {
        let clock = self.clock.now().as_millis();
        let ahead = self.ahead_of(clock);
        // That a clock is wrong at one start says nothing of the next.
        let kept = self.last().behind.unwrap_or(ahead);
        LeftAt { ahead: kept, moment: Timestamp::from_millis(clock.saturating_add(ahead)) }
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many milliseconds the steady time is ahead of the clock: 0, but for a while after the
    /// clock was set, and where it is not the clock that is followed.
    pub fn ahead(&self) -> i64 {
        let Some(common) = &self.common else { return self.ahead_of(self.clock.now().as_millis()) };
        let (clock, common) = (self.clock.now().as_millis(), common.now().as_millis());
        self.ahead_of(common) + common.saturating_sub(clock) / GRAIN * GRAIN
    }

    /// The same, of the clock that is followed and shows `clock`.
    fn ahead_of(&self, clock: i64) -> i64 {
        let mut last = self.last();
        let passed = millis((self.passed)());
        let mut since = passed.saturating_sub(last.passed);
        let mut steady = last.steady.saturating_add(since);
        let right = last.behind.map(|ahead| clock.saturating_add(ahead)).filter(|right| *right >= steady);
        let earliest = clock.saturating_sub(MOST_BEHIND);
        if let Some(set) = right.or((steady < earliest).then_some(earliest)) {
            // What passed while nobody ran, or the machine slept, has passed for plans as well, as at any other start.
            let seconds = (set - steady) / 1_000;
            tracing::warn!(
                seconds,
                "the machine's clock was set forward; what was planned for a time that was left out is due"
            );
            (steady, since) = (set, 0);
            *last = Last { passed, steady, behind: None, ..*last };
        }
        let ahead = steady.saturating_sub(clock);
        if ahead.abs() < FOLLOWED {
            *last = Last { passed, steady: clock, apart: false, behind: None };
            return 0;
        }
        if !last.apart {
            let seconds = -ahead / 1_000;
            tracing::warn!(
                seconds,
                "the machine's clock was set; what is planned keeps its pace and comes near slowly"
            );
            last.apart = true;
        }
        if since < STEP {
            return ahead;
        }
        let nearer = ahead.clamp(-since / PACE, since / PACE);
        *last = Last { passed, steady: steady - nearer, apart: true, behind: last.behind };
        ahead - nearer
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dukou_domain::Timestamp;
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

    #[derive(Default)]
    struct Hands {
        clock: AtomicI64,
        passed: AtomicU64,
    }

    struct Wall(Arc<Hands>);

    impl Clock for Wall {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.0.clock.load(Ordering::SeqCst))
        }
    }

    fn steady() -> (Arc<Hands>, SteadyTime) {
        let hands = Arc::new(Hands::default());
        hands.clock.store(1_790_000_000_000, Ordering::SeqCst);
        let passed = Arc::clone(&hands);
        let time = SteadyTime::with(
            Arc::new(Wall(Arc::clone(&hands))),
            Box::new(move || Duration::from_millis(passed.passed.load(Ordering::SeqCst))),
        );
        (hands, time)
    }

    impl Hands {
        fn pass(&self, millis: u64) {
            self.passed.fetch_add(millis, Ordering::SeqCst);
            self.clock.fetch_add(i64::try_from(millis).unwrap(), Ordering::SeqCst);
        }

        fn set(&self, by: i64) {
            self.clock.fetch_add(by, Ordering::SeqCst);
        }
    }

    #[test]
    fn without_a_jump_it_is_the_clock() {
        let (hands, time) = steady();
        for _ in 0..100 {
            hands.pass(10_000);
            assert_eq!(time.ahead(), 0);
        }
        for step in [900, -900, 900] {
            hands.set(step);
            assert_eq!(time.ahead(), 0, "small steps are followed");
        }
    }

    #[test]
    fn a_jump_moves_nothing_and_is_made_up_for_at_an_eighth_of_the_pace() {
        for jump in [600_000, -600_000] {
            let (hands, time) = steady();
            hands.set(jump);
            assert_eq!(time.ahead(), -jump, "at the jump itself");
            let mut before = -jump;
            for second in 1..=4_800_u64 {
                hands.pass(1_000);
                let ahead = time.ahead();
                let nearer = before.abs() - ahead.abs();
                assert!((0..=125).contains(&nearer) || ahead == 0, "second {second}: {before} to {ahead}");
                before = ahead;
            }
            assert_eq!(before, 0, "after an hour and twenty minutes");
        }
    }

    #[test]
    fn looked_at_often_it_comes_nearer_just_as_fast() {
        let (hands, time) = steady();
        hands.set(10_000);
        assert_eq!(time.ahead(), -10_000);
        for _ in 0..80_000 {
            hands.pass(1);
            time.ahead();
        }
        assert_eq!(time.ahead(), 0);
    }

    #[test]
    fn no_plan_is_later_than_an_hour() {
        let (hour, day) = (3_600_000, 86_400_000);
        let (hands, time) = steady();
        hands.set(day);
        assert_eq!(time.ahead(), -hour);
        hands.set(-day);
        assert_eq!(time.ahead(), day - hour, "earlier ones keep their pace however far they are");
        let left = time.left_at();

        let (_, next) = steady();
        assert_eq!(next.going_on(left).ahead(), day - hour);
        let (_, next) = steady();
        assert_eq!(next.going_on(LeftAt { ahead: -day, moment: Timestamp::from_millis(0) }).ahead(), -hour);
    }

    #[test]
    fn a_clock_that_is_behind_at_a_start_is_behind_at_no_other() {
        let left = LeftAt { ahead: 0, moment: Timestamp::from_millis(1_790_003_600_000) };
        let (_, time) = steady();
        let time = time.going_on(left);
        assert_eq!(time.ahead(), 3_600_000);
        assert_eq!(time.left_at(), left);
    }

    #[test]
    fn it_never_goes_back() {
        let (hands, time) = steady();
        let mut last = 0;
        for (pass, set) in [(500, 600_000), (1, -1_200_000), (5_000, 0), (70, 3_000), (60_000, -3_000), (1_000, 0)] {
            hands.pass(pass);
            hands.set(set);
            let now = time.ahead() + hands.clock.load(Ordering::SeqCst);
            assert!(now >= last, "{now} after {last}");
            last = now;
        }
    }
}

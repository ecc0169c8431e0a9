//! When to ask a platform again.

use std::time::Duration;

use dukou_domain::Timestamp;

use crate::records::Check;

/// Moments after the state was entered at which to ask; the last one is also the gap between all
/// later questions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps(Vec<Duration>);

impl Steps {
    /// `None` unless the moments grow and there is at least one.
    pub fn new(moments: Vec<Duration>) -> Option<Self> {
        let grows = moments.is_sorted_by(|earlier, later| earlier < later);
        (grows && moments.first().is_some_and(|first| !first.is_zero())).then_some(Steps(moments))
    }

    /// How long to wait after `asked` questions.
    fn gap(&self, asked: u32) -> Duration {
        let asked = asked as usize;
        let last = self.0.len() - 1;
        match asked {
            0 => self.0[0],
            asked if asked <= last => self.0[asked] - self.0[asked - 1],
            _ => self.0[last],
        }
    }

    /// The first question.
    pub fn first(&self, now: Timestamp) -> Check {
        self.again(0, now)
    }

    /// The question after one that was just asked.
    pub fn after(&self, asked: u32, now: Timestamp) -> Check {
        self.again(asked.saturating_add(1), now)
    }

    /// The question that follows `asked` others, from now on.
    pub fn again(&self, asked: u32, now: Timestamp) -> Check {
        Check { at: now.plus(self.gap(asked)), asked }
    }
}

/// The gateway's patience, by what it waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// A payment or refund whose answer was lost.
    pub unknown: Steps,
    /// A payment whose notify has not come.
    pub pending: Steps,
    /// A refund the platform is working on.
    pub refund: Steps,
}

impl Default for Schedule {
    fn default() -> Self {
        let minutes = |list: &[u64]| list.iter().map(|minutes| Duration::from_secs(minutes * 60)).collect();
        let seconds = |list: &[u64]| list.iter().copied().map(Duration::from_secs).collect();
        Schedule {
            unknown: Steps(seconds(&[5, 10, 30, 60, 300, 900, 3600])),
            pending: Steps(minutes(&[1, 5, 15, 60])),
            refund: Steps(minutes(&[1, 5, 15, 60])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_come_after_1_5_15_60_minutes_and_then_hourly() {
        let steps = Schedule::default().pending;
        let mut now = Timestamp::from_millis(0);
        let mut check = steps.first(now);
        let mut minutes = Vec::new();
        for _ in 0..6 {
            minutes.push(check.at.as_seconds() / 60);
            now = check.at;
            check = steps.after(check.asked, now);
        }
        assert_eq!(minutes, [1, 5, 15, 60, 120, 180]);
    }

    #[test]
    fn moments_must_grow() {
        let seconds = |list: &[u64]| Steps::new(list.iter().copied().map(Duration::from_secs).collect());
        assert!(seconds(&[1, 2]).is_some());
        assert!(seconds(&[]).is_none());
        assert!(seconds(&[0, 2]).is_none());
        assert!(seconds(&[2, 2]).is_none());
    }
}

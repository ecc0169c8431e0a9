//! How many wrong secrets are looked at from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::network;

/// Addresses that are counted by themselves; further ones share one count.
const ADDRESSES: usize = 1_000;
const MINUTE: Duration = Duration::from_secs(60);

/// Counts wrong guesses by address. Whoever guesses locks out nobody but themselves.
pub struct Guesses {
    /// In a minute, from one address.
    most: u32,
    /// Since when, and how many.
    wrong: Mutex<HashMap<Option<IpAddr>, (Instant, u32)>>,
}

impl Guesses {
    pub fn up_to(most: u32) -> Self {
        Guesses { most, wrong: Mutex::default() }
    }

    /// Whether the guess is right; `None` after too many wrong ones, when it is not even looked at.
    pub fn judge(&self, from: Option<IpAddr>, is_right: impl FnOnce() -> bool) -> Option<bool> {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong.retain(|_, (since, _)| since.elapsed() < MINUTE);
        let from = from.map(|from| network(Some(from)));
        let from = from.filter(|_| wrong.len() < ADDRESSES || wrong.contains_key(&from));
        if wrong.get(&from).is_some_and(|(_, count)| *count >= self.most) {
            return None;
        }
        let right = is_right();
        if !right {
            wrong.entry(from).or_insert((Instant::now(), 0)).1 += 1;
        }
        Some(right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_guesses_are_counted_by_address_and_the_addresses_are_bounded() {
        let guesses = Guesses::up_to(3);
        let [guesser, neighbour, other] = ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"].map(|a| a.parse().ok());
        assert_eq!(guesses.judge(guesser, || true), Some(true));
        for _ in 0..3 {
            assert_eq!(guesses.judge(guesser, || false), Some(false));
        }
        for from in [guesser, neighbour] {
            assert_eq!(guesses.judge(from, || true), None, "who guesses learns nothing any more");
        }
        assert_eq!(guesses.judge(other, || true), Some(true), "nobody else is locked out");
        for index in 0..2 * ADDRESSES as u32 {
            let _ = guesses.judge(Some(IpAddr::V4(index.into())), || false);
        }
        assert!(guesses.wrong.lock().unwrap().len() <= ADDRESSES + 1);
        assert_eq!(guesses.judge(Some(IpAddr::V4(u32::MAX.into())), || true), None);
    }
}

//! Waiting longer after each failure, in the manner of client-go's flowcontrol.Backoff: pure, the caller says what time it is.
//!
//! Worked example (10 s to 300 s): a container ends for the first time: not waiting, restarted at once, entry 10 s. It ends
//! again: waits until 10 s after its end, then 20 s, 40 s, 80 s, 160 s, 300 s. When it ends more than twice the maximum
//! (10 min) after the last restart, the entry has expired and it starts from the beginning.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

/// Delays per key.
#[derive(Debug, Clone)]
pub struct Backoff {
    initial: Duration,
    max: Duration,
    entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    delay: Duration,
    updated: Timestamp,
}

impl Backoff {
    /// Delays from `initial`, doubling, up to `max`.
    pub fn new(initial: Duration, max: Duration) -> Self {
        Self { initial, max, entries: BTreeMap::new() }
    }

    /// What the kubelet uses for crashing containers and failing pulls: 10 s to 5 min.
    pub fn kubelet() -> Self {
        Self::new(Duration::from_secs(10), Duration::from_secs(300))
    }

    fn expired(&self, event: Timestamp, entry: &Entry) -> bool {
        event > entry.updated.saturating_add(self.max * 2).unwrap_or(Timestamp::MAX)
    }

    /// Records that `key` failed at `event` and is tried again now.
    pub fn next(&mut self, key: &str, event: Timestamp, now: Timestamp) {
        let delay = match self.entries.get(key) {
            Some(entry) if !self.expired(event, entry) => (entry.delay * 2).min(self.max),
            _ => self.initial,
        };
        self.entries.insert(key.to_string(), Entry { delay, updated: now });
    }

    /// Until when a failure at `event` must wait, if that is still to come.
    pub fn until_since(&self, key: &str, event: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let entry = self.entries.get(key)?;
        if self.expired(event, entry) {
            return None;
        }
        let until = event.saturating_add(entry.delay).unwrap_or(Timestamp::MAX);
        (now < until).then_some(until)
    }

    /// Until when `key` must wait since its last failure, if that is still to come.
    pub fn until_since_update(&self, key: &str, now: Timestamp) -> Option<Timestamp> {
        let entry = self.entries.get(key)?;
        if self.expired(now, entry) {
            return None;
        }
        let until = entry.updated.saturating_add(entry.delay).unwrap_or(Timestamp::MAX);
        (now < until).then_some(until)
    }

    /// The present delay of `key`.
    pub fn delay(&self, key: &str) -> Duration {
        self.entries.get(key).map_or(Duration::ZERO, |entry| entry.delay)
    }

    /// Forgets `key`.
    pub fn reset(&mut self, key: &str) {
        self.entries.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + seconds).unwrap()
    }

    #[test]
    fn doubles_from_ten_seconds_to_five_minutes() {
        let mut backoff = Backoff::kubelet();
        assert_eq!(backoff.until_since("c", at(0), at(0)), None, "the first restart is at once");
        backoff.next("c", at(0), at(0));
        let mut now = 0;
        for expected in [10, 20, 40, 80, 160, 300, 300, 300] {
            let ended = now + 1;
            assert_eq!(backoff.until_since("c", at(ended), at(ended)), Some(at(ended + expected)), "{expected}");
            now = ended + expected;
            assert_eq!(backoff.until_since("c", at(ended), at(now)), None);
            backoff.next("c", at(ended), at(now));
        }
    }

    #[test]
    fn starts_again_after_ten_minutes_of_running() {
        let mut backoff = Backoff::kubelet();
        backoff.next("c", at(0), at(0));
        backoff.next("c", at(5), at(15));
        assert_eq!(backoff.delay("c"), Duration::from_secs(20));
        assert!(backoff.until_since("c", at(15 + 600), at(15 + 600)).is_some(), "exactly ten minutes still counts");
        assert_eq!(backoff.until_since("c", at(15 + 601), at(15 + 601)), None);
        backoff.next("c", at(15 + 601), at(15 + 601));
        assert_eq!(backoff.delay("c"), Duration::from_secs(10));
    }

    #[test]
    fn pulls_wait_since_the_last_failure() {
        let mut backoff = Backoff::kubelet();
        backoff.next("image", at(0), at(0));
        assert_eq!(backoff.until_since_update("image", at(3)), Some(at(10)));
        assert_eq!(backoff.until_since_update("image", at(10)), None);
        backoff.next("image", at(10), at(10));
        assert_eq!(backoff.until_since_update("image", at(11)), Some(at(30)));
        backoff.reset("image");
        assert_eq!(backoff.until_since_update("image", at(11)), None);
    }
}

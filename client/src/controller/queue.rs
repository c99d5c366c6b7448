//! A work queue of keys: each at most once in it, none handed out twice at a time, delays and back-off per key
//! (client-go, util/workqueue). A key added while it is being worked on comes again when that is done.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::object::Key;

const FIRST_BACKOFF: Duration = Duration::from_millis(5);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// See the module.
#[derive(Default)]
pub struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Key>,
    /// In `ready`, or to be put there when done.
    dirty: HashSet<Key>,
    processing: HashSet<Key>,
    delayed: BTreeSet<(Instant, Key)>,
    /// When a delayed key is due; the earliest wish counts.
    due: HashMap<Key, Instant>,
    failures: HashMap<Key, u32>,
}

impl Queue {
    /// Makes a key dirty.
    pub fn add(&self, key: Key) {
        let mut state = self.state.lock();
        if !state.dirty.insert(key.clone()) {
            return;
        }
        if !state.processing.contains(&key) {
            state.ready.push_back(key);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Makes a key dirty after `delay`, unless an earlier time is set already.
    pub fn add_after(&self, key: Key, delay: Duration) {
        let at = Instant::now() + delay;
        let mut state = self.state.lock();
        match state.due.get(&key).copied() {
            Some(earlier) if earlier <= at => return,
            Some(later) => {
                state.delayed.remove(&(later, key.clone()));
            }
            None => {}
        }
        state.due.insert(key.clone(), at);
        state.delayed.insert((at, key));
        drop(state);
        self.changed.notify_one();
    }

    /// Makes a key dirty after a time that doubles with each failure since the last [`Queue::forget`].
    pub fn add_backed_off(&self, key: Key) {
        let failures = {
            let mut state = self.state.lock();
            let failures = state.failures.entry(key.clone()).or_default();
            *failures += 1;
            *failures
        };
        let delay = FIRST_BACKOFF.saturating_mul(1 << (failures - 1).min(20)).min(LONGEST_BACKOFF);
        self.add_after(key, delay);
    }

    /// The key has no failures any more.
    pub fn forget(&self, key: &Key) {
        self.state.lock().failures.remove(key);
    }

    /// The next key to work on; waits for one. [`Queue::done`] must follow.
    pub async fn next(&self) -> Key {
        loop {
            let notified = self.changed.notified();
            let wait_until = match self.state.lock().take(Instant::now()) {
                Ok(key) => {
                    // Another worker may sleep while more is ready.
                    self.changed.notify_one();
                    return key;
                }
                Err(next_due) => next_due,
            };
            match wait_until {
                Some(due) => {
                    let _ = tokio::time::timeout_at(due, notified).await;
                }
                None => notified.await,
            }
        }
    }

    /// The work on a key has ended.
    pub fn done(&self, key: &Key) {
        let mut state = self.state.lock();
        state.processing.remove(key);
        if state.dirty.contains(key) {
            state.ready.push_back(key.clone());
            drop(state);
            self.changed.notify_one();
        }
    }

    /// How many keys wait to be worked on now.
    pub fn depth(&self) -> usize {
        self.state.lock().ready.len()
    }
}

impl State {
    /// A ready key, or the time when one will be.
    fn take(&mut self, now: Instant) -> Result<Key, Option<Instant>> {
        while let Some((due, key)) = self.delayed.first().cloned() {
            if due > now {
                break;
            }
            self.delayed.pop_first();
            self.due.remove(&key);
            if self.dirty.insert(key.clone()) && !self.processing.contains(&key) {
                self.ready.push_back(key);
            }
        }
        match self.ready.pop_front() {
            Some(key) => {
                self.dirty.remove(&key);
                self.processing.insert(key.clone());
                Ok(key)
            }
            None => Err(self.delayed.first().map(|(due, _)| *due)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("", name)
    }

    async fn next_within(queue: &Queue, millis: u64) -> Option<String> {
        tokio::time::timeout(Duration::from_millis(millis), queue.next()).await.ok().map(|key| key.name)
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_waits_once_and_is_never_handed_out_twice() {
        let queue = Queue::default();
        queue.add(key("a"));
        queue.add(key("a"));
        assert_eq!(next_within(&queue, 1).await.as_deref(), Some("a"));
        queue.add(key("a"));
        assert_eq!(next_within(&queue, 1).await, None);
        queue.done(&key("a"));
        assert_eq!(next_within(&queue, 1).await.as_deref(), Some("a"));
        queue.done(&key("a"));
        assert_eq!(next_within(&queue, 1).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_delay_counts() {
        let queue = Queue::default();
        queue.add_after(key("a"), Duration::from_secs(10));
        queue.add_after(key("a"), Duration::from_secs(2));
        queue.add_after(key("a"), Duration::from_secs(30));
        assert_eq!(next_within(&queue, 1_900).await, None);
        assert_eq!(next_within(&queue, 200).await.as_deref(), Some("a"));
        queue.done(&key("a"));
        assert_eq!(next_within(&queue, 60_000).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn back_off_doubles_until_forgotten() {
        let queue = Queue::default();
        let mut waits = Vec::new();
        for round in 0..4 {
            if round == 3 {
                queue.forget(&key("a"));
            }
            let begun = Instant::now();
            queue.add_backed_off(key("a"));
            let taken = queue.next().await;
            waits.push(begun.elapsed().as_millis());
            queue.done(&taken);
        }
        assert_eq!(waits, [5, 10, 20, 5]);
    }

    #[tokio::test(start_paused = true)]
    async fn many_workers_share_the_work() {
        let queue = std::sync::Arc::new(Queue::default());
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move {
                    let mut done = 0;
                    while let Ok(key) = tokio::time::timeout(Duration::from_secs(1), queue.next()).await {
                        tokio::task::yield_now().await;
                        queue.done(&key);
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        for number in 0..100 {
            queue.add(key(&number.to_string()));
        }
        let mut total = 0;
        for worker in workers {
            total += worker.await.unwrap();
        }
        assert_eq!(total, 100);
    }
}

//! The pods that wait for a node: ready ones by priority and by how long they have waited since their last try; ones that
//! found none, until something happens that may help them, and, while others are ready, not before their back-off has passed
//! (kube-scheduler, backend/queue: 1 s doubling to 10 s; KEP-5142, pop from backoffQ when activeQ is empty).

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use client::Key;
use tokio::time::Instant;

use crate::state::ClusterEvent;

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// A pod that has been tried more often than this waits its back-off out, whoever is ready. Upstream, which looks closer at what an
/// event brings, sets no such bound; here each pod that goes would have all who found no room tried again.
const EARLY_TRIES: u32 = 3;
/// A pod that nothing woke is tried again after this long all the same (upstream: 5 minutes).
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// See the module.
#[derive(Default)]
pub struct Queue {
    pods: HashMap<Key, Waiting>,
    /// By priority (highest first), then turn.
    ready: BTreeSet<(Reverse<i32>, u64, Key)>,
    delayed: BTreeSet<(Instant, Key)>,
    /// Those of them whose event has come, and whose back-off has not passed: handed out when nobody is ready, in the same order.
    early: BTreeSet<(Reverse<i32>, u64, Key)>,
    /// Who is to be told of an event: pods that it may help, and under `None` those handed out, who are told of all.
    listening: HashMap<Option<ClusterEvent>, HashSet<Key>>,
    turns: u64,
}

struct Waiting {
    uid: String,
    priority: i32,
    /// Given out anew after each try, so that who has been tried waits behind who has not.
    turn: u64,
    attempts: u32,
    place: Place,
}

enum Place {
    Ready,
    /// Handed out; what happened meanwhile.
    Tried(HashSet<ClusterEvent>),
    /// Found no node.
    Parked {
        not_before: Instant,
        due: Instant,
    },
}

impl Waiting {
    /// Where it stands among those who are ready, or early.
    fn rank(&self, key: &Key) -> (Reverse<i32>, u64, Key) {
        (Reverse(self.priority), self.turn, key.clone())
    }
}

impl Queue {
    /// A pod that waits for a node; one that waits already keeps its place. Another pod of that name is another pod.
    pub fn add(&mut self, key: Key, uid: &str, priority: i32) {
        if self.pods.get(&key).is_some_and(|waiting| waiting.uid == uid) {
            return;
        }
        self.remove(&key);
        self.turns += 1;
        let waiting = Waiting { uid: uid.into(), priority, turn: self.turns, attempts: 0, place: Place::Ready };
        self.ready.insert(waiting.rank(&key));
        self.pods.insert(key, waiting);
    }

    /// A pod that needs no node any more.
    pub fn remove(&mut self, key: &Key) {
        if let Some(waiting) = self.pods.remove(key) {
            self.ready.remove(&waiting.rank(key));
            self.early.remove(&waiting.rank(key));
            if let Place::Parked { due, .. } = waiting.place {
                self.delayed.remove(&(due, key.clone()));
            }
            self.listen(key, []);
        }
    }

    /// The next pod to try, with its UID. [`Queue::park`], [`Queue::put_back`] or [`Queue::remove`] must follow.
    pub fn pop(&mut self, now: Instant) -> Option<(Key, String)> {
        self.wake_due(now);
        let (_, _, key) = self.ready.pop_first().or_else(|| self.early.pop_first())?;
        let waiting = self.pods.get_mut(&key)?;
        if let Place::Parked { due, .. } = waiting.place {
            self.delayed.remove(&(due, key.clone()));
        }
        waiting.attempts += 1;
        waiting.place = Place::Tried(HashSet::new());
        let uid = waiting.uid.clone();
        self.listen(&key, [None]);
        Some((key, uid))
    }

    /// Whether [`Queue::pop`] has a pod to hand out.
    pub fn is_ready(&mut self, now: Instant) -> bool {
        self.wake_due(now);
        !self.ready.is_empty() || !self.early.is_empty()
    }

    /// The pod found no node: it waits for one of `wakes_on`, which may have happened while it was tried.
    pub fn park(&mut self, key: &Key, uid: &str, wakes_on: HashSet<ClusterEvent>, now: Instant) {
        self.wait(key, uid, Some(wakes_on), now);
    }

    /// The pod could not be tried to the end: it comes again after its back-off, whatever happens.
    pub fn put_back(&mut self, key: &Key, uid: &str, now: Instant) {
        self.wait(key, uid, None, now);
    }

    /// Only who has been handed out comes to wait; nobody needs to wake who waits for nothing.
    fn wait(&mut self, key: &Key, uid: &str, wakes_on: Option<HashSet<ClusterEvent>>, now: Instant) {
        let Some(waiting) = self.pods.get_mut(key).filter(|waiting| waiting.uid == uid) else { return };
        let Place::Tried(happened) = &waiting.place else { return };
        let backoff = FIRST_BACKOFF.saturating_mul(1 << waiting.attempts.saturating_sub(1).min(8)).min(LONGEST_BACKOFF);
        let not_before = now + backoff;
        let helped = wakes_on.as_ref().is_some_and(|wakes_on| !happened.is_disjoint(wakes_on));
        let wakes_on = wakes_on.filter(|_| !helped);
        let due = if wakes_on.is_some() { now + LONGEST_WAIT } else { not_before };
        self.turns += 1;
        waiting.turn = self.turns;
        waiting.place = Place::Parked { not_before, due };
        self.delayed.insert((due, key.clone()));
        self.listen(key, wakes_on.into_iter().flatten().map(Some));
        if helped {
            self.wake(key);
        }
    }

    /// What the parked pod waited for has come.
    fn wake(&mut self, key: &Key) {
        let Some(waiting) = self.pods.get_mut(key) else { return };
        let Place::Parked { not_before, due } = &mut waiting.place else { return };
        self.delayed.remove(&(*due, key.clone()));
        *due = *not_before;
        self.delayed.insert((*due, key.clone()));
        if waiting.attempts <= EARLY_TRIES {
            self.early.insert(waiting.rank(key));
        }
        self.listen(key, []);
    }

    /// From now on the pod is told of these events and of no others.
    fn listen(&mut self, key: &Key, events: impl IntoIterator<Item = Option<ClusterEvent>>) {
        for listeners in self.listening.values_mut() {
            listeners.remove(key);
        }
        for event in events {
            self.listening.entry(event).or_default().insert(key.clone());
        }
    }

    /// Who is to be told of an event.
    fn listeners(&self, event: ClusterEvent) -> Vec<Key> {
        let of = |event| self.listening.get(&event).into_iter().flatten();
        of(None).chain(of(Some(event))).cloned().collect()
    }

    /// Something happened: who may profit is tried again once its back-off has passed, or nobody else is ready.
    pub fn happened(&mut self, event: ClusterEvent) {
        for key in self.listeners(event) {
            self.tell(&key, event);
        }
    }

    /// Something happened to one waiting pod itself.
    pub fn happened_to(&mut self, key: &Key, event: ClusterEvent) {
        let listens = |to| self.listening.get(&to).is_some_and(|listeners| listeners.contains(key));
        if listens(None) || listens(Some(event)) {
            self.tell(key, event);
        }
    }

    /// A pod that listens hears of an event: one that was handed out keeps it for later, one that sleeps wakes.
    fn tell(&mut self, key: &Key, event: ClusterEvent) {
        let Some(waiting) = self.pods.get_mut(key) else { return };
        match &mut waiting.place {
            Place::Tried(events) => {
                events.insert(event);
            }
            Place::Parked { .. } => self.wake(key),
            Place::Ready => {}
        }
    }

    /// When the next parked pod is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.delayed.first().map(|(due, _)| *due)
    }

    fn wake_due(&mut self, now: Instant) {
        while let Some((due, key)) = self.delayed.first().cloned() {
            if due > now {
                break;
            }
            self.delayed.pop_first();
            self.listen(&key, []);
            if let Some(waiting) = self.pods.get_mut(&key) {
                waiting.place = Place::Ready;
                self.early.remove(&waiting.rank(&key));
                self.ready.insert(waiting.rank(&key));
            }
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;

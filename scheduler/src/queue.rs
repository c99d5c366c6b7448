//! The pods that wait for a node: ready ones by priority and age; ones that found none, until something happens that may
//! help them, and not before their back-off has passed (kube-scheduler, backend/queue: 1 s doubling to 10 s).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use client::Key;
use tokio::time::Instant;

use crate::state::ClusterEvent;

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(10);
/// A pod that nothing woke is tried again after this long all the same (upstream: 5 minutes).
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// See the module.
#[derive(Default)]
pub struct Queue {
    pods: HashMap<Key, Waiting>,
    /// By priority (highest first), then arrival.
    ready: BTreeSet<(std::cmp::Reverse<i32>, u64, Key)>,
    delayed: BTreeSet<(Instant, Key)>,
    arrivals: u64,
}

struct Waiting {
    priority: i32,
    arrival: u64,
    attempts: u32,
    place: Place,
}

enum Place {
    Ready,
    /// Handed out; what happened meanwhile.
    Tried(HashSet<ClusterEvent>),
    /// Found no node.
    Parked {
        wakes_on: HashSet<ClusterEvent>,
        not_before: Instant,
        due: Instant,
    },
}

impl Queue {
    /// A pod that waits for a node; one that waits already keeps its place.
    pub fn add(&mut self, key: Key, priority: i32) {
        if self.pods.contains_key(&key) {
            return;
        }
        self.arrivals += 1;
        let waiting = Waiting { priority, arrival: self.arrivals, attempts: 0, place: Place::Ready };
        self.ready.insert((std::cmp::Reverse(priority), waiting.arrival, key.clone()));
        self.pods.insert(key, waiting);
    }

    /// A pod that needs no node any more.
    pub fn remove(&mut self, key: &Key) {
        if let Some(waiting) = self.pods.remove(key) {
            self.ready.remove(&(std::cmp::Reverse(waiting.priority), waiting.arrival, key.clone()));
            if let Place::Parked { due, .. } = waiting.place {
                self.delayed.remove(&(due, key.clone()));
            }
        }
    }

    /// The next pod to try. [`Queue::park`] or [`Queue::remove`] must follow.
    pub fn pop(&mut self, now: Instant) -> Option<Key> {
        self.wake_due(now);
        let (_, _, key) = self.ready.pop_first()?;
        if let Some(waiting) = self.pods.get_mut(&key) {
            waiting.attempts += 1;
            waiting.place = Place::Tried(HashSet::new());
        }
        Some(key)
    }

    /// Whether [`Queue::pop`] has a pod to hand out.
    pub fn is_ready(&mut self, now: Instant) -> bool {
        self.wake_due(now);
        !self.ready.is_empty()
    }

    /// The pod found no node: it waits for one of `wakes_on`.
    pub fn park(&mut self, key: &Key, wakes_on: HashSet<ClusterEvent>, now: Instant) {
        let Some(waiting) = self.pods.get_mut(key) else { return };
        let backoff = FIRST_BACKOFF.saturating_mul(1 << waiting.attempts.saturating_sub(1).min(8)).min(LONGEST_BACKOFF);
        let not_before = now + backoff;
        // What happened while it was tried may have come too late for that try.
        let missed = matches!(&waiting.place, Place::Tried(events) if !events.is_disjoint(&wakes_on));
        let due = if missed { not_before } else { now + LONGEST_WAIT };
        waiting.place = Place::Parked { wakes_on, not_before, due };
        self.delayed.insert((due, key.clone()));
    }

    /// Something happened: who may profit is tried again once its back-off has passed.
    pub fn happened(&mut self, event: ClusterEvent) {
        for (key, waiting) in &mut self.pods {
            match &mut waiting.place {
                Place::Tried(events) => {
                    events.insert(event);
                }
                Place::Parked { wakes_on, not_before, due } if wakes_on.contains(&event) && *due > *not_before => {
                    self.delayed.remove(&(*due, key.clone()));
                    *due = *not_before;
                    self.delayed.insert((*due, key.clone()));
                }
                _ => {}
            }
        }
    }

    /// When the next parked pod is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.delayed.first().map(|(due, _)| *due)
    }

    /// How many pods wait.
    pub fn len(&self) -> usize {
        self.pods.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    fn wake_due(&mut self, now: Instant) {
        while let Some((due, key)) = self.delayed.first().cloned() {
            if due > now {
                break;
            }
            self.delayed.pop_first();
            if let Some(waiting) = self.pods.get_mut(&key) {
                waiting.place = Place::Ready;
                self.ready.insert((std::cmp::Reverse(waiting.priority), waiting.arrival, key));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("default", name)
    }

    fn events(events: &[ClusterEvent]) -> HashSet<ClusterEvent> {
        events.iter().copied().collect()
    }

    #[tokio::test(start_paused = true)]
    async fn priority_first_then_age() {
        let mut queue = Queue::default();
        for (name, priority) in [("old", 0), ("young", 0), ("urgent", 10)] {
            queue.add(key(name), priority);
        }
        queue.add(key("old"), 0);
        let now = Instant::now();
        let order: Vec<String> = std::iter::from_fn(|| queue.pop(now)).map(|key| key.name).collect();
        assert_eq!(order, ["urgent", "old", "young"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_parked_pod_waits_for_its_event_and_its_backoff() {
        let mut queue = Queue::default();
        queue.add(key("p"), 0);
        let start = Instant::now();
        queue.pop(start);
        queue.park(&key("p"), events(&[ClusterEvent::PodGone]), start);
        queue.happened(ClusterEvent::NodeLabels);
        assert_eq!(queue.pop(start + Duration::from_secs(20)), None);
        queue.happened(ClusterEvent::PodGone);
        assert_eq!(queue.next_due(), Some(start + Duration::from_secs(1)));
        assert_eq!(queue.pop(start + Duration::from_secs(1)), Some(key("p")));
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_during_a_try_is_not_missed() {
        let mut queue = Queue::default();
        queue.add(key("p"), 0);
        let start = Instant::now();
        queue.pop(start);
        queue.happened(ClusterEvent::NodeAdded);
        queue.park(&key("p"), events(&[ClusterEvent::NodeAdded]), start);
        assert_eq!(queue.pop(start + Duration::from_secs(1)), Some(key("p")));
    }

    #[tokio::test(start_paused = true)]
    async fn backoff_doubles_to_ten_seconds_and_nobody_waits_for_ever() {
        let mut queue = Queue::default();
        queue.add(key("p"), 0);
        let mut now = Instant::now();
        for expected in [1, 2, 4, 8, 10, 10] {
            assert_eq!(queue.pop(now), Some(key("p")));
            queue.park(&key("p"), events(&[ClusterEvent::PodGone]), now);
            queue.happened(ClusterEvent::PodGone);
            assert_eq!(queue.next_due(), Some(now + Duration::from_secs(expected)));
            now += Duration::from_secs(expected);
        }
        queue.pop(now);
        queue.park(&key("p"), events(&[]), now);
        assert_eq!(queue.pop(now + LONGEST_WAIT), Some(key("p")));
        queue.remove(&key("p"));
        assert!(queue.is_empty() && queue.next_due().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_is_removed_is_handed_out_no_more() {
        let start = Instant::now();
        let mut queue = Queue::default();
        // Ready, handed out, parked: from wherever it is.
        queue.add(key("ready"), 0);
        queue.remove(&key("ready"));
        assert_eq!(queue.pop(start), None);
        queue.add(key("tried"), 0);
        assert_eq!(queue.pop(start), Some(key("tried")));
        queue.remove(&key("tried"));
        queue.park(&key("tried"), events(&[ClusterEvent::PodGone]), start);
        queue.happened(ClusterEvent::PodGone);
        assert_eq!((queue.pop(start + LONGEST_WAIT), queue.len()), (None, 0));
        queue.add(key("parked"), 0);
        queue.pop(start);
        queue.park(&key("parked"), events(&[ClusterEvent::PodGone]), start);
        queue.remove(&key("parked"));
        assert_eq!((queue.next_due(), queue.pop(start + LONGEST_WAIT)), (None, None));
        queue.remove(&key("never-there"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_comes_again_begins_without_history() {
        let start = Instant::now();
        let mut queue = Queue::default();
        for _ in 0..3 {
            queue.add(key("p"), 0);
            queue.pop(start);
            queue.park(&key("p"), events(&[ClusterEvent::PodGone]), start);
            queue.happened(ClusterEvent::PodGone);
            assert_eq!(queue.next_due(), Some(start + Duration::from_secs(1)));
            queue.remove(&key("p"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_event_wakes_all_who_wait_for_it_and_nobody_else() {
        let start = Instant::now();
        let mut queue = Queue::default();
        let waits = [
            ("room", &[ClusterEvent::PodGone, ClusterEvent::NodeResources][..]),
            ("room-too", &[ClusterEvent::PodGone]),
            ("label", &[ClusterEvent::NodeLabels]),
            ("nothing", &[]),
        ];
        for (name, _) in waits {
            queue.add(key(name), 0);
        }
        for (name, wakes_on) in waits {
            assert_eq!(queue.pop(start), Some(key(name)));
            queue.park(&key(name), events(wakes_on), start);
        }
        queue.happened(ClusterEvent::PodGone);
        queue.happened(ClusterEvent::PodGone);
        let later = start + Duration::from_secs(5);
        let woken: Vec<String> = std::iter::from_fn(|| queue.pop(later)).map(|key| key.name).collect();
        assert_eq!(woken, ["room", "room-too"]);
        queue.happened(ClusterEvent::NodeLabels);
        assert_eq!(queue.pop(later), Some(key("label")), "its back-off is over: at once");
        assert_eq!(queue.len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_before_the_back_off_is_over_waits_for_it() {
        let start = Instant::now();
        let mut queue = Queue::default();
        queue.add(key("p"), 0);
        queue.pop(start);
        queue.park(&key("p"), events(&[ClusterEvent::PodGone]), start);
        queue.happened(ClusterEvent::PodGone);
        let almost = start + Duration::from_millis(999);
        assert!(!queue.is_ready(almost) && queue.pop(almost).is_none());
        assert!(queue.is_ready(start + Duration::from_secs(1)));
        assert_eq!(queue.next_due(), None, "it is ready, and waits for nothing more");
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_come_back_keep_their_place_by_age() {
        let start = Instant::now();
        let mut queue = Queue::default();
        queue.add(key("old"), 0);
        queue.pop(start);
        queue.park(&key("old"), events(&[ClusterEvent::NodeAdded]), start);
        queue.add(key("young"), 0);
        queue.add(key("important"), 1);
        queue.happened(ClusterEvent::NodeAdded);
        let later = start + Duration::from_secs(1);
        let order: Vec<String> = std::iter::from_fn(|| queue.pop(later)).map(|key| key.name).collect();
        assert_eq!(order, ["important", "old", "young"]);
    }
}

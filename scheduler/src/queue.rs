//! The pods that wait for a node: ready ones by priority and by how long they have waited since their last try; ones that
//! found none, until something happens that may help them, and not before their back-off has passed (kube-scheduler,
//! backend/queue: 1 s doubling to 10 s).

use std::cmp::Reverse;
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
    /// By priority (highest first), then turn.
    ready: BTreeSet<(Reverse<i32>, u64, Key)>,
    delayed: BTreeSet<(Instant, Key)>,
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
        wakes_on: HashSet<ClusterEvent>,
        not_before: Instant,
        due: Instant,
    },
}

impl Queue {
    /// A pod that waits for a node; one that waits already keeps its place. Another pod of that name is another pod.
    pub fn add(&mut self, key: Key, uid: &str, priority: i32) {
        if self.pods.get(&key).is_some_and(|waiting| waiting.uid == uid) {
            return;
        }
        self.remove(&key);
        self.turns += 1;
        let turn = self.turns;
        self.ready.insert((Reverse(priority), turn, key.clone()));
        self.pods.insert(key, Waiting { uid: uid.into(), priority, turn, attempts: 0, place: Place::Ready });
    }

    /// A pod that needs no node any more.
    pub fn remove(&mut self, key: &Key) {
        if let Some(waiting) = self.pods.remove(key) {
            self.ready.remove(&(Reverse(waiting.priority), waiting.turn, key.clone()));
            if let Place::Parked { due, .. } = waiting.place {
                self.delayed.remove(&(due, key.clone()));
            }
        }
    }

    /// The next pod to try, with its UID. [`Queue::park`], [`Queue::put_back`] or [`Queue::remove`] must follow.
    pub fn pop(&mut self, now: Instant) -> Option<(Key, String)> {
        self.wake_due(now);
        let (_, _, key) = self.ready.pop_first()?;
        let waiting = self.pods.get_mut(&key)?;
        waiting.attempts += 1;
        waiting.place = Place::Tried(HashSet::new());
        Some((key, waiting.uid.clone()))
    }

    /// Whether [`Queue::pop`] has a pod to hand out.
    pub fn is_ready(&mut self, now: Instant) -> bool {
        self.wake_due(now);
        !self.ready.is_empty()
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
        let sleeps = wakes_on.as_ref().is_some_and(|wakes_on| happened.is_disjoint(wakes_on));
        let due = if sleeps { now + LONGEST_WAIT } else { not_before };
        self.turns += 1;
        waiting.turn = self.turns;
        waiting.place = Place::Parked { wakes_on: wakes_on.unwrap_or_default(), not_before, due };
        self.delayed.insert((due, key.clone()));
    }

    /// Something happened: who may profit is tried again once its back-off has passed.
    pub fn happened(&mut self, event: ClusterEvent) {
        for (key, waiting) in &mut self.pods {
            tell(&mut self.delayed, key, waiting, event);
        }
    }

    /// Something happened to one waiting pod itself.
    pub fn happened_to(&mut self, key: &Key, event: ClusterEvent) {
        if let Some(waiting) = self.pods.get_mut(key) {
            tell(&mut self.delayed, key, waiting, event);
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
            if let Some(waiting) = self.pods.get_mut(&key) {
                waiting.place = Place::Ready;
                self.ready.insert((Reverse(waiting.priority), waiting.turn, key));
            }
        }
    }
}

fn tell(delayed: &mut BTreeSet<(Instant, Key)>, key: &Key, waiting: &mut Waiting, event: ClusterEvent) {
    match &mut waiting.place {
        Place::Tried(events) => {
            events.insert(event);
        }
        Place::Parked { wakes_on, not_before, due } if wakes_on.contains(&event) && *due > *not_before => {
            delayed.remove(&(*due, key.clone()));
            *due = *not_before;
            delayed.insert((*due, key.clone()));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::new("default", name)
    }

    fn popped(key: Key) -> Option<(Key, String)> {
        Some((key, "u".into()))
    }

    fn events(events: &[ClusterEvent]) -> HashSet<ClusterEvent> {
        events.iter().copied().collect()
    }

    #[tokio::test(start_paused = true)]
    async fn priority_first_then_age() {
        let mut queue = Queue::default();
        for (name, priority) in [("old", 0), ("young", 0), ("urgent", 10)] {
            queue.add(key(name), "u", priority);
        }
        queue.add(key("old"), "u", 0);
        let now = Instant::now();
        let order: Vec<String> = std::iter::from_fn(|| queue.pop(now)).map(|(key, _)| key.name).collect();
        assert_eq!(order, ["urgent", "old", "young"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_parked_pod_waits_for_its_event_and_its_backoff() {
        let mut queue = Queue::default();
        queue.add(key("p"), "u", 0);
        let start = Instant::now();
        queue.pop(start);
        queue.park(&key("p"), "u", events(&[ClusterEvent::PodGone]), start);
        queue.happened(ClusterEvent::NodeLabels);
        assert_eq!(queue.pop(start + Duration::from_secs(20)), None);
        queue.happened(ClusterEvent::PodGone);
        assert_eq!(queue.next_due(), Some(start + Duration::from_secs(1)));
        assert_eq!(queue.pop(start + Duration::from_secs(1)), popped(key("p")));
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_during_a_try_is_not_missed() {
        let mut queue = Queue::default();
        queue.add(key("p"), "u", 0);
        let start = Instant::now();
        queue.pop(start);
        queue.happened(ClusterEvent::NodeAdded);
        queue.park(&key("p"), "u", events(&[ClusterEvent::NodeAdded]), start);
        assert_eq!(queue.pop(start + Duration::from_secs(1)), popped(key("p")));
    }

    #[tokio::test(start_paused = true)]
    async fn backoff_doubles_to_ten_seconds_and_nobody_waits_for_ever() {
        let mut queue = Queue::default();
        queue.add(key("p"), "u", 0);
        let mut now = Instant::now();
        for expected in [1, 2, 4, 8, 10, 10] {
            assert_eq!(queue.pop(now), popped(key("p")));
            queue.park(&key("p"), "u", events(&[ClusterEvent::PodGone]), now);
            queue.happened(ClusterEvent::PodGone);
            assert_eq!(queue.next_due(), Some(now + Duration::from_secs(expected)));
            now += Duration::from_secs(expected);
        }
        queue.pop(now);
        queue.park(&key("p"), "u", events(&[]), now);
        assert_eq!(queue.pop(now + LONGEST_WAIT), popped(key("p")));
        queue.remove(&key("p"));
        assert!(queue.pods.is_empty() && queue.next_due().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_is_removed_is_handed_out_no_more() {
        let start = Instant::now();
        let mut queue = Queue::default();
        // Ready, handed out, parked: from wherever it is.
        queue.add(key("ready"), "u", 0);
        queue.remove(&key("ready"));
        assert_eq!(queue.pop(start), None);
        queue.add(key("tried"), "u", 0);
        assert_eq!(queue.pop(start), popped(key("tried")));
        queue.remove(&key("tried"));
        queue.park(&key("tried"), "u", events(&[ClusterEvent::PodGone]), start);
        queue.happened(ClusterEvent::PodGone);
        assert_eq!((queue.pop(start + LONGEST_WAIT), queue.pods.len()), (None, 0));
        queue.add(key("parked"), "u", 0);
        queue.pop(start);
        queue.park(&key("parked"), "u", events(&[ClusterEvent::PodGone]), start);
        queue.remove(&key("parked"));
        assert_eq!((queue.next_due(), queue.pop(start + LONGEST_WAIT)), (None, None));
        queue.remove(&key("never-there"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_comes_again_begins_without_history() {
        let start = Instant::now();
        let mut queue = Queue::default();
        for _ in 0..3 {
            queue.add(key("p"), "u", 0);
            queue.pop(start);
            queue.park(&key("p"), "u", events(&[ClusterEvent::PodGone]), start);
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
            queue.add(key(name), "u", 0);
        }
        for (name, wakes_on) in waits {
            assert_eq!(queue.pop(start), popped(key(name)));
            queue.park(&key(name), "u", events(wakes_on), start);
        }
        queue.happened(ClusterEvent::PodGone);
        queue.happened(ClusterEvent::PodGone);
        let later = start + Duration::from_secs(5);
        let woken: Vec<String> = std::iter::from_fn(|| queue.pop(later)).map(|(key, _)| key.name).collect();
        assert_eq!(woken, ["room", "room-too"]);
        queue.happened(ClusterEvent::NodeLabels);
        assert_eq!(queue.pop(later), popped(key("label")), "its back-off is over: at once");
        assert_eq!(queue.pods.len(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_before_the_back_off_is_over_waits_for_it() {
        let start = Instant::now();
        let mut queue = Queue::default();
        queue.add(key("p"), "u", 0);
        queue.pop(start);
        queue.park(&key("p"), "u", events(&[ClusterEvent::PodGone]), start);
        queue.happened(ClusterEvent::PodGone);
        let almost = start + Duration::from_millis(999);
        assert!(!queue.is_ready(almost) && queue.pop(almost).is_none());
        assert!(queue.is_ready(start + Duration::from_secs(1)));
        assert_eq!(queue.next_due(), None, "it is ready, and waits for nothing more");
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_come_back_wait_behind_who_has_not_been_tried() {
        let start = Instant::now();
        let mut queue = Queue::default();
        for name in ["big", "bigger"] {
            queue.add(key(name), "u", 0);
        }
        for name in ["big", "bigger"] {
            assert_eq!(queue.pop(start), popped(key(name)));
        }
        queue.add(key("young"), "u", 0);
        // In the order in which their tries ended, which is not that in which they began.
        for name in ["bigger", "big"] {
            queue.park(&key(name), "u", events(&[ClusterEvent::NodeAdded]), start);
        }
        queue.add(key("youngest"), "u", 0);
        queue.add(key("important"), "u", 1);
        queue.happened(ClusterEvent::NodeAdded);
        let later = start + Duration::from_secs(1);
        let order: Vec<String> = std::iter::from_fn(|| queue.pop(later)).map(|(key, _)| key.name).collect();
        assert_eq!(order, ["important", "young", "bigger", "big", "youngest"]);
    }

    #[tokio::test(start_paused = true)]
    async fn another_pod_of_the_same_name_is_another_pod() {
        let start = Instant::now();
        let mut queue = Queue::default();
        let wakes_on = || events(&[ClusterEvent::PodGone]);
        queue.add(key("p"), "old", 0);
        assert_eq!(queue.pop(start), Some((key("p"), "old".into())));
        queue.add(key("p"), "new", 3);
        // What is said about the old one comes too late.
        queue.park(&key("p"), "old", wakes_on(), start);
        queue.put_back(&key("p"), "old", start);
        assert_eq!(queue.pop(start), Some((key("p"), "new".into())));
        queue.park(&key("p"), "new", wakes_on(), start);
        queue.happened(ClusterEvent::PodGone);
        assert_eq!(queue.next_due(), Some(start + Duration::from_secs(1)), "it has been tried once");
    }

    #[tokio::test(start_paused = true)]
    async fn only_who_was_handed_out_can_be_put_aside() {
        let start = Instant::now();
        let mut queue = Queue::default();
        queue.add(key("p"), "u", 0);
        queue.park(&key("p"), "u", events(&[ClusterEvent::PodGone]), start);
        assert_eq!((queue.next_due(), queue.pop(start)), (None, popped(key("p"))), "it was ready all the time");
        queue.park(&key("p"), "u", events(&[ClusterEvent::PodGone]), start);
        let due = queue.next_due();
        queue.put_back(&key("p"), "u", start);
        assert_eq!(queue.next_due(), due, "said twice");
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_put_back_comes_again_after_its_back_off_by_itself() {
        let mut now = Instant::now();
        let mut queue = Queue::default();
        queue.add(key("p"), "u", 0);
        for wait in [1, 2, 4, 8, 10, 10] {
            assert_eq!(queue.pop(now), popped(key("p")));
            queue.put_back(&key("p"), "u", now);
            assert_eq!(queue.next_due(), Some(now + Duration::from_secs(wait)));
            now += Duration::from_secs(wait);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_happens_to_one_pod_wakes_that_one() {
        let start = Instant::now();
        let mut queue = Queue::default();
        for name in ["a", "b", "c"] {
            queue.add(key(name), "u", 0);
            queue.pop(start);
        }
        for (name, wakes_on) in [("a", ClusterEvent::PodTolerations), ("b", ClusterEvent::PodTolerations)] {
            queue.park(&key(name), "u", events(&[wakes_on]), start);
        }
        queue.happened_to(&key("a"), ClusterEvent::PodTolerations);
        queue.happened_to(&key("b"), ClusterEvent::PodGone);
        // While it is tried, and before it is known what it waits for.
        queue.happened_to(&key("c"), ClusterEvent::PodTolerations);
        queue.park(&key("c"), "u", events(&[ClusterEvent::PodTolerations]), start);
        queue.happened_to(&key("never-there"), ClusterEvent::PodTolerations);
        let later = start + Duration::from_secs(5);
        let woken: Vec<String> = std::iter::from_fn(|| queue.pop(later)).map(|(key, _)| key.name).collect();
        assert_eq!(woken, ["a", "c"]);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_without_number_do_not_overflow_the_back_off() {
        let mut now = Instant::now();
        let mut queue = Queue::default();
        queue.add(key("p"), "u", 0);
        for _ in 0..200 {
            assert!(queue.pop(now).is_some());
            queue.put_back(&key("p"), "u", now);
            now += LONGEST_BACKOFF;
        }
        assert_eq!(queue.next_due(), Some(now));
    }
}

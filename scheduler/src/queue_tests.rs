//! The queue: who comes next, who wakes at what and when, and whom no event concerns.

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
async fn whom_an_event_cannot_help_is_not_looked_at() {
    let start = Instant::now();
    let mut queue = Queue::default();
    let looked_at = |queue: &Queue, event| {
        let mut names: Vec<String> = queue.listeners(event).into_iter().map(|key| key.name).collect();
        names.sort();
        names.join(" ")
    };
    for name in ["room", "label", "put-back", "tried"] {
        queue.add(key(name), "u", 0);
    }
    assert_eq!(looked_at(&queue, ClusterEvent::PodGone), "", "who is ready needs no event");
    for _ in 0..4 {
        queue.pop(start);
    }
    assert_eq!(looked_at(&queue, ClusterEvent::PodGone), "label put-back room tried", "nobody knows yet");
    queue.park(&key("room"), "u", events(&[ClusterEvent::PodGone, ClusterEvent::NodeResources]), start);
    queue.park(&key("label"), "u", events(&[ClusterEvent::NodeLabels, ClusterEvent::NodeResources]), start);
    queue.put_back(&key("put-back"), "u", start);
    assert_eq!(looked_at(&queue, ClusterEvent::PodGone), "room tried");
    assert_eq!(looked_at(&queue, ClusterEvent::NodeLabels), "label tried");
    assert_eq!(looked_at(&queue, ClusterEvent::NodeResources), "label room tried");
    assert_eq!(looked_at(&queue, ClusterEvent::NodeTaints), "tried");
    // Woken once is enough; who is no more, or has slept its time, waits for nothing either.
    queue.happened(ClusterEvent::PodGone);
    queue.remove(&key("tried"));
    assert_eq!(looked_at(&queue, ClusterEvent::NodeResources), "label");
    assert!(queue.is_ready(start + LONGEST_WAIT));
    assert_eq!(looked_at(&queue, ClusterEvent::NodeResources), "");
}

#[tokio::test(start_paused = true)]
async fn an_event_before_the_back_off_is_over_helps_where_nobody_else_is_ready() {
    let start = Instant::now();
    let mut queue = Queue::default();
    let parked = |queue: &mut Queue| {
        queue.add(key("p"), "u", 10);
        queue.pop(start);
        queue.park(&key("p"), "u", events(&[ClusterEvent::PodGone]), start);
    };
    parked(&mut queue);
    assert!(!queue.is_ready(start) && queue.pop(start).is_none(), "nothing has happened");
    queue.happened(ClusterEvent::PodGone);
    queue.add(key("ready"), "u", 0);
    assert_eq!(queue.pop(start), popped(key("ready")), "however important who backs off is");
    assert!(queue.is_ready(start));
    assert_eq!(queue.pop(start), popped(key("p")));
    assert_eq!((queue.next_due(), queue.is_ready(start + LONGEST_WAIT)), (None, false), "once is enough");
    // It counts as tried, and backs off for longer the next time.
    queue.park(&key("p"), "u", events(&[ClusterEvent::PodGone]), start);
    queue.happened(ClusterEvent::PodGone);
    assert_eq!(queue.next_due(), Some(start + Duration::from_secs(2)));
    assert!(queue.is_ready(start + Duration::from_secs(2)));
    assert_eq!(queue.next_due(), None, "its back-off is over, and it waits for nothing more");
    assert_eq!(queue.pop(start), popped(key("p")));
    // Who has been tried more often waits to the end.
    queue.park(&key("p"), "u", events(&[ClusterEvent::PodGone]), start);
    queue.happened(ClusterEvent::PodGone);
    assert_eq!(queue.pop(start), popped(key("p")));
    queue.park(&key("p"), "u", events(&[ClusterEvent::PodGone]), start);
    queue.happened(ClusterEvent::PodGone);
    assert!(!queue.is_ready(start + Duration::from_millis(7999)) && queue.is_ready(start + Duration::from_secs(8)));
    // Removed meanwhile, it is handed out no more.
    queue.remove(&key("p"));
    parked(&mut queue);
    queue.happened(ClusterEvent::PodGone);
    queue.remove(&key("p"));
    assert!(!queue.is_ready(start) && queue.early.is_empty() && queue.delayed.is_empty());
}

#[tokio::test(start_paused = true)]
async fn of_those_who_back_off_the_most_important_is_tried_first() {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut queue = Queue::default();
    let pods = [("first", 0, 0), ("important", 10, 900), ("later", 20, 1100), ("second", 0, 1200)];
    for (name, priority, ms) in pods {
        queue.add(key(name), "u", priority);
        assert_eq!(queue.pop(at(ms)), popped(key(name)));
        queue.park(&key(name), "u", events(&[ClusterEvent::PodGone]), at(ms));
    }
    // One that could not be tried to the end waits to the end of its back-off.
    queue.add(key("failed"), "u", 30);
    queue.pop(at(800));
    queue.put_back(&key("failed"), "u", at(800));
    queue.happened(ClusterEvent::PodGone);
    let order: Vec<String> = std::iter::from_fn(|| queue.pop(at(900))).map(|(key, _)| key.name).collect();
    assert_eq!(order, ["later", "important", "first", "second"]);
    assert_eq!(queue.pop(at(1800)), popped(key("failed")));
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

//! What a leader knows of a member, and what majorities have reached: etcd's tracker/progress_test.go, inflights_test.go and
//! quorum/ tests.

use super::super::membership::{quorum, reached};
use super::super::progress::{Progress, State};
use State::{Probe, Replicate, Snapshot};

/// A member that has `matched`, is sent `next`, in a state.
fn member(state: State, matched: u64, next: u64) -> Progress {
    let mut progress = Progress::new(next, false);
    progress.matched = matched;
    progress.enter(state, next);
    progress
}

#[test]
fn answers_move_it_on_and_never_back() {
    // (state, matched, next; index accepted, where the log begins; news, state, matched, next)
    type Seen = (State, u64, u64);
    let table: &[(Seen, u64, u64, bool, Seen)] = &[
        ((Replicate, 3, 5), 2, 1, false, (Replicate, 3, 5)),
        ((Replicate, 3, 5), 3, 1, false, (Replicate, 3, 5)),
        ((Replicate, 3, 5), 4, 1, true, (Replicate, 4, 5)),
        ((Replicate, 3, 5), 5, 1, true, (Replicate, 5, 6)),
        ((Replicate, 3, 5), 9, 1, true, (Replicate, 9, 10)),
        ((Probe, 3, 5), 2, 1, false, (Probe, 3, 5)),
        ((Probe, 3, 5), 3, 1, true, (Replicate, 3, 4)),
        ((Probe, 3, 5), 4, 1, true, (Replicate, 4, 5)),
        ((Probe, 0, 1), 0, 1, true, (Replicate, 0, 1)),
        ((Snapshot, 0, 1), 0, 20, false, (Snapshot, 0, 1)),
        ((Snapshot, 0, 1), 9, 20, true, (Snapshot, 9, 10)),
        ((Snapshot, 0, 1), 19, 20, true, (Replicate, 19, 20)),
        ((Snapshot, 0, 1), 30, 20, true, (Replicate, 30, 31)),
    ];
    for ((state, matched, next), index, first, news, expected) in table {
        let mut progress = member(*state, *matched, *next);
        let what = format!("{state:?} {matched} {next}, accepted {index} of a log from {first} on");
        assert_eq!(progress.accepted(*index, *first), *news, "{what}");
        assert_eq!((progress.state, progress.matched, progress.next), *expected, "{what}");
        assert!(progress.matched < progress.next, "{what}");
    }
}

#[test]
fn rejections_move_it_back_to_where_the_logs_may_meet() {
    // (state, matched, next; the append after `prev` is rejected, the hint; state, next)
    let table: &[(State, u64, u64, u64, u64, State, u64)] = &[
        // In order: a stale one says nothing.
        (Replicate, 0, 10, 0, 0, Replicate, 10),
        (Replicate, 5, 10, 5, 5, Replicate, 10),
        (Replicate, 5, 10, 4, 4, Replicate, 10),
        // One that is ahead of what is known: it is probed from there.
        (Replicate, 5, 10, 9, 9, Probe, 6),
        (Replicate, 5, 10, 6, 2, Probe, 6),
        // A probe's own rejection.
        (Probe, 0, 10, 9, 9, Probe, 9),
        (Probe, 0, 10, 9, 2, Probe, 3),
        (Probe, 0, 10, 9, 0, Probe, 1),
        (Probe, 0, 2, 1, 1, Probe, 1),
        (Probe, 4, 10, 9, 2, Probe, 5),
        // Another probe's.
        (Probe, 0, 10, 5, 5, Probe, 10),
        (Probe, 0, 10, 10, 3, Probe, 10),
        (Snapshot, 0, 10, 9, 3, Snapshot, 10),
    ];
    for (state, matched, next, prev, hint, then, after) in table {
        let mut progress = member(*state, *matched, *next);
        progress.waiting = true;
        progress.rejected(*prev, *hint);
        let what = format!("{state:?} {matched} {next}, rejected after {prev}, hint {hint}");
        assert_eq!((progress.state, progress.next, progress.matched), (*then, *after, *matched), "{what}");
        let asks_again = *state != Snapshot && (*then, *after) != (*state, *next);
        assert_eq!(progress.waiting, !asks_again, "{what}");
    }
}

#[test]
fn entering_a_state_forgets_what_was_on_its_way() {
    for state in [Probe, Replicate, Snapshot] {
        let mut progress = member(Replicate, 3, 4);
        (progress.waiting, progress.poke, progress.told) = (true, true, 9);
        (4..8).for_each(|last| progress.sent(last, 10));
        assert!(progress.full(4, 1000) && progress.full(10, 40));
        progress.enter(state, 2);
        assert_eq!((progress.state, progress.next), (state, 4), "never before what is known to match");
        assert!(!progress.full(1, 1) && !progress.waiting && !progress.poke);
        assert_eq!(progress.told, 3, "what it was told with what was lost may be lost");
    }
}

#[test]
fn what_is_on_its_way_is_counted() {
    let mut progress = member(Replicate, 0, 1);
    for (last, bytes, full_by_count, full_by_bytes) in
        [(2, 40, false, false), (3, 0, false, false), (5, 59, true, false), (9, 1, true, true)]
    {
        progress.sent(last, bytes);
        assert_eq!(progress.next, last + 1);
        assert_eq!((progress.full(3, 1000), progress.full(100, 100)), (full_by_count, full_by_bytes), "{last}");
    }
    // (accepted, full of three then, full of hundred bytes then)
    for (index, by_count, by_bytes) in [(1, true, true), (2, true, false), (4, false, false), (9, false, false)] {
        progress.accepted(index, 1);
        assert_eq!((progress.full(3, 1000), progress.full(100, 100)), (by_count, by_bytes), "accepted {index}");
    }
    assert!(!progress.full(1, 1), "nothing is left");
}

#[test]
fn many_come_and_go() {
    // As a ring buffer would have to: more in sum than ever at once.
    let mut progress = member(Replicate, 0, 1);
    for last in 1..=500 {
        progress.sent(last, 3);
        assert_eq!(progress.full(8, 24), last >= 8);
        if last >= 8 {
            progress.accepted(last - 7, 1);
        }
        assert!(!progress.full(8, 24), "{last}");
    }
}

#[test]
fn a_quorum_is_more_than_half() {
    let sizes = [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4), (9, 5)];
    for (voters, needed) in sizes {
        assert_eq!(quorum(voters), needed);
        // Any two of them meet, and without the rest they can still act.
        assert!(2 * quorum(voters) > voters && quorum(voters) <= voters);
    }
}

#[test]
fn what_a_quorum_has_reached() {
    let table: &[(&[u64], u64)] = &[
        (&[], 0),
        (&[5], 5),
        (&[0], 0),
        (&[5, 5], 5),
        (&[5, 0], 0),
        (&[2, 9], 2),
        (&[1, 2, 3], 2),
        (&[3, 1, 2], 2),
        (&[9, 0, 0], 0),
        (&[9, 9, 0], 9),
        (&[1, 2, 3, 4], 2),
        (&[4, 4, 1, 1], 1),
        (&[4, 4, 4, 1], 4),
        (&[9, 4, 7, 7, 2], 7),
        (&[0, 0, 5, 6, 7], 5),
        (&[100, 100, 0, 0, 0], 0),
        (&[101, 104, 103, 103, 102, 101, 99], 102),
    ];
    for (values, expected) in table {
        assert_eq!(reached(&mut values.to_vec()), *expected, "{values:?}");
    }
    // Against the definition: the largest value that so many have.
    let mut random = crate::random::SplitMix(1);
    for _ in 0..500 {
        let mut values: Vec<u64> = (0..1 + random.below(9)).map(|_| random.below(6)).collect();
        let needed = quorum(values.len());
        let has = |value: &u64| values.iter().filter(|other| *other >= value).count() >= needed;
        let expected = (0..6).filter(has).max().unwrap_or(0);
        assert_eq!(reached(&mut values), expected, "{values:?}");
    }
}

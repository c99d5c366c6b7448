//! What raft knows of its log while parts of it are on their way to the disk: etcd's log_test.go and log_unstable_test.go.

use bytes::Bytes;

use super::super::*;
use super::net::{MemLog, Net, Node, accepted, append, heartbeat};

/// Entries of these terms from `first` on.
fn entries(first: u64, terms: &[u64]) -> Vec<Entry> {
    (first..).zip(terms).map(|(index, term)| Entry { term: *term, index, ..Entry::default() }).collect()
}

/// A follower in term 9 with a log on disk, a part of which a snapshot holds.
fn follower(terms: &[u64], compacted: u64) -> Node {
    let mut log = MemLog::of(terms);
    if compacted > 0 {
        log.compact(compacted);
    }
    let membership = Membership { voters: vec![1, 2, 3], learners: vec![] };
    let hard = HardState { term: 9, vote: 0, commit: compacted };
    Node::with(Raft::new(Config::new(1, 1), hard, membership, compacted, &log), log)
}

#[test]
fn terms_are_known_within_the_log_only() {
    // Entries 1 to 6 on disk, 1 to 2 of them in a snapshot; 7 to 9 are not handed out yet.
    let mut node = follower(&[1, 1, 2, 2, 2, 3], 2);
    node.raft.append(entries(7, &[3, 5, 5]));
    let table = [
        (0, None),
        (1, None),
        (2, Some(1)),
        (3, Some(2)),
        (5, Some(2)),
        (6, Some(3)),
        (7, Some(3)),
        (8, Some(5)),
        (9, Some(5)),
        (10, None),
    ];
    for (index, term) in table {
        assert_eq!(node.raft.term_at(&node.log, index), term, "{index}");
    }
    // A snapshot that is not handed out yet takes the place of all that.
    let snapshot = Snapshot { index: 20, term: 6, membership: None };
    node.raft.take_snapshot(&node.log, 2, snapshot);
    for (index, term) in [(2, None), (6, None), (9, None), (19, None), (20, Some(6)), (21, None)] {
        assert_eq!(node.raft.term_at(&node.log, index), term, "{index}");
    }
}

#[test]
fn where_logs_may_meet() {
    let log = [1, 3, 3, 4, 4, 5, 5, 5, 6];
    // (from, the other's term there, index and term)
    let table = [
        (9, 3, (3, 3)),
        (9, 6, (9, 6)),
        (9, 9, (9, 6)),
        (9, 5, (8, 5)),
        (9, 4, (5, 4)),
        (9, 2, (1, 1)),
        (9, 1, (1, 1)),
        (5, 5, (5, 4)),
        (5, 3, (3, 3)),
        (1, 1, (1, 1)),
        (9, 0, (0, 0)),
        (0, 0, (0, 0)),
    ];
    let node = follower(&log, 0);
    for (from, term, expected) in table {
        assert_eq!(node.raft.meeting_point(&node.log, from, term), expected, "from {from}, term {term}");
    }
    // Not before what is known.
    let node = follower(&log, 4);
    assert_eq!(node.raft.meeting_point(&node.log, 9, 1), (3, 0), "behind the compacted nothing is known");
    assert_eq!(node.raft.meeting_point(&node.log, 9, 4), (5, 4));
}

#[test]
fn what_an_append_does_to_the_log() {
    // Log 1 2 3 3, committed up to 1. (prev, terms, log afterwards or where the logs may meet)
    type After<'a> = Result<&'a [u64], (u64, u64)>;
    let table: &[((u64, u64), &[u64], After<'_>)] = &[
        ((4, 3), &[], Ok(&[1, 2, 3, 3])),
        ((4, 3), &[4, 5], Ok(&[1, 2, 3, 3, 4, 5])),
        ((3, 3), &[3], Ok(&[1, 2, 3, 3])),
        ((3, 3), &[4], Ok(&[1, 2, 3, 4])),
        ((3, 3), &[3, 4], Ok(&[1, 2, 3, 3, 4])),
        ((2, 2), &[3], Ok(&[1, 2, 3, 3])),
        ((2, 2), &[4], Ok(&[1, 2, 4])),
        ((2, 2), &[2, 4], Ok(&[1, 2, 2, 4])),
        ((1, 1), &[2], Ok(&[1, 2, 3, 3])),
        ((1, 1), &[4, 4], Ok(&[1, 4, 4])),
        ((0, 0), &[1, 4], Ok(&[1, 4])),
        ((0, 0), &[1, 2, 3, 3, 3], Ok(&[1, 2, 3, 3, 3])),
        ((5, 3), &[], Err((4, 3))),
        ((9, 9), &[9], Err((4, 3))),
        ((4, 4), &[4], Err((4, 3))),
        ((4, 2), &[2], Err((2, 2))),
        ((3, 2), &[4], Err((2, 2))),
        ((3, 1), &[4], Err((1, 1))),
        ((2, 1), &[4], Err((1, 1))),
    ];
    for slow in [false, true] {
        for (prev, terms, after) in table {
            let mut node = Node::new(1, &[1, 2, 3], MemLog::of(&[1, 2]), 9);
            node.step(2, 9, heartbeat(1));
            node.step(2, 9, append((2, 2), &[3, 3], 1));
            // What is being written must be judged as what is written.
            node.slow_disk = slow;
            let answers = node.step(2, 9, append(*prev, terms, 1));
            node.slow_disk = false;
            let answers = [answers, node.pump().into_iter().filter_map(|message| message.body).collect()].concat();
            let what = format!("{prev:?} {terms:?}, slow {slow}");
            match (after, &answers[..]) {
                (Ok(log), [Body::AppendReply(reply)]) => {
                    assert_eq!((node.log.terms().as_slice(), reply.rejected), (*log, false), "{what}");
                    assert_eq!(reply.index, prev.0 + terms.len() as u64, "{what}: no more than the append spoke of");
                }
                (Err(hint), [Body::AppendReply(reply)]) => {
                    assert_eq!((reply.rejected, reply.index), (true, prev.0), "{what}");
                    assert_eq!((reply.hint_index, reply.hint_term), *hint, "{what}");
                    assert_eq!(node.log.terms(), [1, 2, 3, 3], "{what}");
                }
                other => panic!("{what}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_committed_entry_that_differs_is_a_violation() {
    // (prev, terms, the entry that is named; `None`: nothing wrong)
    type Row<'a> = ((u64, u64), &'a [u64], Option<u64>);
    let table: &[Row<'_>] = &[
        ((0, 0), &[1, 1, 1], None),
        ((0, 0), &[1, 2, 2], None),
        ((3, 1), &[2], None),
        ((2, 1), &[2, 2], Some(3)),
        ((1, 1), &[1, 2, 2], Some(3)),
        ((0, 0), &[2, 2, 2, 2], Some(3)),
        ((3, 2), &[2], Some(3)),
    ];
    for (prev, terms, violated) in table {
        let mut node = Node::new(1, &[1, 2, 3], MemLog::of(&[1, 1, 1]), 2);
        node.step(2, 2, heartbeat(3));
        let message = Message { from: 2, to: 1, term: 2, body: Some(append(*prev, terms, 0)) };
        let result = node.raft.step(&node.log, message);
        let expected = violated.map_or(Ok(()), |index| Err(Violation::Committed { index }));
        assert_eq!(result, expected, "{prev:?} {terms:?}");
        node.pump();
        assert_eq!(node.log.terms()[..3], [1, 1, 1], "{prev:?} {terms:?}");
    }
}

#[test]
fn writes_that_were_overtaken_count_as_far_as_they_hold() {
    // Appends in a row while nothing is durable: (prev, term and terms); then what each write's end makes durable.
    type Step<'a> = (u64, (u64, u64), &'a [u64]);
    let table: &[(&[Step<'_>], &[u64])] = &[
        (&[(2, (1, 1), &[2, 2]), (2, (3, 2), &[2])], &[3, 4]),
        (&[(2, (1, 1), &[2, 2, 2]), (3, (2, 2), &[3])], &[2, 3]),
        (&[(2, (1, 1), &[2, 2, 2]), (3, (1, 1), &[3])], &[1, 2]),
        (&[(2, (1, 1), &[2, 2]), (3, (1, 1), &[3, 3, 3]), (4, (4, 3), &[4])], &[1, 4, 5]),
        (&[(2, (1, 1), &[2, 2]), (3, (1, 1), &[3]), (4, (1, 1), &[4, 4])], &[1, 1, 3]),
    ];
    for (steps, durable) in table {
        let mut node = Node::new(1, &[1, 2, 3], MemLog::of(&[1]), 1);
        node.slow_disk = true;
        for (term, prev, terms) in *steps {
            assert_eq!(node.step(2, *term, append(*prev, terms, 0)), []);
        }
        for (number, expected) in (1..).zip(*durable) {
            node.raft.persisted(&node.log, number);
            assert_eq!(node.raft.status().persisted, *expected, "{steps:?}, write {number}");
        }
    }
}

#[test]
fn only_what_is_committed_and_durable_is_applied() {
    let mut node = Node::new(1, &[1, 2, 3], MemLog::of(&[1]), 1);
    node.slow_disk = true;
    node.step(2, 1, append((1, 1), &[1, 1, 1], 3));
    assert_eq!((node.raft.status().commit, node.applied.len()), (3, 1), "the rest is not durable here");
    node.slow_disk = false;
    node.pump();
    assert_eq!(node.applied.len(), 3);
    node.step(2, 1, heartbeat(4));
    assert_eq!(node.applied.iter().map(|entry| entry.index).collect::<Vec<_>>(), [1, 2, 3, 4], "each once, in order");
    node.step(2, 1, heartbeat(4));
    assert_eq!(node.applied.len(), 4);
}

#[test]
fn entries_are_read_off_disk_and_memory_as_one_log() {
    let sized = |index: u64, size: usize| Entry { term: 1, index, request: vec![b'x'; size].into(), kind: 0 };
    let log = MemLog { base: (0, 0), entries: (1..=3).map(|index| sized(index, 10)).collect() };
    let membership = Membership { voters: vec![1, 2, 3], learners: vec![] };
    let hard = HardState { term: 1, ..HardState::default() };
    let mut node = Node::with(Raft::new(Config::new(1, 1), hard, membership, 0, &log), log);
    node.raft.append((4..=6).map(|index| sized(index, 10)));
    // (from, bytes, indices)
    let table: &[(u64, usize, &[u64])] = &[
        (1, 1000, &[1, 2, 3, 4, 5, 6]),
        (1, 0, &[1]),
        (1, 10, &[1]),
        (1, 25, &[1, 2]),
        (1, 30, &[1, 2, 3]),
        (1, 40, &[1, 2, 3, 4]),
        (3, 20, &[3, 4]),
        (4, 1, &[4]),
        (4, 20, &[4, 5]),
        (6, 1000, &[6]),
        (7, 1000, &[]),
    ];
    for (from, most, expected) in table {
        let found = node.raft.entries_from(&node.log, *from, *most);
        assert_eq!(found.iter().map(|entry| entry.index).collect::<Vec<_>>(), *expected, "from {from}, {most} bytes");
    }
}

/// A log whose older entries are being read from the disk.
struct Slow(MemLog, u64);

impl LogView for Slow {
    fn first_index(&self) -> u64 {
        self.0.first_index()
    }
    fn last_index(&self) -> u64 {
        self.0.last_index()
    }
    fn term(&self, index: u64) -> Option<u64> {
        self.0.term(index)
    }
    fn entries(&self, from: u64, to: u64, max_bytes: usize) -> Vec<Entry> {
        if from < self.1 { Vec::new() } else { self.0.entries(from, to, max_bytes) }
    }
}

#[test]
fn what_cannot_be_read_now_is_asked_for_again() {
    let mut node = super::net::leader_of(&[1, 2, 3], &[], 4, |_| {});
    node.pump();
    let slow = Slow(node.log.clone(), 4);
    let step = |node: &mut Node, body| {
        node.raft.step(&slow, Message { from: 2, to: 1, term: 2, body: Some(body) }).unwrap();
        let messages = node.raft.ready(&slow).messages.into_iter();
        super::net::sent(
            &messages.filter(|message| message.to == 2).filter_map(|message| message.body).collect::<Vec<_>>(),
        )
    };
    // Entry 2 is not here yet: an empty append keeps the place.
    assert_eq!(step(&mut node, super::net::rejected(4, 1, 1)), [(1, 0)]);
    assert_eq!(step(&mut node, Body::HeartbeatReply(Default::default())), [(1, 0)]);
    let slow = Slow(node.log.clone(), 1);
    node.raft.step(&slow, Message { from: 2, to: 1, term: 2, body: Some(accepted(1)) }).unwrap();
    let messages = node.raft.ready(&slow).messages;
    let bodies: Vec<Body> =
        messages.into_iter().filter(|message| message.to == 2).filter_map(|message| message.body).collect();
    assert_eq!(super::net::sent(&bodies), [(1, 4)]);
}

#[test]
fn proposals_are_numbered_and_survive_a_change_of_the_leader_or_not() {
    let mut net = Net::of((0..3).map(|_| (MemLog::default(), 2)).collect());
    net.campaign(1);
    assert_eq!(net.propose(1, "a"), 2);
    assert_eq!(net.node(1).raft.propose([Bytes::from_static(b"b"), Bytes::from_static(b"c")]), Ok(3));
    net.settle();
    assert_eq!(net.node(1).raft.propose([]), Ok(5), "nothing takes no place");
    assert_eq!(net.propose(1, "d"), 5);
    assert_eq!(net.node(2).raft.propose([Bytes::new()]), Err(Refusal::NotLeader { leader: 1 }));
    net.cut.insert(1);
    net.node(1).raft.propose([Bytes::from_static(b"lost")]).unwrap();
    net.tick(25);
    net.cut.clear();
    net.tick(25);
    assert!([1, 2, 3].iter().all(|id| net.applied(*id) == ["a", "b", "c", "d"]));
}

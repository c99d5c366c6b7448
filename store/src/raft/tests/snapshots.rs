//! Members that need a snapshot: when one is asked for, what is sent meanwhile, what ends it. etcd's raft_snap_test.go.

use super::super::*;
use super::net::{MemLog, Node, accepted, append, heartbeat, leader_of, rejected, said, sent};

/// A leader whose log begins behind 12, and 2, which has asked from before that.
fn lagging(active: bool) -> Node {
    let mut node = leader_of(&[1, 2, 3], &[], 11, |_| {});
    node.pump();
    node.step(3, 2, accepted(12));
    node.log.compact(12);
    if active {
        node.step(2, 2, rejected(11, 2, 1));
    }
    node
}

fn state(node: &Node) -> (State, u64, u64) {
    let peer = node.raft.status().peers[0].clone();
    (peer.state, peer.matched, peer.next)
}

fn members(voters: &[u64]) -> Option<Membership> {
    Some(Membership { voters: voters.to_vec(), learners: vec![] })
}

/// What 2 is sent after an answer of its.
fn answered(node: &mut Node, body: Body) -> Vec<(u64, usize)> {
    node.raft.step(&node.log, Message { from: 2, to: 1, term: 2, body: Some(body) }).unwrap();
    let bodies: Vec<Body> = said(node.pump()).into_iter().filter(|(to, _)| *to == 2).map(|(_, body)| body).collect();
    sent(&bodies)
}

#[test]
fn one_is_asked_for_once_when_the_log_has_not_what_is_missing() {
    let mut node = lagging(true);
    assert_eq!((node.snapshots.clone(), state(&node).0), (vec![2], State::Snapshot));
    // Whatever is said meanwhile, nothing is sent, and it is not asked for again.
    node.raft.propose([bytes::Bytes::from_static(b"x")]).unwrap();
    for body in [rejected(11, 2, 1), accepted(0), Body::HeartbeatReply(proto::raft::HeartbeatReply { round: 0 })] {
        assert_eq!(answered(&mut node, body), []);
    }
    (0..5).for_each(|_| node.raft.tick(&node.log));
    let beats = said(node.pump());
    assert!(beats.iter().all(|(to, body)| *to == 3 || !matches!(body, Body::Append(_))), "heartbeats only");
    assert_eq!(node.snapshots, [2]);
}

#[test]
fn none_is_made_for_a_member_that_does_not_answer() {
    let mut node = lagging(false);
    node.raft.unreachable(2);
    node.raft.propose([bytes::Bytes::from_static(b"x")]).unwrap();
    node.pump();
    assert_eq!(node.snapshots, [0; 0]);
}

#[test]
fn what_ends_one() {
    // (what happens; state, matched, next; what is sent at once)
    type Ends = fn(&mut Node) -> Vec<(u64, usize)>;
    let nothing: Ends = |_| vec![];
    type Row<'a> = (&'a str, Ends, (State, u64, u64), &'a [(u64, usize)]);
    let table: &[Row<'_>] = &[
        ("nothing", nothing, (State::Snapshot, 0, 1), &[]),
        (
            "another's arrives",
            |node| {
                node.raft.snapshot_sent(3, 12);
                vec![]
            },
            (State::Snapshot, 0, 1),
            &[],
        ),
        (
            "it arrives",
            |node| {
                node.raft.snapshot_sent(2, 12);
                vec![]
            },
            (State::Probe, 0, 13),
            &[],
        ),
        (
            "it fails",
            |node| {
                node.raft.snapshot_failed(2);
                vec![]
            },
            (State::Probe, 0, 1),
            &[],
        ),
        ("the member has it", |node| answered(node, accepted(12)), (State::Replicate, 12, 13), &[(12, 0)]),
        ("the member has less", |node| answered(node, accepted(5)), (State::Snapshot, 5, 6), &[]),
        (
            "the connection breaks",
            |node| {
                node.raft.unreachable(2);
                vec![]
            },
            (State::Snapshot, 0, 1),
            &[],
        ),
    ];
    for (what, ends, expected, at_once) in table {
        let mut node = lagging(true);
        let sent = ends(&mut node);
        assert_eq!((state(&node), sent.as_slice()), (*expected, *at_once), "{what}");
        assert!(said(node.pump()).iter().all(|(to, _)| *to != 2), "{what}");
    }
}

#[test]
fn after_one_the_log_goes_on_or_another_is_asked_for() {
    let mut node = lagging(true);
    node.raft.propose([bytes::Bytes::from_static(b"x")]).unwrap();
    node.pump();
    node.raft.snapshot_sent(2, 12);
    assert_eq!(answered(&mut node, accepted(12)), [(12, 1)]);
    // It did not get there: after a sign of life it is asked for again.
    let mut node = lagging(true);
    node.raft.snapshot_failed(2);
    node.pump();
    assert_eq!(node.snapshots, [2]);
    answered(&mut node, Body::HeartbeatReply(proto::raft::HeartbeatReply { round: 0 }));
    assert_eq!((node.snapshots.clone(), state(&node).0), (vec![2, 2], State::Snapshot));
    // The log went on while it travelled: the next one is needed.
    let mut node = lagging(true);
    node.raft.propose([bytes::Bytes::from_static(b"x"), bytes::Bytes::from_static(b"y")]).unwrap();
    node.step(3, 2, accepted(14));
    node.log.compact(14);
    node.raft.snapshot_sent(2, 12);
    answered(&mut node, accepted(12));
    assert_eq!((node.snapshots.clone(), state(&node)), (vec![2, 2], (State::Snapshot, 12, 13)));
}

#[test]
fn what_a_snapshot_does_to_a_follower() {
    // (log, committed; the snapshot's index and term; answer, last entry then, where the log begins then)
    type Case<'a> = (&'a [u64], u64, (u64, u64), u64, u64, u64);
    let table: &[Case<'_>] = &[
        (&[], 0, (5, 2), 5, 5, 6),
        (&[1, 1], 0, (5, 2), 5, 5, 6),
        (&[1, 1, 1], 1, (3, 2), 3, 3, 4),
        // The log holds it: it stays.
        (&[1, 1, 1], 1, (2, 1), 2, 3, 1),
        (&[1, 1, 1], 0, (3, 1), 3, 3, 1),
        // An old one: what is committed is more.
        (&[1, 1, 1], 3, (2, 1), 3, 3, 1),
        (&[1, 1, 1], 2, (2, 9), 2, 3, 1),
        (&[1, 1, 1], 2, (1, 1), 2, 3, 1),
        // One that cannot be.
        (&[1, 1, 1], 2, (u64::MAX, 2), 2, 3, 1),
    ];
    for (log, committed, (index, term), answer, last, first) in table {
        let what = format!("{log:?}, {committed} committed, snapshot {index} of term {term}");
        let mut node = Node::new(1, &[1, 2, 3], MemLog::of(log), 3);
        node.step(2, 3, heartbeat(*committed));
        let snapshot = Snapshot { index: *index, term: *term, membership: members(&[1, 2]) };
        assert_eq!(node.step(2, 3, Body::Snapshot(snapshot)), [accepted(*answer)], "{what}");
        let status = node.raft.status();
        assert_eq!((status.last_index, status.commit, node.log.first_index()), (*last, *answer, *first), "{what}");
        let installed = *first > 1;
        assert_eq!(node.raft.membership().voters.len(), if installed { 2 } else { 3 }, "{what}");
        if installed {
            assert_eq!(node.log.term(*last), Some(*term), "{what}");
            assert_eq!(node.step(2, 3, append((*index, *term), &[3, 3], 0)), [accepted(index + 2)], "{what}");
        }
    }
}

#[test]
fn entries_sent_before_it_are_refused_or_known_after_it() {
    let mut node = Node::new(1, &[1, 2, 3], MemLog::of(&[1, 1]), 3);
    let snapshot = Snapshot { index: 6, term: 2, membership: members(&[1, 2, 3]) };
    node.step(2, 3, Body::Snapshot(snapshot));
    // What stands in the snapshot is committed, whatever an old append says of it.
    assert_eq!(node.step(2, 3, append((2, 1), &[2, 2], 0)), [accepted(6)]);
    // Across its end: only what is behind it counts.
    assert_eq!(node.step(2, 3, append((4, 2), &[2, 2, 3], 7)), [accepted(7)]);
    assert_eq!((node.log.first_index(), node.log.terms(), node.raft.status().commit), (7, vec![3], 7));
    assert_eq!(node.step(2, 3, append((9, 3), &[], 0)), [rejected(9, 7, 3)]);
}

#[test]
fn a_slow_disk_holds_the_answer_back() {
    let mut node = Node::new(1, &[1, 2, 3], MemLog::of(&[1]), 3);
    node.slow_disk = true;
    let snapshot = Snapshot { index: 6, term: 2, membership: members(&[1, 2, 3]) };
    assert_eq!(node.step(2, 3, Body::Snapshot(snapshot)), []);
    assert_eq!(node.step(2, 3, append((6, 2), &[3], 7)), [], "nor is what follows it answered before");
    assert!(!node.raft.may_campaign(&node.log));
    node.slow_disk = false;
    let answers: Vec<Body> = said(node.pump()).into_iter().map(|(_, body)| body).collect();
    assert_eq!(answers, [accepted(6), accepted(7)]);
    assert!(node.raft.may_campaign(&node.log));
    assert_eq!(node.applied.iter().map(|entry| entry.index).collect::<Vec<_>>(), [7]);
}

//! Logs become the leader's; what is committed stays.

use bytes::Bytes;
use proto::raft::HeartbeatReply;

use super::super::*;
use super::net::{MemLog, Net, Node, accepted, append, rejected, sent};

#[test]
fn appends_are_checked_against_the_log() {
    // Log, (prev index, prev term), terms, commit → log, reply, commit. Thesis, figure 3.1; etcd's TestHandleMsgApp.
    type Case<'a> = (&'a [u64], (u64, u64), &'a [u64], u64, &'a [u64], Body, u64);
    let cases: &[Case<'_>] = &[
        (&[1, 2], (2, 3), &[], 0, &[1, 2], rejected(2, 2, 2), 0),
        (&[1, 2], (3, 3), &[], 0, &[1, 2], rejected(3, 2, 2), 0),
        (&[1, 3], (2, 2), &[], 0, &[1, 3], rejected(2, 1, 1), 0),
        (&[1, 2], (1, 1), &[], 1, &[1, 2], accepted(1), 1),
        (&[], (0, 0), &[2], 1, &[2], accepted(1), 1),
        (&[1, 2], (2, 2), &[2, 2], 3, &[1, 2, 2, 2], accepted(4), 3),
        (&[1, 2], (2, 2), &[2], 4, &[1, 2, 2], accepted(3), 3),
        (&[1, 2], (1, 1), &[2], 4, &[1, 2], accepted(2), 2),
        (&[1, 1, 1], (1, 1), &[2], 0, &[1, 2], accepted(2), 0),
        (&[1, 1, 1], (1, 1), &[1], 0, &[1, 1, 1], accepted(2), 0),
        (&[1, 1, 1], (1, 1), &[], 3, &[1, 1, 1], accepted(1), 1),
    ];
    for (log, prev, terms, commit, expected, reply, committed) in cases {
        let mut node = Node::new(1, &[1, 2, 3], MemLog::of(log), 3);
        assert_eq!(
            node.step(2, 3, append(*prev, terms, *commit)),
            std::slice::from_ref(reply),
            "{log:?} {prev:?} {terms:?}"
        );
        assert_eq!(node.log.terms(), *expected, "{log:?} {prev:?} {terms:?}");
        assert_eq!(node.raft.status().commit, *committed, "{log:?} {prev:?} {terms:?}");
    }
}

#[test]
fn old_appends_change_nothing_and_new_ones_may_begin_in_the_committed() {
    let mut node = Node::new(1, &[1, 2, 3], MemLog::of(&[1, 1, 1]), 1);
    node.step(2, 1, append((3, 1), &[1], 3));
    assert_eq!(node.step(2, 1, append((0, 0), &[1], 1)), [accepted(3)]);
    assert_eq!(node.step(2, 1, append((1, 1), &[1, 1, 1, 1, 1], 3)), [accepted(6)]);
    assert_eq!(node.log.terms(), [1; 6]);
    let message = Message { from: 2, to: 1, term: 2, body: Some(append((1, 1), &[1, 2, 2], 3)) };
    assert_eq!(node.raft.step(&node.log, message), Err(Violation::Committed { index: 3 }));
}

#[test]
fn every_log_becomes_the_leaders() {
    // Thesis, figure 3.6.
    let leader = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
    let followers: &[&[u64]] = &[
        &[1, 1, 1, 4, 4, 5, 5, 6, 6],
        &[1, 1, 1, 4],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
        &[1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
        &[1, 1, 1, 4, 4, 4, 4],
        &[1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
    ];
    for follower in followers {
        // The third one's votes let the first one lead; the second may not vote for it.
        let mut net = Net::of(vec![(MemLog::of(&leader), 7), (MemLog::of(follower), 7), (MemLog::of(&[]), 7)]);
        net.campaign(1);
        let expected: Vec<u64> = leader.iter().copied().chain([8]).collect();
        for node in net.nodes.values() {
            assert_eq!(node.log.terms(), expected, "{follower:?}");
            assert_eq!(node.raft.status().commit, 11);
        }
        let probes = net.delivered.iter().filter(
            |message| matches!(&message.body, Some(Body::AppendReply(reply)) if reply.rejected && message.from == 2),
        );
        assert!(probes.count() <= 3, "one probe per term at most: {follower:?}");
    }
}

#[test]
fn entries_of_older_terms_are_not_committed_by_counting() {
    // Thesis, figure 3.7: a leader of term 4 has an entry of term 2 on a quorum.
    let mut net = Net::of(vec![(MemLog::of(&[1, 2]), 3), (MemLog::of(&[1, 2]), 3), (MemLog::of(&[1]), 3)]);
    net.lose = |message| matches!(&message.body, Some(Body::Append(append)) if !append.entries.is_empty());
    net.campaign(1);
    assert_eq!(net.node(1).role(), Role::Leader);
    net.node(1).step(2, 4, accepted(2));
    assert_eq!(net.node(1).raft.status().commit, 0);
    net.node(1).raft.fault = Some(Fault::CountOldTerms);
    net.node(1).pump();
    assert_eq!(net.node(1).raft.status().commit, 2, "a planted fault is seen here");
    (net.node(1).raft.fault, net.node(1).raft.commit) = (None, 0);
    net.lose = |_| false;
    net.tick(3);
    assert_eq!(net.node(1).raft.status().commit, 3);
}

#[test]
fn a_leader_sends_before_its_own_log_is_durable_and_applies_after() {
    let mut net = Net::new(3);
    net.campaign(1);
    net.node(1).slow_disk = true;
    net.propose(1, "a");
    assert_eq!(net.node(1).raft.status().commit, 2, "two others are a quorum");
    assert_eq!(net.applied(1), [""; 0]);
    assert_eq!(net.applied(2), ["a"]);
    net.node(1).slow_disk = false;
    net.settle();
    assert_eq!(net.applied(1), ["a"]);
}

#[test]
fn a_single_voters_entry_is_committed_when_it_is_durable() {
    let mut net = Net::new(1);
    net.campaign(1);
    net.node(1).slow_disk = true;
    net.propose(1, "a");
    assert_eq!(net.node(1).raft.status().commit, 1);
    net.node(1).slow_disk = false;
    net.settle();
    assert_eq!(net.applied(1), ["a"]);
}

#[test]
fn what_was_replaced_while_it_was_written_does_not_count() {
    let mut node = Node::new(1, &[1, 2, 3], MemLog::of(&[1, 1, 1]), 1);
    node.slow_disk = true;
    node.step(2, 1, append((3, 1), &[1, 1], 0));
    node.step(3, 2, append((3, 1), &[2], 0));
    // The same entries come back by a third leader, whose write is still under way.
    node.step(2, 3, append((3, 1), &[1, 1, 3], 0));
    node.raft.persisted(&node.log, 2);
    assert_eq!(node.raft.status().persisted, 3, "the first write of 4 and 5 was undone by the second");
    node.slow_disk = false;
    let replies: Vec<_> = node.pump().into_iter().map(|message| (message.term, message.body.unwrap())).collect();
    assert_eq!(replies, [(1, accepted(5)), (2, accepted(4)), (3, accepted(6))]);
    assert_eq!(node.raft.status().persisted, 6);
}

/// A leader of two and what it sends to the other one.
fn leader(max_inflight: usize) -> Node {
    let log = MemLog::default();
    let membership = Membership { voters: vec![1, 2], learners: vec![] };
    let config = Config { max_inflight, max_append_bytes: 2, max_inflight_bytes: 100, ..super::net::config(1) };
    let mut node = Node::with(Raft::new(config, HardState::default(), membership, 0, &log), log);
    node.raft.campaign(&node.log);
    node.pump();
    let granted = |pre| Body::VoteReply(proto::raft::VoteReply { granted: true, pre });
    node.step(2, 1, granted(true));
    node.step(2, 1, granted(false));
    assert_eq!(node.role(), Role::Leader);
    node
}

#[test]
fn appends_are_bounded() {
    let mut node = leader(3);
    // The append of the empty entry has been sent; nothing else before it is answered.
    node.raft.propose([b"a"; 12].map(|byte| Bytes::from_static(byte))).unwrap();
    assert_eq!(node.pump(), []);
    assert_eq!(sent(&node.step(2, 1, accepted(1))), [(1, 2), (3, 2), (5, 2)], "by two bytes, three at a time");
    assert_eq!(sent(&node.step(2, 1, accepted(3))), [(7, 2)]);
    assert_eq!(sent(&node.step(2, 1, accepted(3))), [], "an old answer");
    assert_eq!(sent(&node.step(2, 1, accepted(9))), [(9, 2), (11, 2)]);
    // Both get lost; the answer to a heartbeat shows that something is missing.
    assert_eq!(sent(&node.step(2, 1, Body::HeartbeatReply(HeartbeatReply { round: 0 }))), [(13, 0)]);
    assert_eq!(sent(&node.step(2, 1, rejected(13, 9, 1))), [(9, 2)], "a probe");
    assert_eq!(sent(&node.step(2, 1, rejected(13, 9, 1))), [], "an old answer");
    assert_eq!(sent(&node.step(2, 1, accepted(11))), [(11, 2)]);
    assert_eq!(sent(&node.step(2, 1, accepted(13))), [(13, 0)], "the commit index");
    assert_eq!(node.raft.status().commit, 13);
}

#[test]
fn a_probe_is_repeated_after_a_heartbeat() {
    let mut node = leader(3);
    for _ in 0..3 {
        node.raft.tick(&node.log);
        assert_eq!(node.pump().len(), 1, "a heartbeat, no append");
    }
    assert_eq!(sent(&node.step(2, 1, Body::HeartbeatReply(HeartbeatReply { round: 0 }))), [(0, 1)]);
    node.step(2, 1, accepted(1));
    node.raft.unreachable(2);
    node.raft.propose([Bytes::from_static(b"a"), Bytes::from_static(b"bb")]).unwrap();
    assert_eq!(sent(&node.pump().into_iter().filter_map(|message| message.body).collect::<Vec<_>>()), [(1, 1)]);
}

#[test]
fn a_reply_beyond_the_log_is_refused() {
    let mut node = leader(3);
    let message = Message { from: 2, to: 1, term: 1, body: Some(accepted(2)) };
    assert!(matches!(node.raft.step(&node.log, message), Err(Violation::Malformed(_))));
    assert_eq!(node.raft.status().commit, 0);
}

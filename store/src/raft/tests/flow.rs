//! How much a leader sends ahead, and what makes it go on: etcd's raft_flow_control_test.go and the progress tests of its
//! raft_test.go.

use bytes::Bytes;
use proto::raft::HeartbeatReply;

use super::super::*;
use super::net::{Node, accepted, leader_of, rejected, sent};

/// A leader whose member 2 has its first entry and is sent to ahead, with bounds of its own.
fn replicating(max_inflight: usize, max_inflight_bytes: usize, max_append_bytes: usize) -> Node {
    let mut node = leader_of(&[1, 2, 3], &[], 0, |config| {
        (config.max_inflight, config.max_inflight_bytes) = (max_inflight, max_inflight_bytes);
        config.max_append_bytes = max_append_bytes;
    });
    node.pump();
    node.step(2, 2, accepted(1));
    assert_eq!(node.raft.status().peers[0].state, State::Replicate);
    node
}

/// Proposes requests of these sizes, one by one; what 2 is sent of them.
fn propose(node: &mut Node, sizes: &[usize]) -> Vec<(u64, usize)> {
    let mut all = Vec::new();
    for size in sizes {
        node.raft.propose([Bytes::from(vec![b'x'; *size])]).unwrap();
        let to_two = node.pump().into_iter().filter(|message| message.to == 2).filter_map(|message| message.body);
        all.extend(sent(&to_two.collect::<Vec<_>>()));
    }
    all
}

fn answered(node: &mut Node, body: Body) -> Vec<(u64, usize)> {
    node.raft.step(&node.log, Message { from: 2, to: 1, term: 2, body: Some(body) }).unwrap();
    let to_two = node.pump().into_iter().filter(|message| message.to == 2).filter_map(|message| message.body);
    // News of the commit index alone are not what this is about.
    sent(&to_two.collect::<Vec<_>>()).into_iter().filter(|(_, entries)| *entries > 0).collect()
}

#[test]
fn no_more_appends_are_on_their_way_than_may_be() {
    for most in [1, 2, 5] {
        let mut node = replicating(most, 1 << 20, 1 << 20);
        let sent = propose(&mut node, &vec![1; most + 3]);
        let expected: Vec<(u64, usize)> = (1..=most as u64).map(|prev| (prev, 1)).collect();
        assert_eq!(sent, expected, "{most} at a time");
        // An answer to the oldest frees one place, in which all that waits goes.
        assert_eq!(answered(&mut node, accepted(2)), [(most as u64 + 1, 3)]);
        // An old answer frees none.
        propose(&mut node, &[1]);
        assert_eq!(answered(&mut node, accepted(1)), []);
        assert_eq!(answered(&mut node, accepted(2)), []);
    }
}

#[test]
fn no_more_bytes_are_on_their_way_than_may_be() {
    // (bound, sizes, how many are sent): one may go beyond the bound, the next may not begin there.
    let table: &[(usize, &[usize], usize)] = &[
        (100, &[30, 30, 30, 30, 30], 4),
        (100, &[100, 1], 1),
        (100, &[99, 1, 1], 2),
        (100, &[500, 1], 1),
        (1, &[1, 1], 1),
        (100, &[0, 0, 0, 100, 0], 4),
    ];
    for (bound, sizes, expected) in table {
        let mut node = replicating(100, *bound, 1 << 20);
        assert_eq!(propose(&mut node, sizes).len(), *expected, "{bound}: {sizes:?}");
        // The answer to all that was sent lets all the rest go.
        let rest = answered(&mut node, accepted(*expected as u64 + 1));
        assert_eq!(
            rest.iter().map(|(_, entries)| entries).sum::<usize>(),
            sizes.len() - expected,
            "{bound}: {sizes:?}"
        );
    }
}

#[test]
fn an_append_takes_what_fits_and_one_at_least() {
    // (bound, sizes of what is proposed at once, entries per append)
    let table: &[(usize, &[usize], &[usize])] = &[
        (10, &[5, 5, 5, 5], &[2, 2]),
        (10, &[5, 6, 5], &[1, 1, 1]),
        (10, &[11, 1, 1], &[1, 2]),
        (10, &[1, 11, 1], &[1, 1, 1]),
        (1, &[0, 0, 0], &[3]),
        (1 << 20, &[100, 200, 300], &[3]),
    ];
    for (bound, sizes, expected) in table {
        let mut node = replicating(100, 1 << 20, *bound);
        node.raft.propose(sizes.iter().map(|size| Bytes::from(vec![b'x'; *size]))).unwrap();
        let bodies: Vec<Body> =
            node.pump().into_iter().filter(|message| message.to == 2).filter_map(|message| message.body).collect();
        let entries: Vec<usize> = sent(&bodies).iter().map(|(_, entries)| *entries).collect();
        assert_eq!(entries, *expected, "{bound}: {sizes:?}");
    }
}

#[test]
fn an_answer_frees_all_that_came_before() {
    let mut node = replicating(4, 1 << 20, 1);
    propose(&mut node, &[1; 4]);
    propose(&mut node, &[1; 6]);
    for (index, expected) in [(3, vec![(5, 1), (6, 1)]), (4, vec![(7, 1)]), (8, vec![(8, 1), (9, 1), (10, 1)])] {
        assert_eq!(answered(&mut node, accepted(index)), expected, "accepted {index}");
    }
    let peer = node.raft.status().peers[0].clone();
    assert_eq!((peer.matched, peer.next), (8, 12));
}

#[test]
fn a_heartbeats_answer_lets_a_full_window_be_asked_about() {
    let mut node = replicating(2, 1 << 20, 1 << 20);
    propose(&mut node, &[1; 3]);
    for _ in 0..3 {
        // All were lost: an empty append finds out, however full the window is, and no entry goes beyond it.
        let reply = Body::HeartbeatReply(HeartbeatReply { round: 0 });
        node.raft.step(&node.log, Message { from: 2, to: 1, term: 2, body: Some(reply) }).unwrap();
        let bodies: Vec<Body> =
            node.pump().into_iter().filter(|message| message.to == 2).filter_map(|message| message.body).collect();
        assert_eq!(sent(&bodies), [(3, 0)]);
    }
    assert_eq!(answered(&mut node, rejected(3, 1, 2)), [(1, 3)], "from where the logs meet");
    assert_eq!(node.raft.status().peers[0].state, State::Probe);
}

#[test]
fn a_member_that_has_everything_is_not_asked() {
    let mut node = replicating(2, 1 << 20, 1 << 20);
    let reply = Body::HeartbeatReply(HeartbeatReply { round: 0 });
    assert_eq!(answered(&mut node, reply.clone()), []);
    propose(&mut node, &[1]);
    answered(&mut node, accepted(2));
    node.raft.step(&node.log, Message { from: 2, to: 1, term: 2, body: Some(reply) }).unwrap();
    let asked = node.pump().into_iter().any(|message| message.to == 2);
    assert!(!asked);
}

#[test]
fn a_probe_sends_one_append_until_it_is_answered() {
    let mut node = leader_of(&[1, 2, 3], &[], 3, |_| {});
    node.pump();
    for _ in 0..4 {
        assert_eq!(propose(&mut node, &[1]), [], "the first append waits for its answer");
    }
    // (answer, what is sent, state then)
    let table = [
        (rejected(3, 1, 1), vec![(1, 7)], State::Probe),
        (rejected(3, 1, 1), vec![], State::Probe),
        (accepted(8), vec![], State::Replicate),
        (accepted(8), vec![], State::Replicate),
    ];
    for (at, (answer, expected, state)) in table.into_iter().enumerate() {
        assert_eq!(answered(&mut node, answer), expected, "answer {at}");
        assert_eq!(node.raft.status().peers[0].state, state, "answer {at}");
    }
    assert_eq!(propose(&mut node, &[1, 1]), [(8, 1), (9, 1)], "ahead of the answers from now on");
}

#[test]
fn a_broken_connection_makes_the_leader_look_again() {
    let mut node = replicating(10, 1 << 20, 1 << 20);
    propose(&mut node, &[1; 3]);
    node.raft.unreachable(2);
    let peer = node.raft.status().peers[0].clone();
    assert_eq!((peer.state, peer.matched, peer.next), (State::Probe, 1, 2));
    let bodies: Vec<Body> =
        node.pump().into_iter().filter(|message| message.to == 2).filter_map(|message| message.body).collect();
    assert_eq!(sent(&bodies), [(1, 3)], "what was on its way is sent again, once");
    // A probe that waits, a stranger and a member in need of a snapshot are left as they are.
    node.raft.unreachable(2);
    node.raft.unreachable(9);
    assert!(node.pump().into_iter().all(|message| message.to != 2));
}

#[test]
fn the_commit_index_is_told_once() {
    let mut node = replicating(10, 1 << 20, 1 << 20);
    propose(&mut node, &[1]);
    let told = |messages: Vec<Message>| -> Vec<(u64, u64, bool)> {
        let appends = messages.into_iter().filter_map(|message| match message.body {
            Some(Body::Append(append)) if message.to == 2 => Some((append.prev_index, append.commit, append.quiet)),
            _ => None,
        });
        appends.collect()
    };
    node.raft.step(&node.log, Message { from: 2, to: 1, term: 2, body: Some(accepted(2)) }).unwrap();
    assert_eq!(told(node.pump()), [(2, 2, true)], "nobody need answer that");
    node.raft.tick(&node.log);
    assert_eq!(told(node.pump()), [], "heartbeats say the rest");
    node.raft.step(&node.log, Message { from: 3, to: 1, term: 2, body: Some(accepted(2)) }).unwrap();
    assert_eq!(told(node.pump()), [], "nothing new");
    node.raft.propose([Bytes::from_static(b"x")]).unwrap();
    assert_eq!(told(node.pump()), [(2, 2, false)], "an append says it with its entries");
}

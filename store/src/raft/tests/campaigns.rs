//! Pre-vote and check-quorum: who may disturb whom, and which leader gives up. The ideas are those of etcd's raft_test.go.

use proto::raft::HeartbeatReply;

use super::super::*;
use super::net::{MemLog, Net, Node, accepted, append, ask, config, heartbeat, leader_of, said, vote};
use Role::{Candidate, Follower, Leader, PreCandidate};

fn leaders(net: &Net) -> Vec<u64> {
    net.nodes.iter().filter(|(_, node)| node.role() == Leader).map(|(id, _)| *id).collect()
}

#[test]
fn who_may_campaign() {
    // (voters, learners, whether 1 may)
    let table: &[(&[u64], &[u64], bool)] = &[
        (&[1], &[], true),
        (&[1, 2, 3], &[4], true),
        (&[2, 3], &[1], false),
        (&[2, 3], &[], false),
        (&[], &[1], false),
        (&[], &[], false),
    ];
    for (voters, learners, may) in table {
        let log = MemLog::of(&[1]);
        let membership = Membership { voters: voters.to_vec(), learners: learners.to_vec() };
        let raft = Raft::new(config(1), HardState { term: 3, ..HardState::default() }, membership, 0, &log);
        let mut node = Node::with(raft, log);
        assert_eq!(node.raft.may_campaign(&node.log), *may, "{voters:?} {learners:?}");
        for _ in 0..60 {
            node.raft.tick(&node.log);
        }
        node.raft.campaign(&node.log);
        assert_eq!(node.role() == Follower, !may, "{voters:?} {learners:?}");
        assert_eq!(node.pump().is_empty(), !may || voters.len() == 1);
    }
    let mut leader = leader_of(&[1, 2, 3], &[], 0, |_| {});
    leader.pump();
    leader.raft.campaign(&leader.log);
    assert_eq!((leader.role(), leader.raft.status().term), (Leader, 2), "it leads already");
}

#[test]
fn a_leader_counts_who_has_answered() {
    let beat = Body::HeartbeatReply(HeartbeatReply { round: 0 });
    // (voters, learners, who answers, whether it leads on)
    let table: &[(u64, &[u64], &[u64], bool)] = &[
        (1, &[], &[], true),
        (1, &[7], &[], true),
        (2, &[], &[], false),
        (2, &[], &[2], true),
        (3, &[], &[], false),
        (3, &[], &[3], true),
        (3, &[7, 8], &[7, 8], false),
        (4, &[], &[2], false),
        (4, &[], &[2, 4], true),
        (5, &[], &[2], false),
        (5, &[], &[2, 2, 2], false),
        (5, &[], &[2, 5], true),
        (5, &[], &[9, 10, 11], false),
    ];
    for (voters, learners, answer, leads) in table {
        for (what, body) in [("heartbeats", &beat), ("appends", &accepted(1))] {
            let mut node = leader_of(&(1..=*voters).collect::<Vec<_>>(), learners, 0, |_| {});
            node.pump();
            let ticks = node.raft.config.election_ticks;
            for tick in 0..2 * ticks {
                node.raft.tick(&node.log);
                node.pump();
                // Whoever has answered once between two counts is there, whenever that was.
                if tick % ticks == 3 {
                    answer.iter().for_each(|from| drop(node.step(*from, 2, body.clone())));
                }
            }
            assert_eq!(node.role() == Leader, *leads, "{voters} voters, {answer:?} answer {what}");
            assert_eq!(node.raft.status().term, 2, "stepping down begins no term");
        }
    }
}

#[test]
fn a_leader_without_a_quorum_steps_down_at_its_next_count() {
    let mut node = leader_of(&[1, 2, 3], &[], 0, |_| {});
    node.pump();
    node.step(2, 2, accepted(1));
    let mut led = 0;
    while node.role() == Leader {
        node.raft.tick(&node.log);
        node.pump();
        led += 1;
    }
    assert_eq!(led, 20, "the first count finds 2's answer, the second none");
    assert_eq!(node.raft.standing(), Standing { role: Follower, leader: 0, term: 2 });
    assert!(node.raft.status().peers.is_empty());
    assert_eq!(node.raft.propose([bytes::Bytes::new()]), Err(Refusal::NotLeader { leader: 0 }));
}

#[test]
fn promises_are_refused_while_a_leader_is_heard_and_given_after() {
    for pre in [true, false] {
        let mut node = Node::new(1, &[1, 2, 3], MemLog::of(&[1]), 4);
        node.step(2, 4, heartbeat(0));
        node.raft.timeout = 100;
        for tick in 1..=30 {
            node.raft.tick(&node.log);
            let mut asked = Node::new(1, &[1, 2, 3], MemLog::of(&[1]), 4);
            asked.step(2, 4, heartbeat(0));
            (asked.raft.elapsed, asked.raft.timeout) = (node.raft.elapsed, 100);
            let answers = asked.step(3, 5, ask((1, 1), pre, false));
            let expected = if tick < 10 { vec![] } else { vec![vote(true, pre)] };
            assert_eq!(answers, expected, "{tick} ticks after the leader, pre {pre}");
        }
    }
    // With no leader known there is nobody to protect.
    let mut node = Node::new(1, &[1, 2, 3], MemLog::of(&[1]), 4);
    assert_eq!(node.step(3, 5, ask((1, 1), true, false)), [vote(true, true)]);
}

#[test]
fn a_promise_binds_nobody_and_changes_nothing() {
    let mut node = Node::new(1, &[1, 2, 3], MemLog::of(&[1]), 4);
    node.raft.timeout = 15;
    (0..8).for_each(|_| node.raft.tick(&node.log));
    let (before, elapsed) = (node.raft.status(), node.raft.elapsed);
    for from in [2, 3, 2] {
        assert_eq!(node.step(from, 5, ask((1, 1), true, false)), [vote(true, true)]);
    }
    assert_eq!((node.raft.status(), node.raft.elapsed, node.raft.vote), (before, elapsed, 0));
    assert_eq!(node.hard_state, HardState::default(), "nothing had to be written");
    // A vote does all of that.
    assert_eq!(node.step(3, 5, ask((1, 1), false, false)), [vote(true, false)]);
    assert_eq!((node.raft.elapsed, node.hard_state), (0, HardState { term: 5, vote: 3, commit: 0 }));
}

#[test]
fn a_refusal_from_a_later_term_ends_a_campaign_there() {
    for pre in [true, false] {
        let mut node = Node::new(1, &[1, 2, 3], MemLog::of(&[1]), 4);
        node.raft.campaign(&node.log);
        node.pump();
        if !pre {
            node.step(2, 5, vote(true, true));
        }
        node.step(3, 8, vote(false, pre));
        assert_eq!(node.raft.standing(), Standing { role: Follower, leader: 0, term: 8 });
        assert_eq!(node.raft.vote, 0);
    }
}

#[test]
fn answers_to_the_other_question_do_not_count() {
    let mut node = Node::new(1, &[1, 2, 3], MemLog::of(&[1]), 4);
    node.raft.campaign(&node.log);
    node.pump();
    node.step(2, 4, vote(true, false));
    assert_eq!(node.role(), PreCandidate, "nobody was asked for a vote");
    node.step(2, 5, vote(true, true));
    assert_eq!(node.role(), Candidate);
    node.step(3, 5, vote(true, true));
    assert_eq!(node.role(), Candidate, "a promise is no vote");
    node.step(3, 5, vote(true, false));
    assert_eq!(node.role(), Leader);
    node.step(2, 5, vote(false, false));
    assert_eq!(node.role(), Leader, "the rest comes too late");
}

#[test]
fn two_candidates_at_once_split_the_votes_and_one_wins_later() {
    for (one, other) in [(2, 3), (3, 2)] {
        let mut net = Net::of(vec![(MemLog::default(), 2), (MemLog::default(), 2), (MemLog::default(), 2)]);
        net.cut.insert(1);
        for id in [one, other] {
            let node = net.node(id);
            node.raft.campaign(&node.log);
        }
        net.settle();
        assert_eq!((net.node(2).role(), net.node(3).role()), (Candidate, Candidate), "each has its own vote");
        assert_eq!((net.node(2).raft.status().term, net.node(3).raft.status().term), (3, 3));
        net.tick(40);
        assert_eq!(leaders(&net).len(), 1);
        let term = net.node(2).raft.status().term;
        assert!(term >= 4 && net.node(3).raft.status().term == term, "{term}");
    }
}

#[test]
fn a_member_with_an_old_log_raises_no_term() {
    let mut net = Net::of(vec![(MemLog::of(&[1, 2]), 2), (MemLog::of(&[1, 2]), 2), (MemLog::of(&[1]), 2)]);
    for _ in 0..5 {
        net.campaign(3);
        assert_eq!(net.node(3).role(), Follower, "refused by both");
    }
    let terms: Vec<u64> = net.nodes.values().map(|node| node.raft.status().term).collect();
    assert_eq!(terms, [2, 2, 2]);
    net.campaign(1);
    assert_eq!((leaders(&net), net.node(1).raft.status().term), (vec![1], 3));
}

#[test]
fn a_member_stuck_in_a_later_term_is_followed_there() {
    // etcd's TestFreeStuckCandidateWithCheckQuorum: nobody listens to its votes, and it listens to no leader of an older term.
    let mut net = Net::of(vec![(MemLog::default(), 2), (MemLog::default(), 2), (MemLog::default(), 2)]);
    net.campaign(1);
    net.propose(1, "a");
    net.node(3).raft.become_follower(9, 0);
    net.settle();
    assert_eq!(net.node(3).raft.status().term, 9);
    net.tick(40);
    let led = leaders(&net);
    assert_eq!(led.len(), 1, "{led:?}");
    assert!(net.nodes.values().all(|node| node.raft.status().term >= 9));
    net.propose(led[0], "b");
    assert!([1, 2, 3].iter().all(|id| net.applied(*id) == ["a", "b"]));
}

#[test]
fn a_leader_that_returns_finds_its_successor() {
    let mut net = Net::of((0..3).map(|_| (MemLog::default(), 2)).collect());
    net.campaign(1);
    net.propose(1, "a");
    net.cut.insert(1);
    net.node(1).raft.propose([bytes::Bytes::from_static(b"lost")]).unwrap();
    net.tick(25);
    let [led] = leaders(&net)[..] else { panic!("{:?}", leaders(&net)) };
    assert_ne!(led, 1);
    net.propose(led, "b");
    net.cut.clear();
    net.tick(3);
    assert_eq!((leaders(&net), net.node(1).raft.status().leader), (vec![led], led));
    assert!([1, 2, 3].iter().all(|id| net.applied(*id) == ["a", "b"]), "what it alone had is gone");
}

#[test]
fn a_removed_or_unknown_member_disturbs_nobody() {
    let mut net = Net::new(3);
    net.campaign(1);
    net.propose(1, "a");
    let before = net.node(1).raft.standing();
    for pre in [true, false] {
        let message = Message { from: 9, to: 2, term: 50, body: Some(ask((99, 49), pre, false)) };
        let node = net.node(2);
        node.raft.step(&node.log, message).unwrap();
        net.settle();
    }
    net.tick(5);
    assert_eq!(net.node(1).raft.standing(), before);
    assert_eq!(net.node(2).raft.status().term, before.term);
}

#[test]
fn five_members_survive_two_deaths_and_not_three() {
    let mut net = Net::of((0..5).map(|_| (MemLog::default(), 2)).collect());
    net.campaign(1);
    net.propose(1, "a");
    net.cut.extend([4, 5]);
    net.propose(1, "b");
    net.tick(30);
    assert_eq!((leaders(&net), net.applied(1)), (vec![1], vec!["a".to_owned(), "b".to_owned()]));
    net.cut.insert(3);
    net.node(1).raft.propose([bytes::Bytes::from_static(b"c")]).unwrap();
    net.tick(30);
    assert_eq!(leaders(&net), [0; 0]);
    assert_eq!(net.applied(1), ["a", "b"]);
    net.cut.clear();
    net.tick(60);
    assert_eq!(leaders(&net).len(), 1);
    let applied = net.applied(1);
    assert!(
        applied.starts_with(&["a".into(), "b".into()]) && [2, 3, 4, 5].iter().all(|id| net.applied(*id) == applied)
    );
}

#[test]
fn what_was_said_before_it_was_durable_is_said_after_only() {
    // A follower whose disk is slow: neither its vote nor its acknowledgement leaves before; a heartbeat's answer does.
    let mut node = Node::new(1, &[1, 2, 3], MemLog::of(&[1]), 4);
    node.slow_disk = true;
    assert_eq!(node.step(2, 5, ask((1, 1), false, false)), []);
    assert_eq!(node.step(2, 5, append((1, 1), &[5], 0)), []);
    assert_eq!(node.step(2, 5, heartbeat(0)), [Body::HeartbeatReply(HeartbeatReply { round: 0 })]);
    assert_eq!(
        node.step(3, 4, append((1, 1), &[4], 0)),
        [],
        "what the past is told waits, too: the term must be durable"
    );
    node.slow_disk = false;
    let said = said(node.pump());
    assert_eq!(said.len(), 3);
    assert_eq!(said[..2], [(2, vote(true, false)), (2, accepted(2))]);
}

/// Founders with a long timeout: what the first of them says while the others start may be lost, also its request for the first
/// votes of all.
#[test]
fn who_stands_first_of_all_does_not_wait_long() {
    let log = MemLog::of(&[1, 1, 1]);
    let membership = Membership { voters: vec![1, 2, 3], learners: Vec::new() };
    let founder = |id: u64, term: u64| {
        let config = Config { election_ticks: 600, ..config(id) };
        let hard_state = HardState { term, ..HardState::default() };
        Node::with(Raft::new(config, hard_state, membership.clone(), 3, &log), log.clone())
    };
    let ticks_until_asking = |node: &mut Node| {
        (1..1200).find(|_| {
            node.raft.tick(&node.log);
            !node.pump().is_empty()
        })
    };
    let mut first = founder(1, 1);
    assert_eq!(ticks_until_asking(&mut first), Some(1));
    first.step(2, 2, vote(true, true));
    assert_eq!((first.role(), first.raft.status().term), (Candidate, 2));
    assert_eq!(ticks_until_asking(&mut first), Some(10), "nobody has heard of its standing");
    // The others leave it to the first, and so does everybody once there has been a leader.
    assert!(ticks_until_asking(&mut founder(2, 1)) >= Some(600));
    let log = MemLog::of(&[1, 1, 1, 2]);
    let config = Config { election_ticks: 600, ..config(1) };
    let hard_state = HardState { term: 2, ..HardState::default() };
    let mut later = Node::with(Raft::new(config, hard_state, membership.clone(), 3, &log), log);
    assert!(ticks_until_asking(&mut later) >= Some(600));
}

//! Who wins.

use proto::raft::{Heartbeat, TimeoutNow, VoteReply, VoteRequest};

use super::super::*;
use super::net::{MemLog, Net, Node};
use Role::{Candidate, Follower, Leader, PreCandidate};

#[test]
fn one_member_elects_itself_and_commits() {
    let mut net = Net::new(1);
    net.campaign(1);
    assert_eq!(net.roles(), [Leader]);
    net.propose(1, "a");
    assert_eq!(net.applied(1), ["a"]);
    let status = net.node(1).raft.status();
    assert_eq!((status.term, status.commit, status.last_index), (1, 2, 2));
}

#[test]
fn the_longest_log_of_the_latest_term_wins() {
    // Logs by terms, the first one's member campaigns. Raft's section 5.4.1, etcd's TestLeaderElection and TestRecvMsgVote.
    let cases: &[(&[&[u64]], Role)] = &[
        (&[&[], &[], &[]], Leader),
        (&[&[1], &[1], &[1]], Leader),
        (&[&[1, 1], &[1, 1], &[1, 1, 1]], Leader),
        (&[&[1, 1], &[1, 1, 1], &[1, 1, 1]], Follower),
        (&[&[1, 1, 1], &[2], &[2]], Follower),
        (&[&[2], &[1, 1, 1], &[1, 1, 1]], Leader),
        (&[&[1], &[], &[2], &[2], &[]], Leader),
        (&[&[1], &[], &[2], &[2], &[1, 1]], Follower),
    ];
    for (logs, expected) in cases {
        let term = 2;
        let mut net = Net::of(logs.iter().map(|terms| (MemLog::of(terms), term)).collect());
        net.campaign(1);
        assert_eq!(net.node(1).role(), *expected, "{logs:?}");
        if *expected == Leader {
            let log = net.node(1).log.terms();
            assert!(net.nodes.values().all(|node| node.log.terms() == log), "{logs:?}");
        }
    }
}

#[test]
fn who_cannot_campaign_votes_once_the_leader_is_silent() {
    // Found by the simulation (TRACK_RECORD.md): 2 does not know yet that it is a voter, and 1 needs its vote.
    let ask = Body::VoteRequest(VoteRequest { last_index: 3, last_term: 2, pre: true, transfer: false });
    let mut node = Node::new(2, &[1], MemLog::of(&[1, 2]), 2);
    for timeout in node.raft.config.election_ticks..2 * node.raft.config.election_ticks {
        node.step(1, 2, Body::Heartbeat(Heartbeat { commit: 0, round: 0 }));
        node.raft.timeout = timeout;
        for tick in 1..60 {
            node.raft.tick(&node.log);
            let answers = node.step(1, 3, ask.clone());
            assert_eq!(answers.is_empty(), tick < node.raft.config.election_ticks, "timeout {timeout}, tick {tick}");
        }
    }
}

#[test]
fn a_vote_is_given_once_a_term_and_only_when_it_is_durable() {
    let ask = |pre| Body::VoteRequest(VoteRequest { last_index: 2, last_term: 2, pre, transfer: false });
    let reply = |granted, pre| Body::VoteReply(VoteReply { granted, pre });
    let mut node = Node::new(1, &[1, 2, 3], MemLog::of(&[1, 2]), 2);
    assert_eq!(node.step(2, 3, ask(true)), [reply(true, true)]);
    assert_eq!(node.raft.status().term, 2, "a promise changes nothing");
    assert_eq!(node.step(3, 3, ask(true)), [reply(true, true)], "and binds nobody");

    node.slow_disk = true;
    assert_eq!(node.step(2, 3, ask(false)), [], "not durable yet");
    node.slow_disk = false;
    assert_eq!(node.pump().len(), 1);
    assert_eq!(node.step(2, 3, ask(false)), [reply(true, false)], "again for the same");
    assert_eq!(node.step(3, 3, ask(false)), [reply(false, false)]);
    assert_eq!(node.step(3, 4, ask(false)), [reply(true, false)], "a new term");
    assert_eq!(node.step(2, 3, ask(true)), [reply(false, true)], "told of the new term");
    assert_eq!(node.step(2, 3, ask(false)), []);
}

#[test]
fn a_candidate_counts_its_own_vote_when_it_is_durable() {
    let mut node = Node::new(1, &[1], MemLog::default(), 0);
    node.slow_disk = true;
    node.raft.campaign(&node.log);
    assert!(node.pump().is_empty());
    assert_eq!(node.role(), Candidate);
    node.slow_disk = false;
    node.pump();
    assert_eq!(node.role(), Leader);

    let mut node = Node::new(1, &[1, 2, 3], MemLog::default(), 0);
    node.slow_disk = true;
    node.raft.campaign(&node.log);
    assert_eq!(node.pump().len(), 2, "pre-votes ask at once");
    assert_eq!(node.step(2, 1, Body::VoteReply(VoteReply { granted: true, pre: true })), [], "votes do not");
    node.slow_disk = false;
    assert_eq!(node.pump().len(), 2);
}

#[test]
fn a_new_cluster_has_a_leader_as_soon_as_a_quorum_of_it_runs() {
    let mut net = Net::of(vec![(MemLog::default(), 1), (MemLog::default(), 1), (MemLog::default(), 1)]);
    net.cut.extend([2, 3]);
    net.tick(30);
    assert_eq!(net.node(1).raft.status().term, 1, "asking changes nothing");
    net.cut.remove(&2);
    net.tick(2);
    assert_eq!(net.node(1).role(), Leader);
    assert_eq!(net.node(1).raft.status().term, 2);
}

#[test]
fn elections_begin_after_a_random_timeout() {
    let mut timeouts = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let membership = Membership { voters: vec![1, 2, 3], learners: vec![] };
        let log = MemLog::default();
        let mut raft = Raft::new(Config::new(1, seed), HardState::default(), membership, 0, &log);
        let ticks = (1..).find(|_| {
            raft.tick(&log);
            raft.status().role == PreCandidate
        });
        timeouts.insert(ticks.unwrap());
    }
    assert_eq!(timeouts.into_iter().collect::<Vec<u32>>(), (10..20).collect::<Vec<_>>());
}

#[test]
fn a_member_that_was_cut_off_disturbs_nobody() {
    let mut net = Net::new(3);
    net.campaign(1);
    let term = net.node(1).raft.status().term;
    net.cut.insert(3);
    net.tick(100);
    net.propose(1, "a");
    assert_eq!(net.node(3).role(), PreCandidate);
    net.cut.clear();
    net.tick(25);
    assert_eq!(net.roles(), [Leader, Follower, Follower]);
    assert_eq!(net.node(3).raft.status().term, term);
    assert_eq!(net.applied(3), ["a"]);
}

#[test]
fn a_leader_without_a_quorum_steps_down_and_another_one_is_elected() {
    let mut net = Net::new(3);
    net.campaign(1);
    net.cut.insert(1);
    net.tick(60);
    let roles = net.roles();
    assert_ne!(roles[0], Leader);
    assert_eq!(roles[1..].iter().filter(|role| **role == Leader).count(), 1);
}

#[test]
fn whoever_hears_a_leader_does_not_vote_but_for_its_successor() {
    let ask = |transfer| Body::VoteRequest(VoteRequest { last_index: 9, last_term: 9, pre: false, transfer });
    let mut node = Node::new(1, &[1, 2, 3], MemLog::default(), 0);
    assert_eq!(node.step(2, 1, Body::Heartbeat(Heartbeat::default())).len(), 1);
    for _ in 0..9 {
        node.raft.tick(&node.log);
    }
    assert_eq!(node.step(3, 2, ask(false)), [], "ignored");
    assert_eq!(node.raft.status().term, 1);
    let mut patient = Node::new(1, &[1, 2, 3], MemLog::default(), 0);
    patient.step(2, 1, Body::Heartbeat(Heartbeat::default()));
    patient.raft.tick(&patient.log);
    assert_eq!(patient.step(3, 2, ask(true)).len(), 1);
    assert_eq!(patient.raft.status().term, 2);
}

#[test]
fn leaders_of_the_past_learn_of_the_present() {
    let mut net = Net::new(3);
    net.campaign(1);
    net.cut.insert(1);
    net.tick(9);
    // 1 has not counted its quorum yet when 2 takes over.
    let asked = net.node(2).step(1, 1, Body::TimeoutNow(TimeoutNow {}));
    assert_eq!(asked.len(), 2);
    net.cut.clear();
    net.tick(25);
    let leaders = net.nodes.values().filter(|node| node.role() == Leader).count();
    let terms: Vec<u64> = net.nodes.values().map(|node| node.raft.status().term).collect();
    assert_eq!(leaders, 1);
    assert!(terms.iter().all(|term| *term == terms[0] && *term >= 2), "{terms:?}");
}

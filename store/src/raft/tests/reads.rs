//! Linearizable reads.

use proto::raft::HeartbeatReply;

use super::super::*;
use super::net::{Net, accepted, leader_of};

fn heartbeats(net: &Net) -> usize {
    net.delivered.iter().filter(|message| matches!(message.body, Some(Body::Heartbeat(_)))).count()
}

#[test]
fn leaders_and_followers_read_what_is_committed() {
    let mut net = Net::new(3);
    net.campaign(1);
    let index = net.propose(1, "a");
    net.node(1).raft.read_index(7).unwrap();
    net.node(2).raft.read_index(7).unwrap();
    net.settle();
    for id in [1, 2] {
        assert_eq!(net.node(id).reads, [Read { context: 7, index }]);
    }
}

#[test]
fn one_round_confirms_many() {
    let mut net = Net::new(3);
    net.campaign(1);
    for context in 0..100 {
        net.node(1).raft.read_index(context).unwrap();
        net.node(2).raft.read_index(context).unwrap();
    }
    net.settle();
    assert_eq!(net.node(1).reads.len(), 100);
    assert_eq!(net.node(2).reads.len(), 100);
    assert!(heartbeats(&net) <= 4, "two rounds to two members");
}

#[test]
fn a_leader_that_is_cut_off_confirms_nothing() {
    let mut net = Net::new(3);
    net.campaign(1);
    net.cut.insert(1);
    net.node(1).raft.read_index(1).unwrap();
    net.tick(5);
    assert_eq!(net.node(1).reads, []);
    // The next heartbeat asks again.
    net.cut.clear();
    net.tick(1);
    assert_eq!(net.node(1).reads.len(), 1);
}

#[test]
fn a_new_leader_commits_before_it_confirms() {
    let mut net = Net::new(3);
    net.campaign(1);
    net.propose(1, "a");
    net.lose = |message| matches!(&message.body, Some(Body::AppendReply(_)));
    net.node(1).raft.transfer_leadership(2).unwrap();
    net.settle();
    assert_eq!(net.node(2).role(), Role::Leader);
    net.node(2).raft.read_index(1).unwrap();
    net.tick(3);
    assert_eq!(net.node(2).reads, []);
    net.lose = |_| false;
    net.tick(2);
    assert_eq!(net.node(2).reads, [Read { context: 1, index: 3 }]);
}

#[test]
fn a_single_voter_confirms_at_once_after_its_first_commit() {
    let mut net = Net::new(1);
    net.node(1).slow_disk = true;
    assert_eq!(net.node(1).raft.read_index(0), Err(Refusal::NotLeader { leader: 0 }));
    net.node(1).slow_disk = false;
    net.campaign(1);
    net.node(1).slow_disk = true;
    net.propose(1, "a");
    net.node(1).raft.read_index(1).unwrap();
    net.settle();
    assert_eq!(net.node(1).reads, [Read { context: 1, index: 1 }], "what is not acknowledged need not be seen");
}

#[test]
fn answers_to_a_former_life_are_ignored() {
    let mut net = Net::new(3);
    net.campaign(1);
    net.node(2).raft.read_index(5).unwrap();
    let asked = net.node(2).pump();
    let life = match &asked[0].body {
        Some(Body::ReadRequest(request)) => request.life,
        other => panic!("{other:?}"),
    };
    let reply = |life| Body::ReadReply(proto::raft::ReadReply { contexts: vec![5], life, index: 1 });
    net.node(2).step(1, 0, reply(life ^ 1));
    assert_eq!(net.node(2).reads, []);
    net.node(2).step(1, 0, reply(life));
    assert_eq!(net.node(2).reads.len(), 1);
}

#[test]
fn a_read_sees_what_was_committed_before_it_was_asked_for() {
    // etcd's TestReadOnlyOptionSafe: (who asks, how much is proposed before)
    let mut net = Net::new(3);
    net.campaign(1);
    let mut index = 1;
    for (context, (asker, proposals)) in (1..).zip([(1, 10), (2, 10), (3, 10), (1, 0), (2, 1), (3, 0)]) {
        (0..proposals).for_each(|_| index = net.propose(1, "x"));
        net.node(asker).raft.read_index(context).unwrap();
        net.settle();
        let read = net.node(asker).reads.last().copied();
        assert_eq!(read, Some(Read { context, index }), "asked by {asker}");
        assert!(net.node(asker).raft.status().applied >= index, "what it names is here by then");
    }
}

#[test]
fn what_commits_while_a_read_is_confirmed_need_not_be_seen() {
    let mut net = Net::new(3);
    net.campaign(1);
    let index = net.propose(1, "a");
    net.lose = |message| matches!(message.body, Some(Body::HeartbeatReply(_)));
    net.node(1).raft.read_index(1).unwrap();
    net.settle();
    net.propose(1, "b");
    assert_eq!(net.node(1).reads, []);
    // What is asked for while a round is under way waits for the next one, and sees more.
    net.node(1).raft.read_index(2).unwrap();
    net.settle();
    net.lose = |_| false;
    net.tick(2);
    assert_eq!(net.node(1).reads, [Read { context: 1, index }, Read { context: 2, index: index + 1 }]);
}

#[test]
fn a_quorum_of_voters_confirms() {
    // (voters, learners, who answers, confirmed)
    let table: &[(u64, &[u64], &[u64], bool)] = &[
        (1, &[], &[], true),
        (2, &[], &[], false),
        (2, &[], &[2], true),
        (3, &[7], &[7], false),
        (3, &[7], &[3], true),
        (5, &[], &[2], false),
        (5, &[], &[2, 2], false),
        (5, &[], &[2, 3], true),
        (5, &[], &[2, 9], false),
    ];
    for (voters, learners, answer, confirmed) in table {
        let mut node = leader_of(&(1..=*voters).collect::<Vec<_>>(), learners, 0, |_| {});
        node.pump();
        (2..=*voters).for_each(|from| drop(node.step(from, 2, accepted(1))));
        node.raft.read_index(5).unwrap();
        let beats = node.pump();
        let round = beats.iter().find_map(|message| match message.body {
            Some(Body::Heartbeat(beat)) => Some(beat.round),
            _ => None,
        });
        for from in *answer {
            // An answer to an earlier round says nothing.
            node.step(*from, 2, Body::HeartbeatReply(HeartbeatReply { round: round.unwrap_or(1) - 1 }));
            assert!(node.reads.is_empty(), "{voters} {answer:?}");
        }
        for from in *answer {
            node.step(*from, 2, Body::HeartbeatReply(HeartbeatReply { round: round.unwrap_or(1) }));
        }
        assert_eq!(!node.reads.is_empty(), *confirmed, "{voters} voters, {answer:?}");
    }
}

#[test]
fn reads_end_with_the_leader_they_were_asked_of() {
    let mut net = Net::of((0..3).map(|_| (super::net::MemLog::default(), 2)).collect());
    net.campaign(1);
    net.propose(1, "a");
    net.cut.insert(1);
    net.node(1).raft.read_index(1).unwrap();
    net.tick(25);
    net.cut.clear();
    net.tick(3);
    assert_eq!(net.node(1).reads, [], "it may have missed what its successor committed");
    // Without a leader nobody can be asked; a follower's question goes to the leader it knows.
    let mut alone = super::net::Node::new(2, &[1, 2, 3], super::net::MemLog::default(), 2);
    assert_eq!(alone.raft.read_index(1), Err(Refusal::NotLeader { leader: 0 }));
    alone.step(3, 2, super::net::heartbeat(0));
    alone.raft.read_index(1).unwrap();
    alone.raft.read_index(2).unwrap();
    let asked = alone.pump();
    assert_eq!((asked.len(), asked[0].to, asked[0].term), (1, 3, 0), "all in one");
    // Whoever does not lead does not answer.
    assert_eq!(alone.step(1, 0, Body::ReadRequest(proto::raft::ReadRequest { contexts: vec![9], life: 1 })), []);
}

//! Linearizable reads.

use super::super::*;
use super::net::Net;

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

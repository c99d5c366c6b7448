//! Handing the leadership over: etcd's TestLeaderTransfer* in raft_test.go.

use bytes::Bytes;
use proto::raft::TimeoutNow;

use super::super::*;
use super::net::{MemLog, Net, Node, accepted, ask, heartbeat, in_role, leader_of};
use ChangeKind::{AddLearner, Remove};
use Role::{Candidate, Follower, Leader};

fn led() -> Net {
    let mut net = Net::of((0..3).map(|_| (MemLog::default(), 2)).collect());
    net.campaign(1);
    net.propose(1, "a");
    net
}

fn transfer(net: &mut Net, from: u64, to: u64) -> Result<(), Refusal> {
    let result = net.node(from).raft.transfer_leadership(to);
    net.settle();
    result
}

fn propose(net: &mut Net) -> Result<u64, Refusal> {
    net.node(1).raft.propose([Bytes::from_static(b"x")])
}

#[test]
fn whoever_has_the_whole_log_leads_at_once_even_while_the_leader_is_heard() {
    let mut net = led();
    net.tick(1);
    transfer(&mut net, 1, 3).unwrap();
    assert_eq!(net.roles(), [Follower, Follower, Leader]);
    assert_eq!(net.node(3).raft.status().term, 4, "no promises are asked for: its term is the next one");
    assert_eq!(net.node(1).raft.standing(), Standing { role: Follower, leader: 3, term: 4 });
    // And back.
    transfer(&mut net, 3, 1).unwrap();
    assert_eq!(net.roles(), [Leader, Follower, Follower]);
}

#[test]
fn to_oneself_to_strangers_and_to_learners() {
    let mut net = led();
    net.change(1, AddLearner, 4).unwrap();
    assert_eq!(transfer(&mut net, 1, 1), Ok(()));
    assert_eq!(net.node(1).raft.status().transferee, 0);
    for id in [0, 4, 9] {
        assert_eq!(transfer(&mut net, 1, id), Err(Refusal::NotVoter { id }));
    }
    assert_eq!(transfer(&mut net, 2, 3), Err(Refusal::NotLeader { leader: 1 }));
    assert_eq!(net.roles(), [Leader, Follower, Follower]);
    assert!(propose(&mut net).is_ok());
}

#[test]
fn nothing_is_taken_while_it_is_under_way_and_a_timeout_ends_it() {
    let mut net = led();
    net.cut.insert(3);
    net.propose(1, "b");
    transfer(&mut net, 1, 3).unwrap();
    assert_eq!(net.node(1).raft.status().transferee, 3);
    assert_eq!(propose(&mut net), Err(Refusal::Transferring { to: 3 }));
    assert_eq!(net.change(1, Remove, 2), Err(Refusal::Transferring { to: 3 }));
    // Asked for again: no longer than from the first time on.
    net.tick(5);
    transfer(&mut net, 1, 3).unwrap();
    net.tick(4);
    assert_eq!(propose(&mut net), Err(Refusal::Transferring { to: 3 }));
    net.tick(1);
    assert_eq!((net.node(1).raft.status().transferee, net.node(1).role()), (0, Leader));
    assert!(propose(&mut net).is_ok());
}

#[test]
fn another_wish_takes_the_place_of_the_first() {
    let mut net = led();
    net.cut.insert(3);
    net.propose(1, "b");
    transfer(&mut net, 1, 3).unwrap();
    transfer(&mut net, 1, 2).unwrap();
    assert_eq!(net.roles(), [Follower, Leader, Follower]);
}

#[test]
fn to_oneself_ends_what_was_under_way() {
    // etcd's TestLeaderTransferBack.
    let mut net = led();
    net.cut.insert(3);
    net.propose(1, "b");
    transfer(&mut net, 1, 3).unwrap();
    transfer(&mut net, 1, 1).unwrap();
    assert_eq!(net.node(1).raft.status().transferee, 0);
    assert!(propose(&mut net).is_ok());
    net.cut.clear();
    net.tick(3);
    assert_eq!(net.roles(), [Leader, Follower, Follower], "3 is not told to campaign any more");
}

#[test]
fn whoever_lags_behind_leads_when_it_has_caught_up() {
    for by_snapshot in [false, true] {
        let mut net = led();
        net.cut.insert(3);
        net.propose(1, "b");
        if by_snapshot {
            net.node(1).log.compact(3);
        }
        transfer(&mut net, 1, 3).unwrap();
        net.cut.clear();
        net.tick(2);
        if by_snapshot {
            assert_eq!((net.node(1).snapshots.clone(), net.node(3).role()), (vec![3], Follower));
            let membership = net.node(1).raft.membership().clone();
            let snapshot = Snapshot { index: 3, term: 3, membership: Some(membership) };
            net.node(3)
                .raft
                .step(&MemLog::default(), Message { from: 1, to: 3, term: 3, body: Some(Body::Snapshot(snapshot)) })
                .unwrap();
            net.settle();
        }
        assert_eq!(net.roles(), [Follower, Follower, Leader], "snapshot {by_snapshot}");
        net.propose(3, "c");
        assert_eq!(net.applied(3).last().map(String::as_str), Some("c"));
    }
}

#[test]
fn it_is_told_once_and_only_with_the_whole_log() {
    let mut node = leader_of(&[1, 2, 3], &[], 0, |_| {});
    node.pump();
    node.step(2, 2, accepted(1));
    node.raft.propose([Bytes::from_static(b"x")]).unwrap();
    node.raft.transfer_leadership(2).unwrap();
    let told = |messages: Vec<Message>| {
        messages.iter().filter(|message| matches!(message.body, Some(Body::TimeoutNow(_)))).count()
    };
    assert_eq!(told(node.pump()), 0, "2 lacks an entry");
    for (answer, expected) in [(accepted(1), 0), (accepted(2), 1), (accepted(2), 0)] {
        node.raft.step(&node.log, Message { from: 2, to: 1, term: 2, body: Some(answer) }).unwrap();
        assert_eq!(told(node.pump()), expected);
    }
    // Given up, and asked for anew.
    (0..10).for_each(|_| node.raft.tick(&node.log));
    assert_eq!((node.raft.status().transferee, told(node.pump())), (0, 0));
    node.raft.transfer_leadership(2).unwrap();
    assert_eq!(told(node.pump()), 1);
}

#[test]
fn only_a_followers_own_leader_makes_it_campaign() {
    let now = || Body::TimeoutNow(TimeoutNow {});
    for (role, from, campaigns) in [
        (Follower, 2, true),
        (Follower, 3, false),
        (Role::PreCandidate, 2, false),
        (Candidate, 2, false),
        (Leader, 2, false),
    ] {
        let mut node = in_role(role);
        let term = node.raft.status().term;
        if role == Follower {
            node.step(2, 4, heartbeat(0));
        }
        let asked = node.step(from, term, now());
        let expected = if campaigns { vec![ask((1, 1), false, true); 2] } else { vec![] };
        assert_eq!(asked, expected, "{role:?} from {from}");
        assert_eq!(node.raft.status().term, term + u64::from(campaigns));
    }
    // Nor one that may not lead.
    let mut node = Node::new(1, &[2, 3], MemLog::of(&[1]), 4);
    node.step(2, 4, heartbeat(0));
    assert_eq!(node.step(2, 4, now()), []);
    assert_eq!(node.role(), Follower);
}

#[test]
fn a_later_term_or_the_transferees_removal_ends_it() {
    let mut net = led();
    net.cut.insert(3);
    net.propose(1, "b");
    transfer(&mut net, 1, 3).unwrap();
    net.node(1).step(2, 9, ask((9, 8), false, true));
    assert_eq!((net.node(1).role(), net.node(1).raft.status().transferee), (Follower, 0));

    let mut node = leader_of(&[1, 2, 3], &[], 0, |_| {});
    node.pump();
    node.raft.transfer_leadership(3).unwrap();
    let change = |kind: ChangeKind, id| MembershipChange { kind: kind.into(), id, context: Bytes::new() };
    node.raft.apply_membership(&change(AddLearner, 4)).unwrap();
    assert_eq!(node.raft.status().transferee, 3, "another change does not matter");
    node.raft.apply_membership(&change(Remove, 3)).unwrap();
    assert_eq!(node.raft.status().transferee, 0);
    assert!(node.raft.propose([Bytes::new()]).is_ok());
}

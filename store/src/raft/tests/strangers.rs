//! Whatever a peer says, a member does not panic, and does not forget what is committed.

use proto::raft::{
    Append, AppendReply, Heartbeat, HeartbeatReply, ReadReply, ReadRequest, Snapshot, TimeoutNow, VoteReply,
    VoteRequest,
};

use super::super::*;
use super::net::{MemLog, Net, Node, append, heartbeat, in_role};
use crate::random::SplitMix;

fn number(random: &mut SplitMix) -> u64 {
    [random.below(8), random.below(8), random.below(8), u64::MAX, u64::MAX - 1, 1 << 62][random.below(6) as usize]
}

fn body(random: &mut SplitMix) -> Body {
    let (a, b, c, d) = (number(random), number(random), number(random), number(random));
    let flag = random.below(2) == 0;
    let entry = |at| Entry { term: c.wrapping_add(at / 2), index: a.wrapping_add(at), ..Entry::default() };
    match random.below(10) {
        0 => Body::VoteRequest(VoteRequest { last_index: a, last_term: b, pre: flag, transfer: c > 4 }),
        1 => Body::VoteReply(VoteReply { granted: flag, pre: a > 4 }),
        2 | 3 => {
            let entries = (1..=random.below(4)).map(entry).collect();
            Body::Append(Append { prev_index: a, prev_term: b, entries, commit: d, quiet: flag })
        }
        4 => Body::AppendReply(AppendReply { index: a, rejected: flag, hint_index: b, hint_term: c }),
        5 => Body::Heartbeat(Heartbeat { commit: a, round: b }),
        6 => Body::HeartbeatReply(HeartbeatReply { round: a }),
        7 if flag => Body::ReadRequest(ReadRequest { contexts: vec![a], life: b }),
        7 => Body::ReadReply(ReadReply { contexts: vec![a], life: b, index: c }),
        8 => Body::Snapshot(Snapshot { index: a, term: b, membership: None }),
        _ => Body::TimeoutNow(TimeoutNow {}),
    }
}

#[test]
fn no_message_makes_a_member_panic_or_go_back() {
    for seed in 0..2000 {
        let mut random = SplitMix(seed);
        let mut node = Node::new(1, &[1, 2, 3], MemLog::of(&[1, 1, 2]), 2);
        let mut commit = 0;
        for _ in 0..60 {
            if random.below(4) == 0 {
                node.raft.tick(&node.log);
            }
            let (from, term) = (number(&mut random), number(&mut random));
            let message = Message { from, to: 1, term, body: Some(body(&mut random)) };
            // Malformed or not.
            let _ = node.raft.step(&node.log, message);
            // What is sent and written is not looked at; entries are not applied.
            let ready = node.raft.ready(&node.log);
            if let Some(persist) = ready.persist {
                node.log.write(persist.snapshot.as_ref(), &persist.entries);
                node.raft.persisted(&node.log, persist.number);
            }
            let status = node.raft.status();
            assert!(status.commit >= commit && status.commit <= status.last_index, "seed {seed}: {status:?}");
            commit = status.commit;
        }
    }
}

#[test]
fn a_leader_survives_any_answer_to_its_appends() {
    for (index, hint_index) in [(u64::MAX, 0), (0, u64::MAX), (u64::MAX, u64::MAX), (u64::MAX - 1, 1 << 63)] {
        for (rejected, hint_term) in [(false, 0), (true, 0), (true, 1), (true, u64::MAX)] {
            let mut net = Net::new(3);
            // 3 stays in the state of a probe.
            net.cut.insert(3);
            net.campaign(1);
            let node = net.node(1);
            let term = node.raft.standing().term;
            let reply = AppendReply { index, rejected, hint_index, hint_term };
            for from in [2, 3] {
                let message = Message { from, to: 1, term, body: Some(Body::AppendReply(reply)) };
                let result = node.raft.step(&node.log, message);
                assert!(matches!(result, Err(Violation::Malformed(_))), "{reply:?}: {result:?}");
            }
            net.cut.clear();
            net.tick(2);
            let index = net.propose(1, "on it goes");
            assert_eq!(net.node(3).raft.status().last_index, index);
        }
    }
}

#[test]
fn messages_that_cannot_be_are_refused() {
    let good = Message { from: 2, to: 1, term: 4, body: Some(heartbeat(0)) };
    let entries = |list: &[(u64, u64)]| {
        let entries =
            list.iter().map(|(index, term)| Entry { index: *index, term: *term, ..Entry::default() }).collect();
        Some(Body::Append(Append { prev_index: 1, prev_term: 1, entries, ..Append::default() }))
    };
    let table = [
        ("no body", Message { body: None, ..good.clone() }),
        ("for another", Message { to: 2, ..good.clone() }),
        ("from nobody", Message { from: 0, ..good.clone() }),
        ("no term", Message { term: 0, ..good.clone() }),
        ("no end of terms", Message { term: u64::MAX, ..good.clone() }),
        ("a read with a term", Message { body: Some(Body::ReadRequest(Default::default())), ..good.clone() }),
        ("a gap", Message { body: entries(&[(3, 1)]), ..good.clone() }),
        ("a gap within", Message { body: entries(&[(2, 1), (4, 1)]), ..good.clone() }),
        ("twice", Message { body: entries(&[(2, 1), (2, 1)]), ..good.clone() }),
        ("terms that fall", Message { body: entries(&[(2, 3), (3, 2)]), ..good.clone() }),
        ("a term of the future", Message { body: entries(&[(2, 5)]), ..good.clone() }),
        ("no end of indices", Message { body: Some(append((u64::MAX, 1), &[], 0)), ..good.clone() }),
    ];
    for (what, message) in table {
        let mut node = in_role(Role::Follower);
        assert!(matches!(node.raft.step(&node.log, message), Err(Violation::Malformed(_))), "{what}");
        assert_eq!((node.raft.status().term, node.log.terms()), (4, vec![1]), "{what}");
    }
    assert_eq!(in_role(Role::Follower).raft.step(&MemLog::of(&[1]), good), Ok(()));
}

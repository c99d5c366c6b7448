//! The rules of the raft paper (section 5, figures 2 and 8), one by one, in each role. The ideas are those of etcd's
//! raft_paper_test.go.

use proto::raft::{Append, AppendReply, HeartbeatReply, TimeoutNow};

use super::super::*;
use super::net::{MemLog, Net, Node, accepted, append, ask, heartbeat, in_role, leader_of, rejected, said, vote};
use Role::{Candidate, Follower, Leader, PreCandidate};

const ROLES: [Role; 4] = [Follower, PreCandidate, Candidate, Leader];

fn snapshot(index: u64, term: u64) -> Body {
    Body::Snapshot(Snapshot { index, term, membership: Some(Membership { voters: vec![1, 2, 3], learners: vec![] }) })
}

#[test]
fn whoever_hears_of_a_later_term_follows_it() {
    // (what is said in term 9, leader then; `None`: nothing changes)
    let table: &[(Body, Option<u64>)] = &[
        (append((1, 1), &[9], 0), Some(2)),
        (heartbeat(0), Some(2)),
        (snapshot(7, 9), Some(2)),
        (ask((1, 1), false, true), Some(0)),
        (ask((0, 0), false, true), Some(0)),
        (ask((1, 1), true, false), None),
        (ask((1, 1), true, true), None),
        (vote(false, false), Some(0)),
        (vote(false, true), Some(0)),
        (vote(true, false), Some(0)),
        (accepted(1), Some(0)),
        (rejected(1, 1, 1), Some(0)),
        (Body::HeartbeatReply(HeartbeatReply { round: 0 }), Some(0)),
        (Body::TimeoutNow(TimeoutNow {}), Some(0)),
    ];
    for role in ROLES {
        for (body, leader) in table {
            let mut node = in_role(role);
            let before = node.raft.standing();
            node.step(2, 9, body.clone());
            let expected = leader.map_or(before, |leader| Standing { role: Follower, leader, term: 9 });
            assert_eq!(node.raft.standing(), expected, "{role:?} {body:?}");
        }
    }
}

#[test]
fn a_vote_request_of_a_later_term_is_followed_unless_a_leader_is_heard() {
    for role in ROLES {
        let mut node = in_role(role);
        let answer = node.step(2, 9, ask((1, 1), false, false));
        let (term, answers) = if role == Leader { (5, vec![]) } else { (9, vec![vote(true, false)]) };
        assert_eq!((node.raft.status().term, answer), (term, answers), "{role:?}");
    }
}

#[test]
fn what_the_past_says_changes_nothing_and_is_told_of_the_present() {
    let refused = Body::AppendReply(AppendReply { rejected: true, ..AppendReply::default() });
    let table: &[(Body, Option<Body>)] = &[
        (append((1, 1), &[3], 2), Some(refused.clone())),
        (heartbeat(1), Some(refused.clone())),
        (snapshot(7, 3), Some(refused)),
        (ask((9, 3), true, false), Some(vote(false, true))),
        (ask((9, 3), false, false), None),
        (ask((9, 3), false, true), None),
        (vote(true, false), None),
        (vote(false, true), None),
        (accepted(1), None),
        (Body::HeartbeatReply(HeartbeatReply { round: 9 }), None),
        (Body::TimeoutNow(TimeoutNow {}), None),
    ];
    for role in ROLES {
        for (body, answer) in table {
            let mut node = in_role(role);
            let (before, log, hard) = (node.raft.status(), node.log.terms(), node.hard_state);
            let message = Message { from: 2, to: 1, term: 3, body: Some(body.clone()) };
            node.raft.step(&node.log, message).unwrap();
            let answers = node.pump();
            assert!(answers.iter().all(|message| message.term == before.term && message.to == 2), "{role:?} {body:?}");
            assert_eq!(said(answers), answer.clone().map(|answer| (2, answer)).as_slice(), "{role:?} {body:?}");
            assert_eq!(
                (node.raft.status(), node.log.terms(), node.hard_state),
                (before, log, hard),
                "{role:?} {body:?}"
            );
        }
    }
}

#[test]
fn a_member_begins_as_a_follower_of_the_term_it_remembers() {
    let hard = HardState { term: 7, vote: 3, commit: 1 };
    let log = MemLog::of(&[1, 6]);
    let raft = Raft::new(Config::new(1, 1), hard, Membership { voters: vec![1, 2, 3], learners: vec![] }, 0, &log);
    assert_eq!(raft.standing(), Standing { role: Follower, leader: 0, term: 7 });
    let status = raft.status();
    assert_eq!((status.commit, status.last_index, status.persisted, status.applied), (1, 2, 2, 0));
    let mut node = Node::with(raft, log);
    assert_eq!(node.step(2, 7, ask((9, 7), false, false)), [vote(false, false)], "it has voted for 3");
    assert_eq!(node.step(3, 7, ask((9, 7), false, false)), [vote(true, false)]);
}

#[test]
fn a_leader_sends_heartbeats_at_its_interval() {
    for interval in [1, 2, 3] {
        let mut node = leader_of(&[1, 2, 3], &[4], 0, |config| config.heartbeat_ticks = interval);
        node.pump();
        let mut sent = Vec::new();
        for _ in 0..6 {
            node.raft.tick(&node.log);
            let beats = node.pump().into_iter().filter(|message| matches!(message.body, Some(Body::Heartbeat(_))));
            sent.push(beats.map(|message| message.to).collect::<Vec<_>>());
        }
        let expected: Vec<Vec<u64>> =
            (1..=6).map(|tick| if tick % interval == 0 { vec![2, 3, 4] } else { vec![] }).collect();
        assert_eq!(sent, expected, "each {interval} ticks");
    }
}

#[test]
fn whoever_hears_nobody_asks_and_asks_again() {
    for role in [Follower, PreCandidate, Candidate] {
        let mut node = in_role(role);
        let term = node.raft.status().term;
        for round in 0..3 {
            let ticks = (1..=20).find(|_| {
                node.raft.tick(&node.log);
                let asked = said(node.pump());
                let expected = [(2, ask((1, 1), true, false)), (3, ask((1, 1), true, false))];
                assert!(asked.is_empty() || asked == expected, "{asked:?}");
                !asked.is_empty()
            });
            assert!(ticks.is_some_and(|ticks| ticks >= 10), "{role:?}, round {round}: after {ticks:?} ticks");
            let standing = Standing { role: PreCandidate, leader: 0, term };
            assert_eq!(node.raft.standing(), standing, "asking for promises changes no term");
        }
    }
}

/// (voters, who answers with what, whether that wins (true), loses (false) or decides nothing).
type Election = (u64, &'static [(u64, bool)], Option<bool>);

const ELECTIONS: &[Election] = &[
    (1, &[], Some(true)),
    (2, &[], None),
    (2, &[(2, true)], Some(true)),
    (2, &[(2, false)], Some(false)),
    (3, &[], None),
    (3, &[(2, true)], Some(true)),
    (3, &[(2, true), (3, true)], Some(true)),
    (3, &[(2, false)], None),
    (3, &[(2, false), (3, false)], Some(false)),
    (3, &[(2, false), (3, true)], Some(true)),
    (4, &[(2, true)], None),
    (4, &[(2, true), (3, true)], Some(true)),
    (4, &[(2, false), (3, false)], Some(false)),
    (5, &[(2, true)], None),
    (5, &[(2, true), (3, true)], Some(true)),
    (5, &[(2, true), (3, false), (4, false)], None),
    (5, &[(2, true), (3, false), (4, false), (5, false)], Some(false)),
    (5, &[(2, false), (3, false), (4, false)], Some(false)),
    // Said twice counts once; what was said first counts; who does not vote does not count.
    (5, &[(2, true), (2, true)], None),
    (5, &[(2, true), (2, false), (3, true)], Some(true)),
    (5, &[(2, false), (2, true), (3, true)], None),
    (5, &[(7, true), (8, true)], None),
    (3, &[(7, false), (8, false)], None),
];

#[test]
fn a_majority_decides_promises_and_votes() {
    for (size, answers, decided) in ELECTIONS {
        let voters: Vec<u64> = (1..=*size).collect();
        for pre in [true, false] {
            let mut node = Node::new(1, &voters, MemLog::of(&[1]), 4);
            node.raft.campaign(&node.log);
            node.pump();
            if !pre {
                voters.iter().skip(1).for_each(|voter| drop(node.step(*voter, 5, vote(true, true))));
            }
            for (from, granted) in *answers {
                // Who refuses says so in its own term, who promises in the candidate's.
                let term = if pre && !granted { 4 } else { 5 };
                node.step(*from, term, vote(*granted, pre));
            }
            let expected = match (decided, pre) {
                (Some(true), true) if *size > 1 => Candidate,
                (Some(true), _) => Leader,
                (Some(false), _) => Follower,
                (None, true) => PreCandidate,
                (None, false) => Candidate,
            };
            assert_eq!(node.role(), expected, "{size} voters, {answers:?}, pre {pre}");
        }
    }
}

#[test]
fn one_vote_a_term_by_what_is_remembered() {
    // (voted for, who asks, granted)
    for (voted, from, granted) in [(0, 2, true), (0, 3, true), (2, 2, true), (3, 3, true), (2, 3, false), (3, 2, false)]
    {
        let log = MemLog::of(&[1]);
        let hard = HardState { term: 4, vote: voted, commit: 0 };
        let membership = Membership { voters: vec![1, 2, 3], learners: vec![] };
        let mut node = Node::with(Raft::new(Config::new(1, 1), hard, membership, 0, &log), log);
        assert_eq!(node.step(from, 4, ask((1, 1), false, false)), [vote(granted, false)], "{voted} {from}");
        let kept = if granted { from } else { voted };
        assert_eq!(node.raft.vote, kept);
        assert_eq!(node.step(5, 5, ask((1, 1), false, false)), [vote(true, false)], "the next term has its own");
        assert_eq!(node.hard_state, HardState { term: 5, vote: 5, commit: 0 });
    }
}

#[test]
fn votes_go_to_logs_that_are_up_to_date() {
    // (log, the candidate's last term and index, granted). Paper, section 5.4.1.
    let table: &[(&[u64], u64, u64, bool)] = &[
        (&[], 0, 0, true),
        (&[1], 1, 1, true),
        (&[1], 1, 2, true),
        (&[1, 1], 1, 1, false),
        (&[1], 2, 1, true),
        (&[1], 2, 2, true),
        (&[1, 1], 2, 1, true),
        (&[1, 1], 2, 0, true),
        (&[2], 1, 1, false),
        (&[2], 1, 9, false),
        (&[1, 2], 1, 3, false),
        (&[1, 2], 2, 2, true),
        (&[1, 2], 0, 0, false),
    ];
    for (log, term, index, granted) in table {
        for pre in [true, false] {
            let mut node = Node::new(1, &[1, 2, 3], MemLog::of(log), 3);
            let answer = node.step(2, 4, ask((*index, *term), pre, false));
            assert_eq!(answer, [vote(*granted, pre)], "{log:?}, {index} of term {term}, pre {pre}");
            // A refused candidate's term counts all the same, a refused promise's does not.
            assert_eq!(node.raft.status().term, if pre { 3 } else { 4 });
        }
    }
}

#[test]
fn a_candidate_that_finds_a_leader_of_its_term_follows_it() {
    for (role, term) in [(PreCandidate, 4), (Candidate, 5)] {
        for body in [append((1, 1), &[], 0), heartbeat(0), snapshot(5, 2)] {
            let mut node = in_role(role);
            node.step(3, term, body.clone());
            assert_eq!(node.raft.standing(), Standing { role: Follower, leader: 3, term }, "{role:?} {body:?}");
            assert_eq!(node.step(2, term, vote(true, role == PreCandidate)), [], "votes come too late");
            assert_eq!(node.role(), Follower);
        }
    }
}

#[test]
fn a_candidate_that_campaigns_says_how_long_its_log_is() {
    for log in [&[][..], &[1], &[1, 2, 2], &[3]] {
        let mut node = Node::new(1, &[1, 2, 3], MemLog::of(log), 3);
        let last = (log.len() as u64, log.last().copied().unwrap_or(0));
        node.raft.campaign(&node.log);
        let asked = node.pump();
        assert!(asked.iter().all(|message| message.term == 4));
        assert_eq!(said(asked), [(2, ask(last, true, false)), (3, ask(last, true, false))]);
        node.raft.step(&node.log, Message { from: 3, to: 1, term: 4, body: Some(vote(true, true)) }).unwrap();
        let asked = node.pump();
        assert!(asked.iter().all(|message| message.term == 4));
        assert_eq!(said(asked), [(2, ask(last, false, false)), (3, ask(last, false, false))]);
    }
}

#[test]
fn a_new_leader_begins_with_an_entry_of_its_term() {
    for before in [0, 1, 3] {
        let mut node = leader_of(&[1, 2, 3], &[4], before, |_| {});
        let first = before as u64 + 1;
        let prev_term = u64::from(before > 0);
        let entry = Entry { term: 2, index: first, kind: EntryKind::Empty.into(), ..Entry::default() };
        let expected = Append { prev_index: first - 1, prev_term, entries: vec![entry], commit: 0, quiet: false };
        let sent = said(node.pump()).into_iter().filter(|(_, body)| matches!(body, Body::Append(_)));
        assert_eq!(sent.collect::<Vec<_>>(), [2, 3, 4].map(|to| (to, Body::Append(expected.clone()))));
        assert_eq!(node.log.get(first).map(|entry| entry.term), Some(2));
    }
}

#[test]
fn an_entry_is_committed_once_a_majority_of_voters_has_it() {
    // (voters, learners, who accepts it, committed)
    let table: &[(u64, &[u64], &[u64], bool)] = &[
        (1, &[], &[], true),
        (1, &[7], &[], true),
        (2, &[], &[], false),
        (2, &[], &[2], true),
        (2, &[7], &[7], false),
        (3, &[], &[], false),
        (3, &[], &[2], true),
        (3, &[], &[2, 3], true),
        (3, &[7, 8], &[7, 8], false),
        (4, &[], &[2], false),
        (4, &[], &[2, 3], true),
        (5, &[], &[2], false),
        (5, &[], &[2, 2], false),
        (5, &[], &[2, 3], true),
        (5, &[], &[2, 9, 10], false),
    ];
    for (voters, learners, accept, committed) in table {
        let mut node = leader_of(&(1..=*voters).collect::<Vec<_>>(), learners, 0, |_| {});
        node.pump();
        for from in *accept {
            node.step(*from, 2, accepted(1));
        }
        let status = node.raft.status();
        assert_eq!(
            (status.commit, status.applied),
            (u64::from(*committed), u64::from(*committed)),
            "{voters} {accept:?}"
        );
    }
}

#[test]
fn entries_before_the_own_first_one_are_committed_with_it() {
    // Figure 8: (up to where 2 has the log, committed)
    for (matched, committed) in [(0, 0), (1, 0), (2, 0), (3, 3)] {
        let mut node = leader_of(&[1, 2, 3], &[], 2, |_| {});
        node.pump();
        node.step(2, 2, accepted(matched));
        assert_eq!(node.raft.status().commit, committed, "2 has {matched}");
        let applied: Vec<u64> = node.applied.iter().map(|entry| entry.index).collect();
        assert_eq!(applied, (1..=committed).collect::<Vec<_>>(), "in order");
    }
}

#[test]
fn a_follower_commits_what_its_leader_says_and_has() {
    // (entries sent behind the first one, commit, committed then)
    for (sent, commit, committed) in [(1, 1, 1), (1, 2, 2), (3, 2, 2), (3, 4, 4), (3, 9, 4), (0, 9, 1)] {
        let mut node = Node::new(1, &[1, 2, 3], MemLog::of(&[1]), 3);
        node.step(2, 3, append((1, 1), &vec![3; sent], commit));
        assert_eq!((node.raft.status().commit, node.applied.len() as u64), (committed, committed), "{sent} {commit}");
        node.step(2, 3, heartbeat(0));
        assert_eq!(node.raft.status().commit, committed, "it never goes back");
    }
    // A heartbeat names no more than what is known to be there; a follower that is behind commits no more than it has.
    for (commit, committed) in [(0, 0), (2, 2), (3, 3), (9, 3)] {
        let mut node = Node::new(1, &[1, 2, 3], MemLog::of(&[1, 1, 1]), 3);
        node.step(2, 3, heartbeat(commit));
        assert_eq!(node.raft.status().commit, committed, "heartbeat {commit}");
    }
}

#[test]
fn two_leaders_of_a_term_cannot_be() {
    for body in [append((1, 1), &[], 0), heartbeat(0), snapshot(7, 5)] {
        let mut node = in_role(Leader);
        let message = Message { from: 3, to: 1, term: 5, body: Some(body) };
        assert!(matches!(node.raft.step(&node.log, message), Err(Violation::Malformed(_))));
        assert_eq!(node.role(), Leader);
    }
}

#[test]
fn logs_that_have_an_entry_in_common_have_all_before_in_common() {
    // The log matching property, whatever three members held before (that could be: equal terms at an index mean equal logs).
    let logs: &[&[u64]] = &[&[], &[1], &[1, 1, 2], &[1, 3, 3], &[2], &[2, 2], &[1, 1, 1, 1], &[1, 3]];
    for one in logs {
        for other in logs {
            let mut net = Net::of(vec![(MemLog::of(one), 4), (MemLog::of(other), 4), (MemLog::of(&[]), 4)]);
            net.campaign(1);
            net.campaign(2);
            net.tick(3);
            let leader = net.nodes.values().find(|node| node.role() == Leader).map(|node| node.log.terms()).unwrap();
            for (id, node) in &net.nodes {
                assert_eq!(node.log.terms(), leader, "{one:?} {other:?}: member {id}");
                assert_eq!(node.raft.status().commit, leader.len() as u64);
            }
        }
    }
}

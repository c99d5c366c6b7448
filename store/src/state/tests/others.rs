//! Alarms, members and leases as tables: what each change does, what it answers, and what it lets through.

use proto::log::{AlarmChange, AlarmKind, LeaseGrant, LeaseRevoke, Member, MemberUpdate, MembershipChange, Published};

use super::leases::{grant, keys, put, txn};
use super::{apply, state};
use crate::kv::{ClusterError, Error, Op};
use crate::raft::{ChangeError, ChangeKind};
use crate::request::Request;
use crate::state::{At, Outcome, State};

const NONE: AlarmKind = AlarmKind::AlarmNone;
const SPACE: AlarmKind = AlarmKind::AlarmNoSpace;
const CORRUPT: AlarmKind = AlarmKind::AlarmCorrupt;

fn alarm(kind: AlarmKind, member: u64, on: bool) -> AlarmChange {
    AlarmChange { member, kind: kind.into(), on }
}

fn listed(alarms: &[AlarmChange]) -> Vec<(AlarmKind, u64)> {
    alarms.iter().map(|alarm| (alarm.kind(), alarm.member)).collect()
}

#[test]
fn alarms_are_raised_and_disarmed() {
    // In a row: (change, answered, on then). etcd: server/etcdserver/api/v3alarm.
    type Row<'a> = (AlarmChange, &'a [(AlarmKind, u64)], &'a [(AlarmKind, u64)]);
    let table: &[Row<'_>] = &[
        (alarm(SPACE, 1, false), &[], &[]),
        (alarm(NONE, 0, false), &[], &[]),
        (alarm(SPACE, 1, true), &[(SPACE, 1)], &[(SPACE, 1)]),
        (alarm(SPACE, 1, true), &[(SPACE, 1)], &[(SPACE, 1)]),
        (alarm(SPACE, 2, true), &[(SPACE, 2)], &[(SPACE, 1), (SPACE, 2)]),
        (alarm(CORRUPT, 2, true), &[(CORRUPT, 2)], &[(SPACE, 1), (SPACE, 2), (CORRUPT, 2)]),
        (alarm(SPACE, 3, false), &[], &[(SPACE, 1), (SPACE, 2), (CORRUPT, 2)]),
        (alarm(CORRUPT, 1, false), &[], &[(SPACE, 1), (SPACE, 2), (CORRUPT, 2)]),
        (alarm(SPACE, 2, false), &[(SPACE, 2)], &[(SPACE, 1), (CORRUPT, 2)]),
        (alarm(NONE, 2, false), &[(CORRUPT, 2)], &[(SPACE, 1)]),
        (alarm(CORRUPT, 5, true), &[(CORRUPT, 5)], &[(SPACE, 1), (CORRUPT, 5)]),
        (alarm(SPACE, 0, false), &[(SPACE, 1)], &[(CORRUPT, 5)]),
        (alarm(SPACE, 4, true), &[(SPACE, 4)], &[(SPACE, 4), (CORRUPT, 5)]),
        (alarm(NONE, 0, false), &[(SPACE, 4), (CORRUPT, 5)], &[]),
    ];
    let mut state = State::default();
    for (at, (change, answered, on)) in table.iter().enumerate() {
        match apply(&mut state, Request::Alarm(*change)) {
            Ok(Outcome::Alarms(alarms)) => {
                assert_eq!(listed(&alarms), *answered, "change {at}");
                assert!(alarms.iter().all(|alarm| alarm.on == change.on), "change {at}");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(listed(&state.alarms().all()), *on, "change {at}");
        for kind in [SPACE, CORRUPT] {
            assert_eq!(state.alarms().is_on(kind), on.iter().any(|(other, _)| *other == kind), "change {at}");
        }
    }
}

#[test]
fn what_gets_through_an_alarm() {
    let steps = |op: Op| Request::Txn(crate::kv::Txn { then: vec![op], ..Default::default() });
    let update = Op::Update { key: "a".into(), value: None, lease: None };
    // (request, through NOSPACE, through CORRUPT)
    let table: Vec<(Request, bool, bool)> = vec![
        (steps(put("a", "", 0)), false, false),
        (steps(update), false, false),
        (steps(Op::Delete { key: "a".into(), end: None }), true, false),
        (steps(Op::Range(crate::kv::Range { key: "a".into(), ..Default::default() })), true, false),
        (Request::LeaseGrant(LeaseGrant { id: 9, ttl: 5 }), false, false),
        (Request::LeaseRevoke(LeaseRevoke { id: 7, expired_in_term: None }), true, false),
        (Request::LeaseRevoke(LeaseRevoke { id: 7, expired_in_term: Some(1) }), true, false),
        (Request::Compact(2), true, false),
        (Request::Alarm(alarm(NONE, 0, false)), true, true),
        (Request::Member(MemberUpdate { id: 1, ..MemberUpdate::default() }), true, true),
    ];
    for (request, through_space, through_corrupt) in table {
        for (kind, through, error) in
            [(SPACE, through_space, Error::NoSpace), (CORRUPT, through_corrupt, Error::CorruptCluster)]
        {
            let mut state = state("a");
            grant(&mut state, 7).unwrap();
            let add = MembershipChange { kind: ChangeKind::AddVoter.into(), id: 1, context: bytes::Bytes::new() };
            state.change_member(At { index: 9, term: 1 }, &add).unwrap();
            apply(&mut state, Request::Alarm(alarm(kind, 3, true))).unwrap();
            let before = state.revision();
            let result = apply(&mut state, request.clone());
            assert_eq!(result.clone().err(), (!through).then_some(error), "{kind:?}: {request:?}");
            assert!(through || state.revision() == before, "{request:?}");
        }
    }
}

#[test]
fn a_lease_ends_once_with_its_keys() {
    // (expired in term; the entry's term; what comes of it)
    for (expired, term, ends) in
        [(None, 5, true), (Some(5), 5, true), (Some(4), 5, false), (Some(6), 5, false), (Some(0), 5, false)]
    {
        let mut state = State::default();
        grant(&mut state, 7).unwrap();
        grant(&mut state, 8).unwrap();
        txn(&mut state, vec![put("b", "", 7), put("a", "", 7), put("c", "", 8)]).unwrap();
        let revoke = Request::LeaseRevoke(LeaseRevoke { id: 7, expired_in_term: expired });
        let outcome = state.apply(At { index: 50, term }, revoke.clone()).unwrap();
        assert_eq!(outcome, if ends { Outcome::LeaseRevoked { id: 7 } } else { Outcome::Void }, "{expired:?}");
        assert_eq!((state.revision(), state.live_keys()), if ends { (3, 1) } else { (2, 3) }, "{expired:?}");
        assert_eq!(state.applied(), At { index: 50, term }, "dealt with, either way");
        if ends {
            let gone: Vec<_> = state.changes(3).map(|change| change.item.key.clone()).collect();
            assert_eq!(gone, ["a", "b"], "in the order of the keys, in one revision");
            assert_eq!(state.apply(At { index: 51, term: 5 }, revoke), Err(Error::NoLease));
        }
        assert_eq!(keys(&state, 8), "c");
    }
}

#[test]
fn times_that_can_be_granted() {
    // etcd: lessor_test.go, TestLessorMaxTTL. (how long a short lease gets is the server's, not the state's)
    for (id, ttl, expected) in [
        (1, 0, Ok(())),
        (1, -1, Ok(())),
        (1, 9_000_000_000, Ok(())),
        (1, 9_000_000_001, Err(Error::TtlTooLarge)),
        (1, i64::MAX, Err(Error::TtlTooLarge)),
        (-1, 5, Ok(())),
        (i64::MIN, 5, Ok(())),
        (0, 5, Err(Error::NoLease)),
        (0, i64::MAX, Err(Error::NoLease)),
        (7, 5, Err(Error::LeaseExists)),
        (7, i64::MAX, Err(Error::TtlTooLarge)),
    ] {
        let mut state = State::default();
        grant(&mut state, 7).unwrap();
        let result = apply(&mut state, Request::LeaseGrant(LeaseGrant { id, ttl }));
        assert_eq!(result, expected.map(|()| Outcome::LeaseGranted { id, ttl }), "{id} {ttl}");
        assert_eq!((state.revision(), state.leases().get(7).map(|lease| lease.ttl)), (1, Some(10)));
    }
}

fn change(kind: ChangeKind, id: u64) -> MembershipChange {
    let member = Member { peer_urls: vec![format!("http://m{id}:1")], name: format!("m{id}"), ..Member::default() };
    MembershipChange { kind: kind.into(), id, context: prost::Message::encode_to_vec(&member).into() }
}

#[test]
fn members_come_vote_and_go() {
    use ChangeKind::{AddLearner, AddVoter, Promote, Remove};
    // In a row: (change, error, voters and learners then)
    type Row<'a> = (ChangeKind, u64, Option<ChangeError>, &'a [u64], &'a [u64]);
    let table: &[Row<'_>] = &[
        (Remove, 1, Some(ChangeError::Missing), &[], &[]),
        (AddVoter, 1, None, &[1], &[]),
        (AddVoter, 1, Some(ChangeError::Exists), &[1], &[]),
        (Remove, 1, Some(ChangeError::LastVoter), &[1], &[]),
        (AddLearner, 2, None, &[1], &[2]),
        (AddLearner, 1, Some(ChangeError::Exists), &[1], &[2]),
        (AddVoter, 2, Some(ChangeError::Exists), &[1], &[2]),
        (Remove, 1, Some(ChangeError::LastVoter), &[1], &[2]),
        (Promote, 3, Some(ChangeError::Missing), &[1], &[2]),
        (Promote, 2, None, &[1, 2], &[]),
        (Promote, 2, Some(ChangeError::NotLearner), &[1, 2], &[]),
        (Remove, 1, None, &[2], &[]),
        (AddVoter, 1, Some(ChangeError::Exists), &[2], &[]),
        (AddLearner, 1, Some(ChangeError::Exists), &[2], &[]),
        (Promote, 1, Some(ChangeError::Exists), &[2], &[]),
        (Remove, 1, Some(ChangeError::Missing), &[2], &[]),
        (AddVoter, 0, Some(ChangeError::Malformed), &[2], &[]),
        (AddVoter, 5, None, &[2, 5], &[]),
    ];
    let mut state = State::default();
    for (at, (kind, id, error, voters, learners)) in table.iter().enumerate() {
        let result = state.change_member(At { index: at as u64 + 1, term: 1 }, &change(*kind, *id));
        assert_eq!(result.err(), *error, "change {at}: {kind:?} {id}");
        let membership = state.members().membership();
        assert_eq!((membership.voters.as_slice(), membership.learners.as_slice()), (*voters, *learners), "change {at}");
        assert_eq!(state.applied().index, at as u64 + 1, "dealt with, either way");
        assert_eq!(state.members().was_removed(1), at >= 11);
    }
    let names: Vec<&str> = state.members().iter().map(|member| member.name.as_str()).collect();
    assert_eq!((names, state.revision()), (vec!["m2", "m5"], 1), "what was said of them; no revision is made");
}

#[test]
fn what_is_said_of_a_member() {
    let urls = |list: &[&str]| list.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>();
    let published = |nonce| Some(Published { name: "new".into(), client_urls: urls(&["http://c:1"]), nonce });
    // On m1 and m2: (update; error, or peer URLs, name and nonce of member 1 then)
    let table = [
        (MemberUpdate { id: 1, peer_urls: urls(&["http://x:1"]), published: None }, Ok(("http://x:1", "m1", 0))),
        (MemberUpdate { id: 1, peer_urls: urls(&[]), published: published(5) }, Ok(("http://m1:1", "new", 5))),
        (
            MemberUpdate { id: 1, peer_urls: urls(&["http://m1:1"]), published: published(0) },
            Ok(("http://m1:1", "new", 0)),
        ),
        (MemberUpdate { id: 1, peer_urls: urls(&["http://m2:1"]), published: None }, Err(ClusterError::UrlExists)),
        (
            MemberUpdate { id: 1, peer_urls: urls(&["http://x:1", "http://m2:1"]), published: None },
            Err(ClusterError::UrlExists),
        ),
        (MemberUpdate { id: 9, peer_urls: urls(&["http://x:1"]), published: None }, Err(ClusterError::NoMember)),
        (MemberUpdate { id: 9, peer_urls: urls(&["http://m1:1"]), published: None }, Err(ClusterError::UrlExists)),
    ];
    for (update, expected) in table {
        let mut state = State::default();
        (1..3)
            .for_each(|id| state.change_member(At { index: id, term: 1 }, &change(ChangeKind::AddVoter, id)).unwrap());
        match (apply(&mut state, Request::Member(update.clone())), expected) {
            (Ok(Outcome::Members(members)), Ok((url, name, nonce))) => {
                assert_eq!(members.len(), 2);
                let one = state.members().get(1).unwrap();
                assert_eq!((one.peer_urls[0].as_str(), one.name.as_str(), one.nonce), (url, name, nonce), "{update:?}");
            }
            (Err(error), Err(expected)) => assert_eq!(error, Error::Cluster(expected), "{update:?}"),
            (found, _) => panic!("{update:?}: {found:?}"),
        }
    }
}

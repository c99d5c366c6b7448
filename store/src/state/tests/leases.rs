//! Table tests of what the API needs beyond puts and deletes: leases, updates, nested transactions, alarms, saves, hashes.

use bytes::Bytes;
use proto::log::{AlarmChange, AlarmKind, LeaseGrant, LeaseRevoke};

use super::{apply, compact, index, state};
use crate::kv::{Compare, Error, KeyValue, Op, OpReply, Order, Range, Target, Txn, TxnReply};
use crate::request::Request;
use crate::state::{At, HashKv, Outcome, SavePoint, State};

pub(super) fn put(key: &'static str, value: &'static str, lease: i64) -> Op {
    Op::Put { key: key.into(), value: value.into(), lease }
}

pub(super) fn txn(state: &mut State, then: Vec<Op>) -> Result<TxnReply, Error> {
    match apply(state, Request::Txn(Txn { then, ..Txn::default() }))? {
        Outcome::Txn(reply) => Ok(reply),
        other => panic!("{other:?}"),
    }
}

pub(super) fn grant(state: &mut State, id: i64) -> Result<Outcome, Error> {
    apply(state, Request::LeaseGrant(LeaseGrant { id, ttl: 10 }))
}

fn revoke(state: &mut State, id: i64) -> Result<Outcome, Error> {
    apply(state, Request::LeaseRevoke(LeaseRevoke { id, expired_in_term: None }))
}

pub(super) fn keys(state: &State, id: i64) -> String {
    let keys = state.leases().get(id).map(|lease| lease.keys.iter().cloned().collect::<Vec<Bytes>>());
    keys.map_or("gone".into(), |keys| String::from_utf8(keys.concat()).unwrap())
}

#[test]
fn keys_follow_their_leases() {
    let mut state = State::default();
    assert_eq!(txn(&mut state, vec![put("a", "", 1)]), Err(Error::NoLease));
    grant(&mut state, 1).unwrap();
    grant(&mut state, 2).unwrap();
    assert_eq!(grant(&mut state, 1), Err(Error::LeaseExists));
    assert_eq!(grant(&mut state, 0), Err(Error::NoLease));
    let long = LeaseGrant { id: 3, ttl: 9_000_000_001 };
    assert_eq!(apply(&mut state, Request::LeaseGrant(long)), Err(Error::TtlTooLarge));
    txn(&mut state, vec![put("a", "", 1), put("b", "", 1), put("c", "", 2)]).unwrap();
    assert_eq!((keys(&state, 1), keys(&state, 2)), ("ab".into(), "c".into()));
    txn(&mut state, vec![put("a", "", 2)]).unwrap();
    assert_eq!((keys(&state, 1), keys(&state, 2)), ("b".into(), "ac".into()), "a put moves the key");
    txn(&mut state, vec![put("c", "", 0)]).unwrap();
    assert_eq!(keys(&state, 2), "a", "a put without a lease lets the key live");
    txn(&mut state, vec![Op::Delete { key: "a".into(), end: None }, put("d", "", 2), put("e", "", 2)]).unwrap();
    assert_eq!(keys(&state, 2), "de");
    let before = state.revision();
    assert_eq!(revoke(&mut state, 2), Ok(Outcome::LeaseRevoked { id: 2 }));
    assert_eq!(state.revision(), before + 1, "both keys in one revision");
    assert_eq!(revoke(&mut state, 2), Err(Error::NoLease));
    assert_eq!(index(&state).split(' ').filter(|word| word.ends_with(&format!("@{}", before + 1))).count(), 2);
    revoke(&mut state, 1).unwrap();
    let revision = state.revision();
    grant(&mut state, 5).unwrap();
    revoke(&mut state, 5).unwrap();
    assert_eq!(state.revision(), revision, "a lease without keys goes without a revision");
}

#[test]
fn an_expiry_is_void_in_another_term() {
    let mut state = State::default();
    grant(&mut state, 1).unwrap();
    let expiry = Request::LeaseRevoke(LeaseRevoke { id: 1, expired_in_term: Some(3) });
    assert_eq!(state.apply(At { index: 8, term: 4 }, expiry.clone()), Ok(Outcome::Void));
    assert_eq!(keys(&state, 1), "");
    assert_eq!(state.apply(At { index: 9, term: 3 }, expiry), Ok(Outcome::LeaseRevoked { id: 1 }));
}

#[test]
fn updates_keep_what_they_do_not_name() {
    let mut state = State::default();
    grant(&mut state, 7).unwrap();
    let update =
        |value: Option<&'static str>, lease| vec![Op::Update { key: "k".into(), value: value.map(Bytes::from), lease }];
    assert_eq!(txn(&mut state, update(None, Some(7))), Err(Error::NoKey));
    assert_eq!(state.revision(), 1);
    txn(&mut state, vec![put("k", "one", 0)]).unwrap();
    // (update, value and lease afterwards)
    let table = [
        (update(None, Some(7)), "one", 7),
        (update(Some("two"), None), "two", 7),
        (update(None, None), "two", 7),
        (update(None, Some(0)), "two", 0),
    ];
    for (at, (update, value, lease)) in table.into_iter().enumerate() {
        txn(&mut state, update).unwrap();
        let kv = state.current(b"k").unwrap();
        assert_eq!((kv.value.as_ref(), kv.lease, kv.version), (value.as_bytes(), lease, at as u64 + 2));
    }
    assert_eq!(txn(&mut state, update(None, Some(8))), Err(Error::NoLease));
    assert_eq!(keys(&state, 7), "");
}

#[test]
fn inner_transactions_see_what_was_before_the_outermost() {
    let mut state = state("a");
    let missing = |key: &'static str| {
        let target = Target::Version(0);
        Compare { key: key.into(), end: None, target, order: Order::Equal }
    };
    let inner = Txn { when: vec![missing("b")], then: vec![put("c", "then", 0)], otherwise: vec![put("c", "else", 0)] };
    let read = Op::Range(Range { key: "c".into(), ..Range::default() });
    let steps =
        vec![put("b", "", 0), Op::Txn(inner), read, Op::Txn(Txn { when: vec![missing("a")], ..Txn::default() })];
    let reply = txn(&mut state, steps).unwrap();
    let [OpReply::Put(None), OpReply::Txn(first), OpReply::Range(page), OpReply::Txn(second)] = &reply.replies[..]
    else {
        panic!("{reply:?}")
    };
    assert!(first.succeeded, "b was not there before");
    assert!(!second.succeeded);
    assert_eq!((page.kvs[0].value.as_ref(), reply.revision), (b"then".as_ref(), 3));
    // What an inner one cannot do is refused before the outer one has done anything.
    let refused = vec![put("x", "", 0), Op::Txn(Txn { then: vec![put("y", "", 99)], ..Txn::default() })];
    assert_eq!(txn(&mut state, refused), Err(Error::NoLease));
    assert_eq!(index(&state), "a@2 b@3 c@3");
}

#[test]
fn compares_of_ranges_hold_for_all_keys() {
    let state = state("bcc");
    // (key, end, target, order, holds)
    let table = [
        ("a", "z", Target::Version(0), Order::Greater, true),
        ("a", "z", Target::Version(1), Order::Equal, false),
        ("a", "c", Target::Version(1), Order::Equal, true),
        ("b", "\0", Target::ModRevision(1), Order::Greater, true),
        ("x", "z", Target::Version(0), Order::Equal, true),
        ("x", "z", Target::Value("".into()), Order::Equal, false),
        ("z", "a", Target::CreateRevision(0), Order::Equal, true),
    ];
    for (key, end, target, order, expected) in table {
        let compare = Compare { key: key.into(), end: Some(end.into()), target, order };
        let reply = state.read_txn(&Txn { when: vec![compare.clone()], ..Txn::default() }).unwrap();
        assert_eq!(reply.succeeded, expected, "{compare:?}");
    }
}

#[test]
fn alarms_close_what_they_name() {
    let mut state = state("a");
    grant(&mut state, 1).unwrap();
    let change = |kind: AlarmKind, member, on| Request::Alarm(AlarmChange { member, kind: kind.into(), on });
    apply(&mut state, change(AlarmKind::AlarmNoSpace, 7, true)).unwrap();
    let delete = || vec![Op::Delete { key: "a".into(), end: None }];
    assert_eq!(txn(&mut state, vec![put("a", "", 0)]), Err(Error::NoSpace));
    assert_eq!(grant(&mut state, 2), Err(Error::NoSpace));
    let inner = Op::Txn(Txn { otherwise: vec![put("a", "", 0)], ..Txn::default() });
    assert_eq!(txn(&mut state, vec![inner]), Err(Error::NoSpace), "whichever branch would be taken");
    txn(&mut state, delete()).unwrap();
    compact(&mut state, 2);
    revoke(&mut state, 1).unwrap();
    apply(&mut state, change(AlarmKind::AlarmCorrupt, 8, true)).unwrap();
    assert_eq!(txn(&mut state, delete()), Err(Error::CorruptCluster));
    assert_eq!(state.read_txn(&Txn::default()), Err(Error::CorruptCluster));
    assert_eq!(state.alarms().all().len(), 2);
    apply(&mut state, change(AlarmKind::AlarmCorrupt, 7, false)).unwrap();
    assert_eq!(state.alarms().all().len(), 2, "that member had raised none");
    apply(&mut state, change(AlarmKind::AlarmNone, 0, false)).unwrap();
    assert_eq!(txn(&mut state, vec![put("a", "", 0)]).map(|reply| reply.revision), Ok(4));
}

/// The checksum, taken in the smallest portions.
pub(super) fn hash(state: &State, revision: u64) -> Result<HashKv, Error> {
    let mut scan = state.begin_hash(revision)?;
    while !state.advance_hash(&mut scan, 1)? {}
    Ok(scan.finish())
}

/// Saves in the smallest portions and loads again.
pub(super) fn saved(state: &mut State) -> State {
    let head = state.begin_save();
    let mut loaded = State::begin_load(&head);
    let mut from = SavePoint::Begin;
    while !matches!(from, SavePoint::End) {
        let items;
        (items, from) = state.save(&head, from, crate::state::Budget { keys: 1, bytes: 1 });
        items.into_iter().for_each(|item| loaded.load(item));
    }
    loaded.end_load();
    state.end_save(&head);
    loaded
}

#[test]
fn a_loaded_state_is_the_saved_one() {
    let seen = |state: &State| {
        let change = |change: &crate::state::Change| (change.item.clone(), change.prev.clone());
        let history: Vec<_> = state.history.iter().map(change).collect();
        (index(state), history, state.subs.clone(), state.live_bytes, state.resident, state.applied)
    };
    // (script, a transaction of several writes at this step, compaction)
    for (script, upto) in [("abcaBb", 0), ("abcaBb", 4), ("abcaBb", 6), ("abcaBbA", 8), ("zyx", 4)] {
        let mut state = state("");
        grant(&mut state, 9).unwrap();
        txn(&mut state, vec![put("q", "1", 9), put("p", "1", 0), put("o", "1", 9)]).unwrap();
        super::run(&mut state, script);
        txn(&mut state, vec![put("p", "2", 9), Op::Delete { key: "q".into(), end: None }]).unwrap();
        if upto > 0 {
            compact(&mut state, upto);
            while state.sweep(1) {}
        }
        let mut loaded = saved(&mut state);
        assert_eq!(seen(&loaded), seen(&state), "{script} {upto}");
        assert_eq!((keys(&loaded, 9), keys(&state, 9)), ("op".into(), "op".into()));
        assert_eq!(hash(&loaded, 0), hash(&state, 0), "{script} {upto}");
        // They go on alike.
        for state in [&mut loaded, &mut state] {
            revoke(state, 9).unwrap();
            compact(state, state.revision());
            while state.sweep(1) {}
        }
        assert_eq!(seen(&loaded), seen(&state), "{script} {upto}");
    }
    // A compaction at a revision of several writes keeps their order.
    let mut state = State::default();
    txn(&mut state, vec![put("c", "", 0), put("a", "", 0), put("b", "", 0)]).unwrap();
    compact(&mut state, 2);
    while state.sweep(1) {}
    assert_eq!(seen(&saved(&mut state)), seen(&state));
}

#[test]
fn the_hash_is_etcds() {
    // Taken from etcd 3.4.23 (`etcdctl endpoint hashkv`) after the same writes.
    let mut state = State::default();
    txn(&mut state, vec![put("a", "1", 0)]).unwrap();
    let now = hash(&state, 0).unwrap();
    let kv = KeyValue { key: "a".into(), value: "1".into(), create_revision: 2, mod_revision: 2, version: 1, lease: 0 };
    assert_eq!(state.current(b"a").map(|kv| (**kv).clone()), Some(kv));
    assert_eq!((now.revision, now.compacted), (2, 0));
    assert_eq!(hash(&state, 3), Err(Error::Future(2)));
}

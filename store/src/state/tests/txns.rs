//! Transactions of several steps: etcd's kv_test.go, and the tables of server/etcdserver/txn.

use super::leases::{grant, keys, put, txn};
use super::{apply, history, index, state};
use crate::kv::{Compare, Error, KeyValue, Op, OpReply, Order, Range, Target, Txn, TxnReply};
use crate::request::{self, Request};
use crate::state::{Outcome, State};

fn delete(key: &'static str, end: Option<&'static str>) -> Op {
    Op::Delete { key: key.into(), end: end.map(bytes::Bytes::from) }
}

fn get(key: &'static str, revision: u64) -> Op {
    Op::Range(Range { key: key.into(), revision, ..Range::default() })
}

/// What a step answered, short.
fn said(reply: &OpReply) -> String {
    let one = |kv: &KeyValue| {
        format!("{}={}@{}", String::from_utf8_lossy(&kv.key), String::from_utf8_lossy(&kv.value), kv.mod_revision)
    };
    match reply {
        OpReply::Range(page) => format!("[{}]", page.kvs.iter().map(one).collect::<Vec<_>>().join(" ")),
        OpReply::Put(prev) => format!("was {}", prev.as_ref().map_or("nothing".into(), one)),
        OpReply::Delete(gone) => format!("-[{}]", gone.iter().map(one).collect::<Vec<_>>().join(" ")),
        OpReply::Txn(inner) => format!("{}({})", if inner.succeeded { "then" } else { "else" }, all_said(inner)),
    }
}

fn all_said(reply: &TxnReply) -> String {
    reply.replies.iter().map(said).collect::<Vec<_>>().join(", ")
}

#[test]
fn steps_and_what_they_answer() {
    // On a=2 b=3 c=4. (steps, answers, revision, index)
    let table: Vec<(Vec<Op>, &str, u64, &str)> = vec![
        (vec![], "", 4, "a@2 b@3 c@4"),
        (vec![put("a", "x", 0)], "was a=2@2", 5, "a@2 a@5 b@3 c@4"),
        (vec![put("d", "x", 0)], "was nothing", 5, "a@2 b@3 c@4 d@5"),
        (vec![put("d", "", 0), put("e", "", 0)], "was nothing, was nothing", 5, "a@2 b@3 c@4 d@5 e@5"),
        (vec![delete("a", None)], "-[a=2@2]", 5, "a@2 -a@5 b@3 c@4"),
        (vec![delete("x", None)], "-[]", 4, "a@2 b@3 c@4"),
        (vec![delete("a", Some("c"))], "-[a=2@2 b=3@3]", 5, "a@2 -a@5 b@3 -b@5 c@4"),
        (vec![delete("b", Some("\0"))], "-[b=3@3 c=4@4]", 5, "a@2 b@3 -b@5 c@4 -c@5"),
        (vec![delete("c", Some("a"))], "-[]", 4, "a@2 b@3 c@4"),
        (vec![delete("a", None), delete("a", None)], "-[a=2@2], -[]", 5, "a@2 -a@5 b@3 c@4"),
        (vec![get("a", 0)], "[a=2@2]", 4, "a@2 b@3 c@4"),
        (vec![put("a", "x", 0), get("a", 0)], "was a=2@2, [a=x@5]", 5, "a@2 a@5 b@3 c@4"),
        (vec![put("a", "x", 0), get("a", 4)], "was a=2@2, [a=2@2]", 5, "a@2 a@5 b@3 c@4"),
        (vec![get("a", 0), put("a", "x", 0)], "[a=2@2], was a=2@2", 5, "a@2 a@5 b@3 c@4"),
        (vec![delete("a", None), get("a", 0), get("a", 2)], "-[a=2@2], [], [a=2@2]", 5, "a@2 -a@5 b@3 c@4"),
    ];
    for (steps, answers, revision, left) in table {
        let mut state = state("abc");
        let reply = txn(&mut state, steps.clone()).unwrap();
        assert_eq!((all_said(&reply).as_str(), reply.revision), (answers, revision), "{steps:?}");
        assert_eq!((index(&state).as_str(), state.revision()), (left, revision), "{steps:?}");
        assert!(reply.succeeded, "no compare is no obstacle");
    }
}

#[test]
fn what_one_step_cannot_do_none_does() {
    // On a=2 b=3, compacted at 3, with lease 7. (steps, error)
    let update = |key: &'static str, value: Option<&'static str>, lease| Op::Update {
        key: key.into(),
        value: value.map(bytes::Bytes::from),
        lease,
    };
    let inner = |then, otherwise| Op::Txn(Txn { when: Vec::new(), then, otherwise });
    let table = [
        (vec![get("a", 4)], Error::Future(3)),
        (vec![get("a", 2)], Error::Compacted(3)),
        (vec![put("c", "", 8)], Error::NoLease),
        (vec![update("c", None, Some(0))], Error::NoKey),
        (vec![update("c", Some("x"), None)], Error::NoKey),
        (vec![update("a", None, Some(8))], Error::NoLease),
        (vec![inner(vec![put("c", "", 8)], vec![])], Error::NoLease),
        (vec![inner(vec![inner(vec![get("a", 9)], vec![])], vec![])], Error::Future(3)),
        // Of several reasons that of the puts is said.
        (vec![get("a", 4), put("c", "", 8)], Error::NoLease),
        (vec![inner(vec![get("a", 2)], vec![]), update("c", None, None)], Error::NoKey),
        (vec![put("c", "", 8), update("d", None, None)], Error::NoLease),
        // What an earlier step makes does not count: everything is judged by what was before.
        (vec![inner(vec![put("c", "", 0)], vec![]), update("c", None, Some(0))], Error::NoKey),
    ];
    for (steps, error) in table {
        for position in 0..2 {
            let mut state = state("ab");
            grant(&mut state, 7).unwrap();
            super::compact(&mut state, 3);
            let mut all = steps.clone();
            // With a good step before, or behind.
            if position == 0 {
                all.insert(0, put("z", "", 7))
            } else {
                all.push(put("z", "", 7))
            }
            assert_eq!(txn(&mut state, all), Err(error.clone()), "{steps:?}");
            assert_eq!((index(&state).as_str(), state.revision()), ("a@2 b@3", 3), "{steps:?}");
            assert_eq!((keys(&state, 7).as_str(), history(&state).len()), ("", 2), "{steps:?}");
        }
    }
    // A branch that is not taken is not looked at.
    let mut state = state("ab");
    let untaken = vec![put("c", "", 99), get("a", 99), update("nothing", None, None)];
    assert!(txn(&mut state, vec![inner(vec![], untaken.clone())]).is_ok());
    let reply = apply(&mut state, Request::Txn(Txn { then: vec![], otherwise: untaken, ..Txn::default() }));
    assert!(reply.is_ok(), "{reply:?}");
}

#[test]
fn updates_keep_what_they_are_told_to() {
    // (value, lease of the update; value, lease, version then). On k="old" under lease 7.
    let table: &[(Option<&str>, Option<i64>, &str, i64)] = &[
        (None, None, "old", 7),
        (Some("new"), None, "new", 7),
        (Some(""), None, "", 7),
        (None, Some(0), "old", 0),
        (None, Some(8), "old", 8),
        (Some("new"), Some(8), "new", 8),
    ];
    for (value, lease, then_value, then_lease) in table {
        let mut state = State::default();
        grant(&mut state, 7).unwrap();
        grant(&mut state, 8).unwrap();
        txn(&mut state, vec![put("k", "old", 7)]).unwrap();
        let update = Op::Update { key: "k".into(), value: value.map(|value| value.to_owned().into()), lease: *lease };
        let reply = txn(&mut state, vec![update.clone()]).unwrap();
        assert_eq!(all_said(&reply), "was k=old@2", "{update:?}");
        let kv = state.current(b"k").map(|kv| (**kv).clone()).unwrap();
        let expected = KeyValue {
            key: "k".into(),
            value: (*then_value).into(),
            create_revision: 2,
            mod_revision: 3,
            version: 2,
            lease: *then_lease,
        };
        assert_eq!(kv, expected, "{update:?}");
        let held = |id| keys(&state, id) == "k";
        assert_eq!((held(7), held(8)), (*then_lease == 7, *then_lease == 8), "{update:?}");
    }
}

#[test]
fn compares_of_one_key() {
    use Order::{Equal, Greater, Less, NotEqual};
    // On a: created 2, changed 4, version 3, value "4", lease 7; z is not there.
    let mut state = state("aa");
    grant(&mut state, 7).unwrap();
    txn(&mut state, vec![put("a", "4", 7)]).unwrap();
    // (what is compared with, [=, ≠, >, <] of a, of z)
    type Row = (Target, [bool; 4], [bool; 4]);
    let table: Vec<Row> = vec![
        (Target::CreateRevision(2), [true, false, false, false], [false, true, false, true]),
        (Target::CreateRevision(1), [false, true, true, false], [false, true, false, true]),
        (Target::CreateRevision(0), [false, true, true, false], [true, false, false, false]),
        (Target::ModRevision(4), [true, false, false, false], [false, true, false, true]),
        (Target::ModRevision(5), [false, true, false, true], [false, true, false, true]),
        (Target::ModRevision(0), [false, true, true, false], [true, false, false, false]),
        (Target::Version(3), [true, false, false, false], [false, true, false, true]),
        (Target::Version(0), [false, true, true, false], [true, false, false, false]),
        (Target::Lease(7), [true, false, false, false], [false, true, false, true]),
        (Target::Lease(0), [false, true, true, false], [true, false, false, false]),
        (Target::Lease(-1), [false, true, true, false], [false, true, true, false]),
        (Target::Value("4".into()), [true, false, false, false], [false; 4]),
        (Target::Value("".into()), [false, true, true, false], [false; 4]),
        (Target::Value("40".into()), [false, true, false, true], [false; 4]),
    ];
    for (target, of_a, of_z) in table {
        for (key, expected) in [("a", of_a), ("z", of_z)] {
            for (order, holds) in [Equal, NotEqual, Greater, Less].into_iter().zip(expected) {
                let compare = Compare { key: key.into(), end: None, target: target.clone(), order };
                let when = vec![compare];
                let reply = state.read_txn(&Txn { when: when.clone(), ..Txn::default() }).unwrap();
                assert_eq!(reply.succeeded, holds, "{when:?}");
                // A range of that one key says the same.
                let of_range = Compare { end: Some(format!("{key}\0").into()), ..when[0].clone() };
                let reply = state.read_txn(&Txn { when: vec![of_range], ..Txn::default() }).unwrap();
                assert_eq!(reply.succeeded, holds, "{when:?} as a range");
            }
        }
    }
}

#[test]
fn the_branches_that_are_taken() {
    let is = |key: &'static str, version| {
        let target = Target::Version(version);
        vec![Compare { key: key.into(), end: None, target, order: Order::Equal }]
    };
    let nested = |when: Vec<Compare>, then, otherwise| Op::Txn(Txn { when, then, otherwise });
    // On a=2 b=3. (transaction, succeeded, answers)
    let table = [
        (Txn { when: is("a", 1), then: vec![get("a", 0)], otherwise: vec![] }, true, "[a=2@2]"),
        (Txn { when: is("a", 2), then: vec![get("a", 0)], otherwise: vec![get("b", 0)] }, false, "[b=3@3]"),
        (Txn { when: [is("a", 1), is("b", 2)].concat(), then: vec![], otherwise: vec![get("b", 0)] }, false, "[b=3@3]"),
        (
            Txn {
                when: is("a", 1),
                then: vec![
                    nested(is("b", 1), vec![get("b", 0)], vec![]),
                    nested(is("b", 9), vec![], vec![get("a", 0), nested(is("x", 0), vec![get("x", 0)], vec![])]),
                ],
                otherwise: vec![],
            },
            true,
            "then([b=3@3]), else([a=2@2], then([]))",
        ),
        (
            // The first inner one writes what the second one compares: it looks at what was before.
            Txn {
                when: vec![],
                then: vec![
                    nested(is("a", 1), vec![put("a", "x", 0)], vec![]),
                    nested(is("a", 1), vec![get("a", 0)], vec![get("b", 0)]),
                ],
                otherwise: vec![],
            },
            true,
            "then(was a=2@2), then([a=x@4])",
        ),
        (
            Txn {
                when: is("a", 9),
                then: vec![],
                otherwise: vec![nested(is("a", 9), vec![], vec![delete("a", None)])],
            },
            false,
            "else(-[a=2@2])",
        ),
    ];
    for (txn, succeeded, answers) in table {
        let mut state = state("ab");
        if request::reads_only(&txn) {
            let reply = state.read_txn(&txn).unwrap();
            assert_eq!(
                (reply.succeeded, all_said(&reply).as_str(), reply.revision),
                (succeeded, answers, 3),
                "{txn:?}"
            );
        }
        // The same by the way of the log.
        let Ok(Some(request)) = request::decode(request::encode_txn(&txn)) else { panic!("{txn:?}") };
        match apply(&mut state, request).unwrap() {
            Outcome::Txn(reply) => {
                assert_eq!((reply.succeeded, all_said(&reply).as_str()), (succeeded, answers), "{txn:?}");
                let writes = !request::reads_only(&txn);
                assert_eq!((reply.revision, state.revision()), (3 + u64::from(writes), 3 + u64::from(writes)));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_writes_and_what_grows() {
    // (steps, only reads, may grow)
    let nested = |then| vec![Op::Txn(Txn { otherwise: then, ..Txn::default() })];
    let update = Op::Update { key: "a".into(), value: None, lease: None };
    let table = [
        (vec![], true, false),
        (vec![get("a", 0)], true, false),
        (vec![delete("a", None)], false, false),
        (vec![get("a", 0), delete("a", None)], false, false),
        (vec![put("a", "", 0)], false, true),
        (vec![update.clone()], false, true),
        (nested(vec![get("a", 0)]), true, false),
        (nested(vec![delete("a", None)]), false, false),
        (nested(vec![put("a", "", 0)]), false, true),
        (nested(nested(vec![update])), false, true),
    ];
    for (steps, reads, grows) in table {
        for txn in [Txn { then: steps.clone(), ..Txn::default() }, Txn { otherwise: steps.clone(), ..Txn::default() }] {
            assert_eq!((request::reads_only(&txn), crate::state::puts(&txn)), (reads, grows), "{txn:?}");
        }
    }
}

#[test]
fn one_revision_tells_its_changes_in_their_order() {
    let mut state = state("ab");
    txn(&mut state, vec![put("z", "", 0), delete("a", Some("c")), put("y", "", 0)]).unwrap();
    let changes: Vec<String> = state
        .changes(4)
        .map(|change| {
            let sign = if change.item.version == 0 { "-" } else { "" };
            format!("{sign}{} {}", String::from_utf8_lossy(&change.item.key), state.sub(&change.item))
        })
        .collect();
    assert_eq!(changes, ["z 0", "-a 1", "-b 2", "y 3"]);
    assert!(state.changes(4).all(|change| change.item.mod_revision == 4));
    // A revision of one change needs no numbers.
    let before = state.subs.len();
    txn(&mut state, vec![put("q", "", 0)]).unwrap();
    assert_eq!((before, state.subs.len()), (3, 3));
    // One that puts a key and deletes it again has a number for each.
    let inner = |op| Op::Txn(Txn { then: vec![op], ..Txn::default() });
    txn(&mut state, vec![inner(put("x", "", 0)), inner(put("y", "", 0)), inner(delete("y", None))]).unwrap();
    let subs: Vec<u32> = state.changes(6).map(|change| state.sub(&change.item)).collect();
    assert_eq!(subs, [0, 1, 2]);
}

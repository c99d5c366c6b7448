//! Table tests of the state: what compaction leaves, what it costs, and what the readers see meanwhile.

use bytes::Bytes;

mod hashes;
mod keys;
mod leases;
mod others;
mod reads;
mod txns;

use super::{At, Outcome, State};
use crate::kv::{Error, Op, Range, Signal, Txn};
use crate::request::{self, Request};
use crate::span::Span;

/// Applies a request as the next entry, of term 1.
pub(super) fn apply(state: &mut State, request: Request) -> Result<Outcome, Error> {
    state.apply(At { index: state.applied.index + 1, term: 1 }, request)
}

/// Applies one letter of a script: `a` puts key a, `A` deletes it, as the next entry.
fn run(state: &mut State, script: &str) {
    for letter in script.bytes() {
        let key = Bytes::copy_from_slice(&[letter.to_ascii_lowercase()]);
        let value = Bytes::from((state.revision + 1).to_string());
        let op =
            if letter.is_ascii_lowercase() { Op::Put { key, value, lease: 0 } } else { Op::Delete { key, end: None } };
        let before = state.revision;
        apply(state, Request::Txn(Txn { then: vec![op], ..Txn::default() })).unwrap();
        assert_eq!(state.revision, before + 1, "{letter}");
    }
}

fn state(script: &str) -> State {
    let mut state = State::default();
    run(&mut state, script);
    state
}

fn compact(state: &mut State, upto: u64) {
    apply(state, Request::Compact(upto)).unwrap();
}

/// All versions in the index as `key@revision`, deletions with a `-`.
fn index(state: &State) -> String {
    let words = state.index.values().flat_map(|versions| versions.all()).map(|item| {
        let sign = if item.version == 0 { "-" } else { "" };
        format!("{sign}{}@{}", String::from_utf8_lossy(&item.key), item.mod_revision)
    });
    words.collect::<Vec<_>>().join(" ")
}

fn history(state: &State) -> Vec<u64> {
    state.history.iter().map(|change| change.item.mod_revision).collect()
}

#[test]
fn a_version_that_is_gone_leaves_nothing_of_its_request_in_memory() {
    let mut state = State::default();
    apply(&mut state, Request::LeaseGrant(proto::log::LeaseGrant { id: 7, ttl: 60 })).unwrap();
    let request = Bytes::from(vec![b'k'; 1000]);
    for bytes in [request.clone(), Bytes::from(vec![b'k'; 1000])] {
        let put = Op::Put { key: bytes.slice(..1), value: bytes.slice(1..), lease: 7 };
        let with_order = Op::Put { key: bytes.slice(..2), value: Bytes::new(), lease: 7 };
        apply(&mut state, Request::Txn(Txn { then: vec![put, with_order], ..Txn::default() })).unwrap();
    }
    assert!(!request.is_unique());
    let now = state.revision;
    compact(&mut state, now);
    assert!(!state.sweep(100));
    assert!(request.is_unique());
}

#[test]
fn compaction_keeps_what_can_be_read() {
    // (script: revisions from 2 on, compacted, index afterwards, history afterwards)
    let table: &[(&str, u64, &str, &[u64])] = &[
        ("abaB", 4, "a@4 b@3 -b@5", &[4, 5]),
        ("abaB", 5, "a@4 -b@5", &[5]),
        ("abaBa", 6, "a@6", &[6]),
        ("aaaa", 3, "a@3 a@4 a@5", &[3, 4, 5]),
        ("aaaa", 5, "a@5", &[5]),
        ("aA", 2, "a@2 -a@3", &[2, 3]),
        ("aA", 3, "-a@3", &[3]),
        ("aAb", 4, "b@4", &[4]),
        ("aAab", 5, "a@4 b@5", &[5]),
    ];
    for (script, upto, kept, changes) in table {
        let mut state = state(script);
        let sees = |state: &State, revision| {
            let all = Bytes::from_static(b"\0");
            state.page(&Range { key: all.clone(), end: Some(all), revision, ..Range::default() }, 0).unwrap().kvs
        };
        let before: Vec<_> = (*upto..=state.revision).map(|revision| sees(&state, revision)).collect();
        compact(&mut state, *upto);
        // In the smallest portions, with all that can be read unchanged after each.
        loop {
            let more = state.sweep(1);
            let now: Vec<_> = (*upto..=state.revision).map(|revision| sees(&state, revision)).collect();
            assert_eq!(now, before, "{script} at {upto}");
            if !more {
                break;
            }
        }
        assert_eq!((index(&state).as_str(), history(&state).as_slice()), (*kept, *changes), "{script} at {upto}");
        assert!(!state.sweep(1), "a finished sweep finds nothing to do");
    }
}

#[test]
fn compaction_after_compaction() {
    let mut state = state("abcA");
    for upto in [3, 5] {
        compact(&mut state, upto);
        assert!(!state.sweep(100));
    }
    assert_eq!(index(&state), "-a@5 b@3 c@4");
    run(&mut state, "bC");
    compact(&mut state, 7);
    state.sweep(100);
    assert_eq!(index(&state), "b@6 -c@7", "a deletion stays until the compaction after its own");
    assert_eq!(state.live_bytes(), 2);
}

#[test]
fn a_save_holds_the_sweep_back() {
    let mut state = state("aaaa");
    compact(&mut state, 3);
    let head = state.begin_save();
    compact(&mut state, 5);
    assert!(!state.sweep(100));
    assert_eq!(index(&state), "a@3 a@4 a@5");
    state.end_save(&head);
    assert!(!state.sweep(100));
    assert_eq!(index(&state), "a@5");
    assert_eq!(state.resident(), 2 + super::VERSION_COST, "what was swept is not counted");
}

#[test]
fn signals_come_in_portions_between_revisions() {
    let mut state = state("ab");
    let op = |key: &'static str| Op::Put { key: key.into(), value: "".into(), lease: 0 };
    apply(&mut state, Request::Txn(Txn { then: vec![op("c"), op("d"), op("e")], ..Txn::default() })).unwrap(); // 4
    run(&mut state, "fg"); // 5, 6
    let all = Span::of(&"\0".into(), Some(&"\0".into()));
    let mut from = 2;
    let mut seen = Vec::new();
    let mut portions = 0;
    while from <= state.revision {
        let (signals, next) = state.signals(&all, from, 2, true);
        assert!(next > from);
        from = next;
        portions += 1;
        for signal in signals {
            let Signal::Events(revision, events) = signal else { panic!() };
            seen.push((revision, events.len()));
        }
    }
    assert_eq!(seen, [(2, 1), (3, 1), (4, 3), (5, 1), (6, 1)]);
    assert_eq!(portions, 3);
}

#[test]
fn requests_come_back_from_their_bytes() {
    use crate::kv::{Compare, Order, Target};
    let compare = |target, order| Compare { key: "k".into(), end: None, target, order };
    let in_range = Compare { end: Some("".into()), ..compare(Target::Version(0), Order::Less) };
    let txn = Txn {
        when: vec![
            compare(Target::ModRevision(0), Order::Equal),
            compare(Target::CreateRevision(7), Order::NotEqual),
            compare(Target::Version(u64::MAX), Order::Greater),
            compare(Target::Value("".into()), Order::Less),
            compare(Target::Lease(-1), Order::Equal),
        ],
        then: vec![
            Op::Put { key: "a".into(), value: "".into(), lease: 0 },
            Op::Delete { key: "b".into(), end: None },
            Op::Delete { key: "b".into(), end: Some("".into()) },
            Op::Update { key: "u".into(), value: None, lease: Some(0) },
            Op::Update { key: "v".into(), value: Some("".into()), lease: None },
            Op::Txn(Txn { when: vec![in_range], otherwise: vec![Op::Txn(Txn::default())], ..Txn::default() }),
        ],
        otherwise: vec![Op::Range(Range {
            key: "c".into(),
            end: Some("d".into()),
            limit: 3,
            revision: 4,
            keys_only: true,
            count_only: true,
            serializable: false,
        })],
    };
    assert_eq!(request::decode(request::encode_txn(&txn)), Ok(Some(Request::Txn(txn))));
    assert_eq!(request::decode(request::encode_compaction(7)), Ok(Some(Request::Compact(7))));
    assert_eq!(request::decode(Bytes::new()), Ok(None), "an entry that only begins a term");
    assert!(request::decode(Bytes::from_static(b"\xff\xff")).is_err());
}

#[test]
fn one_put_shares_its_request_and_several_do_not() {
    let put = |key: &'static str| Op::Put { key: key.into(), value: vec![b'v'; 100].into(), lease: 0 };
    for (ops, shared) in [(vec![put("a")], true), (vec![put("a"), put("b")], false)] {
        let bytes = request::encode_txn(&Txn { then: ops, ..Txn::default() });
        let within = bytes.as_ptr_range();
        let Ok(Some(Request::Txn(txn))) = request::decode(bytes.clone()) else { panic!() };
        for op in &txn.then {
            let Op::Put { value, .. } = op else { panic!() };
            assert_eq!(within.contains(&value.as_ptr()), shared);
        }
    }
}

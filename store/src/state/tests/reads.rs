//! Ranges: etcd's kv_test.go and kvstore_test.go as tables over one small state.

use bytes::Bytes;

use super::{compact, run, state};
use crate::kv::{Error, EventKind, Page, Range, Signal};
use crate::span::Span;
use crate::state::State;

/// All pages of a read, taken `budget` keys at a time.
fn read(state: &State, range: &Range, budget: usize) -> Result<Page, Error> {
    let mut scan = state.scan(range)?;
    while !state.advance(&mut scan, budget)? {}
    Ok(scan.finish())
}

fn text(page: &Page) -> String {
    let words = page
        .kvs
        .iter()
        .map(|kv| format!("{}={}", String::from_utf8_lossy(&kv.key), String::from_utf8_lossy(&kv.value)));
    words.collect::<Vec<_>>().join(" ")
}

fn range(key: &'static str, end: Option<&'static str>) -> Range {
    Range { key: key.into(), end: end.map(Bytes::from), ..Range::default() }
}

#[test]
fn which_keys_a_range_holds() {
    let state = state("bcdef");
    // (key, end, keys)
    let table = [
        ("b", None, "b"),
        ("a", None, ""),
        ("bb", None, ""),
        ("a", Some("z"), "bcdef"),
        ("b", Some("f"), "bcde"),
        ("b", Some("g"), "bcdef"),
        ("b", Some("ba"), "b"),
        ("b", Some("b"), ""),
        ("f", Some("b"), ""),
        ("c", Some("d"), "c"),
        ("ca", Some("e"), "d"),
        ("a", Some("b"), ""),
        ("g", Some("z"), ""),
        ("c", Some("\0"), "cdef"),
        ("\0", Some("\0"), "bcdef"),
        ("g", Some("\0"), ""),
    ];
    for (key, end, expected) in table {
        for budget in [1, 2, 100] {
            let page = read(&state, &range(key, end), budget).unwrap();
            let keys: Vec<u8> = page.kvs.iter().flat_map(|kv| kv.key.to_vec()).collect();
            assert_eq!(String::from_utf8_lossy(&keys), expected, "{key:?} {end:?}");
            assert_eq!((page.count, page.more, page.revision), (expected.len() as u64, false, 6), "{key:?} {end:?}");
        }
    }
}

#[test]
fn limits_cut_the_answer_and_not_the_count() {
    let state = state("abcde");
    // (limit, how many, more)
    for (limit, returned, more) in
        [(0, 5, false), (1, 1, true), (4, 4, true), (5, 5, false), (6, 5, false), (100, 5, false)]
    {
        for budget in [1, 3, 100] {
            let page = read(&state, &Range { limit, ..range("a", Some("z")) }, budget).unwrap();
            assert_eq!((page.kvs.len(), page.more, page.count), (returned, more, 5), "limit {limit}");
            assert_eq!(page.kvs[0].key, "a", "the first ones");
            let counted = Range { limit, count_only: true, ..range("a", Some("z")) };
            let page = read(&state, &counted, budget).unwrap();
            assert_eq!((page.kvs.len(), page.more, page.count), (0, false, 5), "limit {limit}, count only");
            let keys = Range { limit, keys_only: true, ..range("a", Some("z")) };
            let page = read(&state, &keys, budget).unwrap();
            assert_eq!((page.kvs.len(), page.more), (returned, more));
            assert!(page.kvs.iter().all(|kv| kv.value.is_empty() && kv.mod_revision > 1 && kv.version == 1));
        }
    }
}

#[test]
fn reads_in_the_past() {
    let state = state("abaBcb");
    // (revision, what is there)
    let table = [
        (1, ""),
        (2, "a=2"),
        (3, "a=2 b=3"),
        (4, "a=4 b=3"),
        (5, "a=4"),
        (6, "a=4 c=6"),
        (7, "a=4 b=7 c=6"),
        (0, "a=4 b=7 c=6"),
    ];
    for (revision, expected) in table {
        for budget in [1, 2, 100] {
            let page = read(&state, &Range { revision, ..range("a", Some("z")) }, budget).unwrap();
            assert_eq!((text(&page).as_str(), page.revision), (expected, 7), "at {revision}");
            let count = Range { revision, count_only: true, ..range("a", Some("z")) };
            assert_eq!(read(&state, &count, budget).unwrap().count, page.kvs.len() as u64, "at {revision}");
        }
        let one = read(&state, &Range { revision, ..range("b", None) }, 1).unwrap();
        assert_eq!(one.count > 0, expected.contains("b="), "at {revision}");
    }
}

#[test]
fn revisions_that_cannot_be_read() {
    // (compacted, revision asked for, error)
    let table = [
        (0, 0, None),
        (0, 1, None),
        (0, 5, None),
        (0, 6, Some(Error::Future(5))),
        (0, u64::MAX, Some(Error::Future(5))),
        (3, 1, Some(Error::Compacted(3))),
        (3, 2, Some(Error::Compacted(3))),
        (3, 3, None),
        (3, 6, Some(Error::Future(5))),
        (5, 0, None),
        (5, 4, Some(Error::Compacted(5))),
        (5, 5, None),
    ];
    for (compacted, revision, error) in table {
        let mut state = state("aaaa");
        if compacted > 0 {
            compact(&mut state, compacted);
        }
        let what = format!("{revision} of a state compacted at {compacted}");
        assert_eq!(read(&state, &Range { revision, ..range("a", None) }, 9).err(), error, "{what}");
        assert_eq!(state.readable(revision).err(), error, "{what}");
    }
    // Compacted while it is read.
    let mut state = state("abc");
    let mut scan = state.scan(&Range { revision: 3, ..range("a", Some("z")) }).unwrap();
    assert_eq!(state.advance(&mut scan, 1), Ok(false));
    compact(&mut state, 4);
    assert_eq!(state.advance(&mut scan, 1), Err(Error::Compacted(4)));
}

#[test]
fn compactions_that_cannot_be() {
    // (compacted before, at, error)
    let table = [
        (0, 1, None),
        (0, 5, None),
        (0, 6, Some(Error::Future(5))),
        (3, 0, Some(Error::Compacted(3))),
        (3, 2, Some(Error::Compacted(3))),
        (3, 3, Some(Error::Compacted(3))),
        (3, 4, None),
        (5, 5, Some(Error::Compacted(5))),
        (5, u64::MAX, Some(Error::Future(5))),
    ];
    for (before, at, error) in table {
        let mut state = state("aaaa");
        if before > 0 {
            compact(&mut state, before);
        }
        let result = super::apply(&mut state, crate::request::Request::Compact(at)).err();
        assert_eq!(result, error, "{at} after {before}");
        assert_eq!(state.compacted(), if error.is_none() { at } else { before });
        assert_eq!(state.revision(), 5, "a compaction makes no revision");
    }
}

#[test]
fn a_read_in_portions_is_of_one_revision() {
    let mut state = state("abcde");
    let mut scan = state.scan(&range("a", Some("z"))).unwrap();
    assert_eq!(state.advance(&mut scan, 2), Ok(false));
    run(&mut state, "aBCdff");
    while !state.advance(&mut scan, 2).unwrap() {}
    let page = scan.finish();
    assert_eq!((text(&page).as_str(), page.revision, page.count), ("a=2 b=3 c=4 d=5 e=6", 6, 5));
}

#[test]
fn what_a_watch_is_told() {
    let state = state("abaBcb");
    // (key, end, from, `key@revision`, deletions with a -)
    let table = [
        ("a", None, 2, "a@2 a@4"),
        ("a", None, 3, "a@4"),
        ("a", None, 5, ""),
        ("b", None, 2, "b@3 -b@5 b@7"),
        ("a", Some("c"), 4, "a@4 -b@5 b@7"),
        ("c", Some("\0"), 0, "c@6"),
        ("d", None, 2, ""),
        ("c", Some("a"), 2, ""),
    ];
    for (key, end, from, expected) in table {
        for budget in [1, 2, 100] {
            let span = Span::of(&key.into(), end.map(Bytes::from).as_ref());
            let (mut next, mut told) = (from, Vec::new());
            while next <= state.revision() {
                let (signals, after) = state.signals(&span, next, budget, true);
                assert!(after > next, "it moves on");
                next = after;
                for signal in signals {
                    let Signal::Events(revision, events) = signal else { panic!("{signal:?}") };
                    for event in events {
                        assert_eq!(event.kv.mod_revision, revision);
                        let sign = if event.kind == EventKind::Delete { "-" } else { "" };
                        told.push(format!("{sign}{}@{revision}", String::from_utf8_lossy(&event.kv.key)));
                    }
                }
            }
            assert_eq!(told.join(" "), expected, "{key:?} {end:?} from {from}, {budget} at a time");
        }
    }
}

#[test]
fn events_say_what_was_before_as_long_as_it_is_known() {
    let mut state = state("aaAa");
    let before = |state: &State, from: u64| -> Vec<Option<u64>> {
        let (signals, _) = state.signals(&Span::of(&"a".into(), None), from, 100, true);
        let events = signals.into_iter().flat_map(|signal| match signal {
            Signal::Events(_, events) => events,
            other => panic!("{other:?}"),
        });
        events.map(|event| event.prev.map(|kv| kv.mod_revision)).collect()
    };
    assert_eq!(before(&state, 2), [None, Some(2), Some(3), None]);
    let (untold, _) = state.signals(&Span::of(&"a".into(), None), 3, 100, false);
    let prev = |signal: &Signal| matches!(signal, Signal::Events(_, events) if events[0].prev.is_none());
    assert!(untold.len() == 3 && untold.iter().all(prev), "who does not ask is not told");
    compact(&mut state, 3);
    while state.sweep(1) {}
    // What revision 3 found is compacted; what it left is not.
    assert_eq!(before(&state, 3), [None, Some(3), None]);
    compact(&mut state, 4);
    while state.sweep(1) {}
    assert_eq!(before(&state, 4), [None, None]);
}

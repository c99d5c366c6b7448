//! The versions of a key through puts, deletions and compactions: etcd's key_index_test.go and index_test.go, and every read
//! against the definition.

use bytes::Bytes;

use super::{compact, history, index, run, state};
use crate::kv::{KeyValue, Range};
use crate::random::SplitMix;
use crate::state::State;

fn get(state: &State, key: &str, revision: u64) -> Option<KeyValue> {
    let range = Range { key: Bytes::copy_from_slice(key.as_bytes()), revision, ..Range::default() };
    state.page(&range, state.revision()).unwrap().kvs.pop()
}

#[test]
fn a_key_lives_in_incarnations() {
    // The history: put 2 3, deleted 4, put 5 6 7, deleted 8, others 9, put 10.
    let state = state("aaAaaaAba");
    // (revision; create, mod, version; `None`: it is not there)
    let table = [
        (1, None),
        (2, Some((2, 2, 1))),
        (3, Some((2, 3, 2))),
        (4, None),
        (5, Some((5, 5, 1))),
        (6, Some((5, 6, 2))),
        (7, Some((5, 7, 3))),
        (8, None),
        (9, None),
        (10, Some((10, 10, 1))),
    ];
    for (revision, expected) in table {
        let found = get(&state, "a", revision);
        let seen = found.as_ref().map(|kv| (kv.create_revision, kv.mod_revision, kv.version));
        assert_eq!(seen, expected, "at {revision}");
        assert_eq!(found.map(|kv| kv.value), expected.map(|(_, modified, _)| Bytes::from(modified.to_string())));
    }
    assert_eq!(get(&state, "a", 0), get(&state, "a", 10), "0 is now");
    assert_eq!(get(&state, "ab", 0), None);
}

#[test]
fn what_each_compaction_leaves_of_a_key() {
    // The same history, compacted at each revision: what is left of the key, and of the history.
    let script = "aaAaaaAba";
    let table: &[(u64, &str, usize)] = &[
        (1, "a@2 a@3 -a@4 a@5 a@6 a@7 -a@8 a@10 b@9", 9),
        (2, "a@2 a@3 -a@4 a@5 a@6 a@7 -a@8 a@10 b@9", 9),
        (3, "a@3 -a@4 a@5 a@6 a@7 -a@8 a@10 b@9", 8),
        (4, "-a@4 a@5 a@6 a@7 -a@8 a@10 b@9", 7),
        (5, "a@5 a@6 a@7 -a@8 a@10 b@9", 6),
        (6, "a@6 a@7 -a@8 a@10 b@9", 5),
        (7, "a@7 -a@8 a@10 b@9", 4),
        (8, "-a@8 a@10 b@9", 3),
        (9, "a@10 b@9", 2),
        (10, "a@10 b@9", 1),
    ];
    for (upto, left, changes) in table {
        for step_by_step in [false, true] {
            let mut state = state(script);
            if step_by_step {
                for at in 1..*upto {
                    compact(&mut state, at);
                    while state.sweep(1) {}
                }
            }
            compact(&mut state, *upto);
            while state.sweep(1) {}
            assert_eq!((index(&state).as_str(), history(&state).len()), (*left, *changes), "at {upto}");
            assert_eq!((state.swept(), state.compacted()), (*upto, *upto));
        }
    }
}

#[test]
fn a_key_that_is_gone_is_forgotten_and_begins_anew() {
    let mut state = state("aAbB");
    compact(&mut state, 5);
    state.sweep(100);
    assert_eq!((index(&state).as_str(), state.keys(), state.live_keys()), ("-b@5", 1, 0));
    run(&mut state, "b");
    let kv = get(&state, "b", 0).unwrap();
    assert_eq!((kv.create_revision, kv.version), (6, 1));
    compact(&mut state, 6);
    state.sweep(100);
    assert_eq!(index(&state), "b@6");
    assert_eq!((state.live_bytes(), state.keys(), state.live_keys()), (2, 1, 1));
}

/// What a read at `revision` finds by the script alone: keys with the revision of their value.
fn by_definition(script: &str, revision: u64) -> Vec<(Bytes, u64)> {
    let mut keys = std::collections::BTreeMap::new();
    for (at, letter) in (2..=revision).zip(script.bytes()) {
        let key = Bytes::copy_from_slice(&[letter.to_ascii_lowercase()]);
        if letter.is_ascii_lowercase() {
            keys.insert(key, at)
        } else {
            keys.remove(&key)
        };
    }
    keys.into_iter().collect()
}

#[test]
fn every_read_after_every_compaction_is_right_and_nothing_superfluous_is_kept() {
    let mut random = SplitMix(7);
    for _ in 0..300 {
        // A deletion of what is not there would make no revision.
        let mut script = String::new();
        for _ in 0..4 + random.below(14) {
            let letter = (b'a' + random.below(3) as u8) as char;
            let lives = by_definition(&script, script.len() as u64 + 1).iter().any(|(key, _)| key[0] == letter as u8);
            script.push(if lives && random.below(2) == 0 { letter.to_ascii_uppercase() } else { letter });
        }
        let mut state = state(&script);
        let last = state.revision();
        let mut compacted = 0;
        while compacted < last {
            compacted += 1 + random.below(last - compacted);
            compact(&mut state, compacted);
            while state.sweep(1 + random.below(3) as usize) {}
            for revision in compacted..=last {
                let all = Bytes::from_static(b"\0");
                let range = Range { key: all.clone(), end: Some(all), revision, ..Range::default() };
                let found = state.page(&range, last).unwrap().kvs;
                let seen: Vec<_> = found.into_iter().map(|kv| (kv.key, kv.mod_revision)).collect();
                assert_eq!(seen, by_definition(&script, revision), "{script}, compacted {compacted}, at {revision}");
            }
            // Kept is what such a read sees, and what a watch from the compact revision on is told.
            let mut needed: Vec<u64> =
                (compacted..=last).flat_map(|revision| by_definition(&script, revision)).map(|(_, at)| at).collect();
            needed.extend(compacted.max(2)..=last);
            needed.sort_unstable();
            needed.dedup();
            let mut kept: Vec<u64> =
                state.index.values().flat_map(|versions| versions.all()).map(|item| item.mod_revision).collect();
            kept.sort_unstable();
            assert_eq!(kept, needed, "{script}, compacted {compacted}");
            assert_eq!(history(&state), (compacted.max(2)..=last).collect::<Vec<_>>(), "{script}");
        }
        let live = by_definition(&script, last);
        let bytes: usize = live.iter().map(|(_, at)| 1 + at.to_string().len()).sum();
        assert_eq!((state.live_bytes(), state.live_keys()), (bytes as u64, live.len() as u64), "{script}");
        let cost: usize =
            state.index.values().flat_map(|versions| versions.all()).map(|item| item.value.len() + 257).sum();
        assert_eq!(state.resident(), cost as u64, "{script}: what is counted is what is there");
    }
}

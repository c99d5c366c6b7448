//! HashKV against values that etcd's own tests fix (server/storage/mvcc/hash_test.go), and what must not change it.

use super::leases::{hash, put, saved, txn};
use super::{compact, run, state};
use crate::kv::{Error, Op};
use crate::state::State;

/// etcd's test compacts each time after so many writes.
const CYCLE: u64 = 71;

/// The key that etcd's test writes at a step.
fn key(step: u64) -> &'static str {
    match (step % (2 * CYCLE), step % CYCLE) {
        (30, _) => "zenek",
        (_, 30) => "xavery",
        _ => ["alice", "bob", "celine", "dominik", "eve", "frederica", "gorge"][(step % 7) as usize],
    }
}

fn write(state: &mut State, from: u64, count: u64) {
    for step in from..=from + count {
        let value = Op::Put { key: key(step).into(), value: step.to_string().into(), lease: 0 };
        txn(state, vec![value]).unwrap();
    }
}

/// Hash, compact revision before, revision.
type Golden = [(u32, u64, u64); 19];

/// Writes in cycles, takes the hash of a revision (of the last one, if `back` is 0), compacts there.
fn check(golden: &Golden, last: bool, sweep: bool) {
    let mut state = State::default();
    let mut step = 0;
    for (at, (expected, compacted, revision)) in golden.iter().enumerate() {
        let count = if at + 1 < golden.len() { CYCLE } else { 1210 };
        write(&mut state, step, count);
        let asked = if last { 0 } else { step + count / 2 };
        let found = hash(&state, asked).unwrap();
        assert_eq!((found.hash, found.compacted, found.revision), (*expected, *compacted, *revision), "cycle {at}");
        compact(&mut state, *revision);
        // Whether the compaction has been carried out makes no difference.
        while sweep && state.sweep(3) {}
        step += CYCLE;
    }
}

#[test]
fn hashes_of_past_revisions_are_etcds() {
    let golden = [
        (4_082_599_214, 0, 35),
        (2_279_933_401, 35, 106),
        (3_284_231_217, 106, 177),
        (126_286_495, 177, 248),
        (900_108_730, 248, 319),
        (2_475_485_232, 319, 390),
        (1_226_296_507, 390, 461),
        (2_503_661_030, 461, 532),
        (4_155_130_747, 532, 603),
        (106_915_399, 603, 674),
        (406_914_006, 674, 745),
        (1_882_211_381, 745, 816),
        (806_177_088, 816, 887),
        (664_311_366, 887, 958),
        (1_496_914_449, 958, 1029),
        (2_434_525_091, 1029, 1100),
        (3_988_652_253, 1100, 1171),
        (1_122_462_288, 1171, 1242),
        (724_436_716, 1242, 1883),
    ];
    check(&golden, false, true);
    check(&golden, false, false);
}

#[test]
fn hashes_of_the_last_revision_are_etcds() {
    let golden = [
        (1_913_897_190, 0, 73),
        (224_860_069, 73, 145),
        (1_565_167_519, 145, 217),
        (1_566_261_620, 217, 289),
        (2_037_173_024, 289, 361),
        (691_659_396, 361, 433),
        (2_713_730_748, 433, 505),
        (3_919_322_507, 505, 577),
        (769_967_540, 577, 649),
        (2_909_194_793, 649, 721),
        (1_576_921_157, 721, 793),
        (4_067_701_532, 793, 865),
        (2_226_384_237, 865, 937),
        (2_923_408_134, 937, 1009),
        (2_680_329_256, 1009, 1081),
        (1_546_717_673, 1081, 1153),
        (2_713_657_846, 1153, 1225),
        (1_046_575_299, 1225, 1297),
        (2_017_735_779, 1297, 2508),
    ];
    check(&golden, true, true);
    check(&golden, true, false);
}

#[test]
fn every_difference_changes_the_hash() {
    let of = |steps: Vec<Vec<Op>>| {
        let mut state = State::default();
        super::leases::grant(&mut state, 7).unwrap();
        steps.into_iter().for_each(|step| drop(txn(&mut state, step).unwrap()));
        hash(&state, 0).unwrap().hash
    };
    let delete = |key: &'static str| Op::Delete { key: key.into(), end: None };
    let all = [
        of(vec![]),
        of(vec![vec![put("a", "1", 0)]]),
        of(vec![vec![put("a", "2", 0)]]),
        of(vec![vec![put("b", "1", 0)]]),
        of(vec![vec![put("a", "1", 7)]]),
        of(vec![vec![put("a", "1", 0)], vec![put("a", "1", 0)]]),
        of(vec![vec![put("a", "1", 0)], vec![delete("a")]]),
        of(vec![vec![put("a", "1", 0)], vec![delete("a")], vec![put("a", "1", 0)]]),
        of(vec![vec![put("a", "1", 0)], vec![put("b", "1", 0)]]),
        of(vec![vec![put("b", "1", 0)], vec![put("a", "1", 0)]]),
        // One revision, in either order: the order is part of it.
        of(vec![vec![put("a", "1", 0), put("b", "1", 0)]]),
        of(vec![vec![put("b", "1", 0), put("a", "1", 0)]]),
    ];
    for (at, one) in all.iter().enumerate() {
        for (other_at, other) in all.iter().enumerate() {
            assert_eq!(one == other, at == other_at, "{at} and {other_at}");
        }
    }
}

#[test]
fn the_way_to_a_state_does_not_matter() {
    // (script, compacted at, asked at)
    for (script, upto, asked) in
        [("abcaBbc", 0, 5), ("abcaBbc", 4, 0), ("abcaBbc", 4, 6), ("aAbBcC", 6, 0), ("aAbBcC", 7, 7), ("abAaBb", 5, 5)]
    {
        let mut one = state(script);
        if upto > 0 {
            compact(&mut one, upto);
        }
        let expected = hash(&one, asked).unwrap();
        // Carried out or not, saved and loaded or not.
        assert_eq!(hash(&saved(&mut one), asked), Ok(expected), "{script} {upto} {asked}");
        while one.sweep(1) {}
        assert_eq!(hash(&one, asked), Ok(expected), "{script} {upto} {asked}");
        assert_eq!(hash(&saved(&mut one), asked), Ok(expected), "{script} {upto} {asked}");
        // What comes later does not change what was.
        if asked > 0 {
            run(&mut one, "xyz");
            assert_eq!(hash(&one, asked), Ok(expected), "{script} {upto} {asked}");
        }
    }
}

#[test]
fn a_hash_is_of_one_state() {
    let mut state = state("abc");
    assert_eq!(hash(&state, 5), Err(Error::Future(4)));
    compact(&mut state, 3);
    assert_eq!(hash(&state, 2), Err(Error::Compacted(3)));
    assert!(hash(&state, 3).is_ok());
    // A compaction between two portions: begin anew.
    let mut scan = state.begin_hash(0).unwrap();
    assert_eq!(state.advance_hash(&mut scan, 1), Ok(false));
    compact(&mut state, 4);
    assert_eq!(state.advance_hash(&mut scan, 1), Err(Error::Compacted(4)));
    assert_eq!(hash(&state, 0).map(|hash| hash.compacted), Ok(4));
    state.tamper(b"b");
    let good = hash(&super::state("abc"), 0).unwrap();
    assert_ne!(hash(&state, 0).unwrap().hash, good.hash, "memory that is broken is seen");
}

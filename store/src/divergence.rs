//! Which members are corrupt, by what their hashes say. Pure.
//!
//! Hashes can be compared only if they are of the same revision and the same compact revision; whoever cannot be compared says
//! nothing. What a quorum of the members agrees on is right. etcd: server/etcdserver/corrupt.go, checkPeerHashes.

use std::collections::BTreeMap;

use crate::state::HashKv;

/// What the hashes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All members have the same.
    Same,
    /// Those that could be compared have the same; so many could not.
    Incomplete(usize),
    /// These differ from what a quorum has.
    Corrupt(Vec<u64>),
    /// Members differ, and no quorum agrees: nobody knows who is right.
    Undecided,
}

/// Judges the hashes of members, of whom there are `members` that vote.
pub(crate) fn judge(own: (u64, HashKv), others: &[(u64, HashKv)], members: usize) -> Verdict {
    let comparable = |hash: &HashKv| (hash.revision, hash.compacted) == (own.1.revision, own.1.compacted);
    let mut by_hash: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for (id, hash) in std::iter::once(&own).chain(others).filter(|(_, hash)| comparable(hash)) {
        by_hash.entry(hash.hash).or_default().push(*id);
    }
    let answered: usize = by_hash.values().map(Vec::len).sum();
    if by_hash.len() <= 1 {
        return match members.saturating_sub(answered) {
            0 => Verdict::Same,
            missing => Verdict::Incomplete(missing),
        };
    }
    let quorum = members / 2 + 1;
    let right = by_hash.iter().find(|(_, ids)| ids.len() >= quorum).map(|(hash, _)| *hash);
    match right {
        Some(right) => {
            by_hash.remove(&right);
            Verdict::Corrupt(by_hash.into_values().flatten().collect())
        }
        // Who has not answered may tell who is right.
        None if answered < members => Verdict::Incomplete(members - answered),
        None => Verdict::Undecided,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quorum_is_right() {
        let at = |hash, compacted, revision| HashKv { hash, compacted, revision };
        let good = at(1, 5, 9);
        let table = [
            ("alone", good, vec![], Verdict::Incomplete(2)),
            ("all agree", good, vec![(2, good), (3, good)], Verdict::Same),
            ("one is missing", good, vec![(2, good)], Verdict::Incomplete(1)),
            ("another is corrupt", good, vec![(2, good), (3, at(2, 5, 9))], Verdict::Corrupt(vec![3])),
            ("I am", at(2, 5, 9), vec![(2, good), (3, good)], Verdict::Corrupt(vec![1])),
            ("two are needed to judge", good, vec![(2, at(2, 5, 9))], Verdict::Incomplete(1)),
            ("nobody agrees", good, vec![(2, at(2, 5, 9)), (3, at(3, 5, 9))], Verdict::Undecided),
            ("compacted elsewhere", good, vec![(2, at(2, 6, 9)), (3, good)], Verdict::Incomplete(1)),
            ("of another revision", good, vec![(2, at(2, 5, 8)), (3, at(2, 5, 10))], Verdict::Incomplete(2)),
        ];
        for (what, own, others, expected) in table {
            assert_eq!(judge((1, own), &others, 3), expected, "{what}");
        }
        // Two members differ: nobody knows.
        assert_eq!(judge((1, good), &[(2, at(2, 5, 9))], 2), Verdict::Undecided);
    }
}

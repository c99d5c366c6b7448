//! Which members are corrupt, by what their hashes say. Pure.
//!
//! Hashes can be compared only if they are of the same revision and the same compact revision; whoever cannot be compared says
//! nothing. What a quorum of the voters agrees on is right. etcd: server/etcdserver/corrupt.go, checkPeerHashes.

use std::collections::BTreeMap;

use crate::state::HashKv;

/// What the hashes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All voters have the same, and so has every learner that could be compared.
    Same,
    /// So many voters could not be compared; nothing is known to be wrong without them.
    Incomplete(usize),
    /// These differ from what a quorum has.
    Corrupt(Vec<u64>),
    /// Members differ, and no quorum of the voters agrees: nobody knows who is right.
    Undecided,
}

/// Judges the hashes of members, of whom these vote.
pub(crate) fn judge(own: (u64, HashKv), others: &[(u64, HashKv)], voters: &[u64]) -> Verdict {
    let comparable = |hash: &HashKv| (hash.revision, hash.compacted) == (own.1.revision, own.1.compacted);
    let mut by_hash: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for (id, hash) in std::iter::once(&own).chain(others).filter(|(_, hash)| comparable(hash)) {
        by_hash.entry(hash.hash).or_default().push(*id);
    }
    // A learner may be wrong, but does not say who is right.
    let votes = |ids: &Vec<u64>| ids.iter().filter(|id| voters.contains(id)).count();
    let missing = voters.len().saturating_sub(by_hash.values().map(votes).sum());
    let right = by_hash.iter().find(|(_, ids)| votes(ids) > voters.len() / 2).map(|(hash, _)| *hash);
    match right {
        Some(right) if by_hash.len() > 1 => {
            by_hash.remove(&right);
            Verdict::Corrupt(by_hash.into_values().flatten().collect())
        }
        // Who has not answered may tell who is right.
        _ if missing > 0 => Verdict::Incomplete(missing),
        Some(_) => Verdict::Same,
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
            assert_eq!(judge((1, own), &others, &[1, 2, 3]), expected, "{what}");
        }
    }

    #[test]
    fn a_learner_does_not_say_who_is_right() {
        let [good, bad, worse] = [1, 2, 3].map(|hash| HashKv { hash, compacted: 5, revision: 9 });
        let (one, two, three) = (vec![1], vec![1, 2], vec![1, 2, 3]);
        let table = [
            ("two voters differ", &two, vec![(2, bad)], Verdict::Undecided),
            ("and a learner has what one of them has", &two, vec![(2, bad), (4, good)], Verdict::Undecided),
            ("two learners", &two, vec![(2, bad), (4, bad), (5, bad)], Verdict::Undecided),
            ("a learner makes up for no voter", &three, vec![(2, good), (4, good)], Verdict::Incomplete(1)),
            ("nor for the quorum", &three, vec![(2, bad), (4, good)], Verdict::Incomplete(1)),
            ("a learner is corrupt", &three, vec![(2, good), (3, good), (4, bad)], Verdict::Corrupt(vec![4])),
            ("so is one beside a voter", &three, vec![(2, good), (3, bad), (4, worse)], Verdict::Corrupt(vec![3, 4])),
            ("beside a voter alone", &one, vec![(4, bad)], Verdict::Corrupt(vec![4])),
            ("learners are not waited for", &one, vec![], Verdict::Same),
        ];
        for (what, voters, others, expected) in table {
            assert_eq!(judge((1, good), &others, voters), expected, "{what}");
        }
        // At its start a learner compares itself with the others.
        let others = [(1, good), (2, good)];
        assert_eq!(judge((4, bad), &others, &two), Verdict::Corrupt(vec![4]));
        assert_eq!(judge((4, good), &others[..1], &two), Verdict::Incomplete(1));
    }
}

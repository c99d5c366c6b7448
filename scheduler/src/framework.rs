//! What a plugin is, and what plugins and the scheduler tell each other. Upstream's framework (kube-scheduler,
//! framework/interface.go) in one trait: every step has a default, a plugin implements the ones it needs.

use std::collections::BTreeSet;

use crate::state::{ClusterEvent, NodeState, PodFacts};

/// Whether a pod may go to a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Fits,
    /// Not as things stand; the reason in upstream's words, e.g. `Insufficient cpu`. Several reasons may hold at once.
    Refused(Vec<String>),
}

impl Verdict {
    /// Fits if `fits`, else refused for `reason`.
    pub fn when(fits: bool, reason: &str) -> Self {
        if fits { Self::Fits } else { Self::Refused(vec![reason.to_string()]) }
    }
}

/// Which nodes a pod may go to as far as can be said without looking at them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Candidates {
    /// Any.
    All,
    /// Only those of these names; the others are refused without a look, for the plugin's name.
    Only(BTreeSet<String>),
    /// None, whatever they are; the reason in upstream's words.
    None(&'static str),
}

/// One concern of scheduling.
pub trait Plugin: Sync {
    /// Upstream's name of it, e.g. `NodeResourcesFit`.
    fn name(&self) -> &'static str;

    /// Which nodes are worth a look.
    fn prefilter(&self, _pod: &PodFacts) -> Candidates {
        Candidates::All
    }

    /// Whether `pod` may go to `node`.
    fn filter(&self, _pod: &PodFacts, _node: &NodeState) -> Verdict {
        Verdict::Fits
    }

    /// How good `node` is for `pod`, in any unit; `None` = no opinion. [`Plugin::normalize`] brings it to 0..=100.
    fn score(&self, _pod: &PodFacts, _node: &NodeState) -> Option<i64> {
        None
    }

    /// Brings the scores of all candidates to 0..=100.
    fn normalize(&self, _scores: &mut [i64]) {}

    /// How much its score counts.
    fn weight(&self) -> i64 {
        1
    }

    /// What may turn its refusal into a yes.
    fn wakes_on(&self) -> &'static [ClusterEvent] {
        &[]
    }
}

/// Scales scores so that the highest is 100; `reverse` makes the highest the worst (upstream's DefaultNormalizeScore).
pub fn normalize(scores: &mut [i64], reverse: bool) {
    let highest = scores.iter().copied().max().unwrap_or(0);
    for score in scores {
        let scaled = if highest == 0 { 0 } else { *score * 100 / highest };
        *score = if reverse { 100 - scaled } else { scaled };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_score_becomes_a_hundred_or_nothing() {
        let table: [(&[i64], bool, &[i64]); 6] = [
            (&[1, 2, 4], false, &[25, 50, 100]),
            (&[1, 2, 4], true, &[75, 50, 0]),
            (&[0, 0], false, &[0, 0]),
            (&[0, 0], true, &[100, 100]),
            (&[3], false, &[100]),
            (&[], true, &[]),
        ];
        for (scores, reverse, expected) in table {
            let mut scaled = scores.to_vec();
            normalize(&mut scaled, reverse);
            assert_eq!(scaled, expected, "{scores:?} reverse {reverse}");
        }
    }

    #[test]
    fn a_verdict_names_its_reason_only_when_it_refuses() {
        assert_eq!(Verdict::when(true, "why"), Verdict::Fits);
        assert_eq!(Verdict::when(false, "why"), Verdict::Refused(vec!["why".into()]));
    }
}

//! Which pod is made to end for the sake of the others, and what it is told (pkg/kubelet/eviction/helpers.go). Pure.

use std::cmp::Reverse;

use api::quantity::{Format, Quantity};

use super::plan::Reclaim;
use super::thresholds::Signal;

/// What one container takes and asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// Name of the container.
    pub container: String,
    /// Taken.
    pub used: i64,
    /// Asked for.
    pub requested: i64,
}

/// A pod that might go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its UID.
    pub uid: String,
    /// `spec.priority`.
    pub priority: i32,
    /// Containers.
    pub shares: Vec<Share>,
    /// What it takes beside its containers: volumes.
    pub beside: i64,
}

impl Candidate {
    fn used(&self) -> i64 {
        self.shares.iter().map(|share| share.used).sum::<i64>() + self.beside
    }

    fn requested(&self) -> i64 {
        self.shares.iter().map(|share| share.requested).sum()
    }
}

/// Sorts so that the first is to go first: whoever takes more than it asked for, then the less important, then who takes most
/// beyond what it asked for. Of process numbers nothing can be asked for.
pub fn rank(signal: Signal, candidates: &mut [Candidate]) {
    candidates.sort_by_key(|candidate| {
        let (used, requested) = (candidate.used(), candidate.requested());
        match signal {
            Signal::Pid => (false, candidate.priority, Reverse(used)),
            _ => (used <= requested, candidate.priority, Reverse(used - requested)),
        }
    });
}

/// The resource that messages name.
pub fn resource(signal: Signal) -> &'static str {
    match signal {
        Signal::Memory => "memory",
        Signal::Nodefs | Signal::Imagefs => "ephemeral-storage",
        Signal::NodefsInodes | Signal::ImagefsInodes => "inodes",
        Signal::Pid => "pids",
    }
}

/// What the pod is told.
pub fn message(reclaim: &Reclaim, candidate: &Candidate) -> String {
    let signal = reclaim.threshold.signal;
    let resource = resource(signal);
    let amount = |amount: i64| Quantity::from_integer(amount, Format::BinarySi).to_string();
    let (wanted, available) = (amount(reclaim.wanted), amount(reclaim.available));
    let mut text =
        format!("The node was low on resource: {resource}. Threshold quantity: {wanted}, available: {available}. ");
    if matches!(signal, Signal::Memory | Signal::Nodefs | Signal::Imagefs) {
        for share in candidate.shares.iter().filter(|share| share.used > share.requested) {
            let (used, requested) = (amount(share.used), amount(share.requested));
            let name = &share.container;
            text += &format!(
                "Container {name} was using {used}, request is {requested}, has larger consumption of {resource}. "
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::thresholds::parse;
    use super::*;

    /// Priority, used, requested.
    fn pod(uid: &str, priority: i32, used: i64, requested: i64) -> Candidate {
        let share = Share { container: "c".into(), used, requested };
        Candidate { uid: uid.into(), priority, shares: vec![share], beside: 0 }
    }

    fn order(signal: Signal, mut candidates: Vec<Candidate>) -> Vec<String> {
        rank(signal, &mut candidates);
        candidates.into_iter().map(|candidate| candidate.uid).collect()
    }

    #[test]
    fn who_takes_more_than_asked_for_goes_first_then_the_unimportant_then_the_greedy() {
        let all = vec![
            pod("modest", 0, 900, 1000),
            pod("modest-and-unimportant", -5, 10, 1000),
            pod("greedy", 0, 900, 100),
            pod("greedier", 0, 950, 100),
            pod("greedy-but-important", 1000, 9000, 0),
            pod("greedy-and-unimportant", -5, 101, 100),
            pod("exact", 0, 100, 100),
        ];
        let expected = [
            "greedy-and-unimportant",
            "greedier",
            "greedy",
            "greedy-but-important",
            "modest-and-unimportant",
            "exact",
            "modest",
        ];
        assert_eq!(order(Signal::Memory, all.clone()), expected);
        assert_eq!(order(Signal::Nodefs, all), expected);
    }

    #[test]
    fn what_lies_in_volumes_counts_as_taken() {
        let mut hoarder = pod("hoarder", 0, 10, 100);
        hoarder.beside = 500;
        assert_eq!(order(Signal::Nodefs, vec![pod("plain", 0, 90, 0), hoarder]), ["hoarder", "plain"]);
    }

    #[test]
    fn process_numbers_are_taken_from_the_unimportant_and_numerous() {
        let all = vec![pod("few", 0, 5, 0), pod("many", 0, 50, 0), pod("important", 9, 500, 0)];
        assert_eq!(order(Signal::Pid, all), ["many", "few", "important"]);
    }

    #[test]
    fn messages_read_like_upstreams() {
        let reclaim = |flag: &str, available: i64, wanted: i64| {
            let threshold = parse(flag, "", "", "").unwrap()[0];
            Reclaim { threshold, wanted, available }
        };
        let mut two = pod("p", 0, 60 << 20, 0);
        two.shares.push(Share { container: "quiet".into(), used: 1, requested: 1 << 20 });
        assert_eq!(
            message(&reclaim("memory.available<100Mi", 97464 << 10, 100 << 20), &two),
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 97464Ki. Container c was using 60Mi, \
             request is 0, has larger consumption of memory. "
        );
        assert_eq!(
            message(&reclaim("nodefs.inodesFree<5%", 3, 50), &two),
            "The node was low on resource: inodes. Threshold quantity: 50, available: 3. "
        );
        assert_eq!(
            message(&reclaim("pid.available<5", 3, 5), &pod("p", 0, 9, 0)),
            "The node was low on resource: pids. Threshold quantity: 5, available: 3. "
        );
    }
}

//! Room on a node: requests must fit; emptier and better balanced nodes are better (kube-scheduler, noderesources:
//! fit.go, least_allocated.go, balanced_allocation.go).

use crate::framework::{Plugin, Verdict};
use crate::state::{ClusterEvent, NodeState, PodFacts};

/// The resources that scores go by, each with the same weight.
const COUNTED: [&str; 2] = ["cpu", "memory"];

/// Requests fit into what is left; the emptier node wins.
pub(super) struct Fit;

impl Plugin for Fit {
    fn name(&self) -> &'static str {
        "NodeResourcesFit"
    }

    fn filter(&self, pod: &PodFacts, node: &NodeState) -> Verdict {
        let mut reasons = Vec::new();
        if node.pod_count() + 1 > node.allocatable_pods {
            reasons.push("Too many pods".to_string());
        }
        for (name, wanted) in &pod.requests {
            let left = node.allocatable(name) - node.requested(name);
            if *wanted > 0 && *wanted > left {
                reasons.push(format!("Insufficient {name}"));
            }
        }
        if reasons.is_empty() { Verdict::Fits } else { Verdict::Refused(reasons) }
    }

    fn score(&self, pod: &PodFacts, node: &NodeState) -> Option<i64> {
        // What a node does not have at all says nothing about how full it is.
        let free = COUNTED.iter().filter(|name| node.allocatable(name) > 0).map(|name| {
            let capacity = node.allocatable(name);
            let used = node.requested_for_score(name) + pod.request_for_score(name);
            if used > capacity { 0 } else { (capacity - used) * 100 / capacity }
        });
        let (sum, count) = free.fold((0, 0), |(sum, count), free| (sum + free, count + 1));
        Some(if count == 0 { 0 } else { sum / count })
    }

    fn wakes_on(&self) -> &'static [ClusterEvent] {
        &[ClusterEvent::NodeAdded, ClusterEvent::NodeResources, ClusterEvent::PodGone]
    }
}

/// CPU and memory should be used in like measure.
pub(super) struct BalancedAllocation;

impl Plugin for BalancedAllocation {
    fn name(&self) -> &'static str {
        "NodeResourcesBalancedAllocation"
    }

    fn score(&self, pod: &PodFacts, node: &NodeState) -> Option<i64> {
        // What asks for nothing balances nothing (PreScore skips it).
        if COUNTED.iter().all(|name| pod.requests.get(*name).copied().unwrap_or(0) == 0) {
            return None;
        }
        let fraction = |name: &str| {
            let used = node.requested(name) + pod.requests.get(name).copied().unwrap_or(0);
            (used as f64 / node.allocatable(name) as f64).min(1.0)
        };
        // The standard deviation of two values is half their distance; that of one is nothing.
        let has_both = COUNTED.iter().all(|name| node.allocatable(name) > 0);
        let deviation = if has_both { (fraction("cpu") - fraction("memory")).abs() / 2.0 } else { 0.0 };
        Some(((1.0 - deviation) * 100.0) as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::testing::{node, pod};
    use k8s_openapi::serde_json::{Value, json};

    fn asks(requests: Value) -> PodFacts {
        pod(json!({"spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]}}))
    }

    fn sized(cpu: &str, memory: &str, pods: &str) -> NodeState {
        node("n", json!({"status": {"allocatable": {"cpu": cpu, "memory": memory, "pods": pods}}}))
    }

    #[test]
    fn every_resource_that_does_not_fit_is_named() {
        let table = [
            (json!({"cpu": "1", "memory": "1Gi"}), Verdict::Fits),
            (json!({"cpu": "2001m"}), Verdict::Refused(vec!["Insufficient cpu".into()])),
            (
                json!({"cpu": "3", "memory": "5Gi", "example.com/gpu": "1"}),
                Verdict::Refused(
                    ["cpu", "example.com/gpu", "memory"].map(|name| format!("Insufficient {name}")).to_vec(),
                ),
            ),
            (json!({"example.com/gpu": "0"}), Verdict::Fits),
        ];
        for (requests, verdict) in table {
            assert_eq!(Fit.filter(&asks(requests.clone()), &sized("2", "4Gi", "10")), verdict, "{requests}");
        }
        let full = Verdict::Refused(vec!["Too many pods".into()]);
        assert_eq!(Fit.filter(&asks(json!({})), &sized("2", "4Gi", "0")), full);
    }

    #[test]
    fn what_runs_there_counts() {
        let mut target = sized("2", "4Gi", "10");
        target.add(&asks(json!({"cpu": "1500m"})));
        assert_eq!(Fit.filter(&asks(json!({"cpu": "500m"})), &target), Verdict::Fits);
        assert_ne!(Fit.filter(&asks(json!({"cpu": "501m"})), &target), Verdict::Fits);
    }

    #[test]
    fn the_emptier_node_scores_higher() {
        let empty = sized("2", "4Gi", "10");
        let mut busy = sized("2", "4Gi", "10");
        busy.add(&asks(json!({})));
        let pod = asks(json!({}));
        assert!(Fit.score(&pod, &empty) > Fit.score(&pod, &busy));
    }

    #[test]
    fn free_shares_of_cpu_and_memory_count_alike() {
        let target = sized("2", "4Gi", "10");
        let table = [
            (json!({"cpu": "1", "memory": "2Gi"}), 50),
            (json!({"cpu": "2", "memory": "4Gi"}), 0),
            (json!({"cpu": "0", "memory": "0"}), 100),
            (json!({"cpu": "2", "memory": "0"}), 50),
            // More than there is counts as nothing left.
            (json!({"cpu": "9", "memory": "0"}), 50),
        ];
        for (requests, score) in table {
            assert_eq!(Fit.score(&asks(requests.clone()), &target), Some(score), "{requests}");
        }
        let halves = asks(json!({"cpu": "1", "memory": "2Gi"}));
        for (cpu, memory, score) in [("0", "0", 0), ("2", "0", 50), ("0", "8Gi", 75)] {
            assert_eq!(Fit.score(&halves, &sized(cpu, memory, "10")), Some(score), "of {cpu} and {memory}");
        }
    }

    #[test]
    fn extended_and_local_storage_resources_are_looked_at_too() {
        let allocatable = json!({"cpu": "2", "pods": "10", "ephemeral-storage": "1Gi", "example.com/gpu": "2"});
        let mut target = node("n", json!({"status": {"allocatable": allocatable}}));
        target.add(&asks(json!({"example.com/gpu": "1", "ephemeral-storage": "512Mi"})));
        let table = [
            (json!({"example.com/gpu": "1"}), None),
            (json!({"example.com/gpu": "2"}), Some("Insufficient example.com/gpu")),
            (json!({"ephemeral-storage": "512Mi"}), None),
            (json!({"ephemeral-storage": "513Mi"}), Some("Insufficient ephemeral-storage")),
            (json!({"hugepages-2Mi": "2Mi"}), Some("Insufficient hugepages-2Mi")),
        ];
        for (requests, reason) in table {
            let expected = reason.map_or(Verdict::Fits, |reason| Verdict::Refused(vec![reason.into()]));
            assert_eq!(Fit.filter(&asks(requests.clone()), &target), expected, "{requests}");
        }
    }

    #[test]
    fn balance_scores_highest_when_both_are_used_alike() {
        let target = sized("2", "4Gi", "10");
        assert_eq!(BalancedAllocation.score(&asks(json!({"cpu": "1", "memory": "2Gi"})), &target), Some(100));
        assert_eq!(BalancedAllocation.score(&asks(json!({"cpu": "2"})), &target), Some(50));
        assert_eq!(BalancedAllocation.score(&asks(json!({"memory": "1Gi"})), &target), Some(87));
        assert_eq!(BalancedAllocation.score(&asks(json!({})), &target), None, "it asks for nothing");
        let mut leaning = sized("2", "4Gi", "10");
        leaning.add(&asks(json!({"cpu": "1"})));
        assert_eq!(
            BalancedAllocation.score(&asks(json!({"memory": "2Gi"})), &leaning),
            Some(100),
            "it balances the node"
        );
        for (cpu, memory) in [("0", "0"), ("2", "0"), ("0", "4Gi")] {
            let one_sided = BalancedAllocation.score(&asks(json!({"cpu": "1"})), &sized(cpu, memory, "1"));
            assert_eq!(one_sided, Some(100), "nothing to balance against: {cpu} and {memory}");
        }
        assert_eq!(
            BalancedAllocation.score(&asks(json!({"cpu": "9", "memory": "9Gi"})), &target),
            Some(100),
            "overfull"
        );
    }
}
